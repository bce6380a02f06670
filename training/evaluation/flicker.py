"""Flicker: does the depth of a wall stay the same from frame to frame?

Method section 8: the median of |log d_t - log warped d_(t-1)| over static pixels. The pixels are
matched by *true* depth and pose, so that flicker measures steadiness and not, again, the error.
"""

from __future__ import annotations

import cv2
import numpy as np

from semdepth_ros.camera import Camera
from semdepth_ros.classes import UNLABELLED

#: Train ids that may move by themselves: person, rider and every vehicle.
MOVABLE = (11, 12, 13, 14, 15, 16, 17, 18)

#: True depth of one place in two frames may differ by this share, or it moved or was hidden.
SAME_PLACE = 0.05

#: At most about this many pixels are compared, evenly spread: a median of more is the same.
PIXELS = 20_000


def flicker(
    depth_HW: np.ndarray,
    previous_HW: np.ndarray,
    truth_HW: np.ndarray,
    previous_truth_HW: np.ndarray,
    label_HW: np.ndarray | None,
    camera: Camera,
    T_previous_current: np.ndarray,
    max_depth: float,
) -> float | None:
    """Return the flicker between two frames, without unit; None where no pixel can be compared.

    Args:
        depth_HW: predicted depth of the current frame, metres, at the size of the truth.
        previous_HW: that of the frame before, scaled by the same factor.
        truth_HW: true depth of the current frame, metres.
        previous_truth_HW: that of the frame before.
        label_HW: labels of the current frame; what can move is left out. None: nothing is.
        camera: pinhole camera of the truth.
        T_previous_current: 4x4, maps points of the current camera to the previous one.
        max_depth: truth beyond it is left out, metres.
    """
    with np.errstate(invalid='ignore'):
        static = (truth_HW > 0) & (truth_HW <= max_depth)
    if label_HW is not None:
        static &= ~np.isin(label_HW, (*MOVABLE, UNLABELLED))
    chosen = np.flatnonzero(static)
    chosen = chosen[:: len(chosen) // PIXELS + 1]
    ray = np.ones((len(chosen), 3), np.float32)
    ray[:, :2] = camera.rays().reshape(-1, 2)[chosen]
    R, t = T_previous_current[:3, :3], T_previous_current[:3, 3]
    points = (ray * truth_HW.reshape(-1)[chosen, None]) @ R.T + t
    with np.errstate(divide='ignore', invalid='ignore'):
        pixels = camera.project(points).astype(np.float32)
        seen = (points[:, 2] > 0) & (pixels >= 0).all(axis=1)
        seen &= (pixels <= (camera.width - 1, camera.height - 1)).all(axis=1)
    points, pixels = points[seen], pixels[seen]
    current = depth_HW.reshape(-1)[chosen][seen]
    if not len(points):
        return None
    before = _sample(previous_HW, pixels)
    before_truth = _sample(previous_truth_HW, pixels)
    # Where the truth of the frame before is unknown (LiDAR is sparse), nothing speaks against it.
    with np.errstate(invalid='ignore'):
        same = ~(np.abs(before_truth - points[:, 2]) > SAME_PLACE * points[:, 2])
    # The point that the frame before predicted, seen from the current camera.
    x = (pixels[:, 0] - camera.cx) / camera.fx
    y = (pixels[:, 1] - camera.cy) / camera.fy
    predicted = np.stack([x, y, np.ones_like(x)], axis=1) * before[:, None]
    with np.errstate(invalid='ignore', divide='ignore'):
        warped = (predicted - t) @ R[:, 2]
        difference = np.abs(np.log(current) - np.log(warped))
    difference = difference[same & np.isfinite(difference)]
    return float(np.median(difference)) if len(difference) else None


def _sample(depth_HW: np.ndarray, pixels_N2: np.ndarray) -> np.ndarray:
    """Return depth between pixels: bilinear in inverse depth."""
    with np.errstate(divide='ignore', invalid='ignore'):
        # Unknown truth is 0 or NaN: both must stay unknown.
        inv_depth = np.where(depth_HW > 0, 1 / depth_HW, np.nan).astype(np.float32)
        # One column, cut into pieces: remap takes no image of more than 32,767 rows.
        rows = [
            cv2.remap(inv_depth, x[:, None], y[:, None], cv2.INTER_LINEAR)
            for x, y in (
                np.ascontiguousarray(piece.T)
                for piece in np.array_split(pixels_N2, len(pixels_N2) // 16384 + 1)
            )
        ]
        return 1 / np.concatenate(rows)[:, 0]

"""The viewing rays of a camera at its pixel centres and, for antialiasing, at its pixel corners."""

from __future__ import annotations

import cv2
import numpy as np

from semdepth_ros.camera import Camera
from semdepth_ros.simulation.config import SimulationError

#: A bound on refining the inverse of the distortion.
_REFINEMENT = (cv2.TERM_CRITERIA_MAX_ITER | cv2.TERM_CRITERIA_EPS, 200, 1e-12)
_STEEPEST = 12.0  # x/z of a ray 85 degrees off the axis


class SampleRays:
    """Rays (x/z, y/z) at two grids: pixel centres, and centres moved by (-0.5, -0.5).

    `x` and `y` broadcast to (2, H + 1, W + 1); `[0, :H, :W]` are the centres. Without distortion x
    is one row and y one column, and linear forms of them cost a single operation per pixel.
    """

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.shape = (2, camera.height + 1, camera.width + 1)
        columns = np.arange(camera.width + 1) - np.array([0, 0.5])[:, None]
        rows = np.arange(camera.height + 1) - np.array([0, 0.5])[:, None]
        if camera.is_distorted:
            x, y = _undistorted(camera, columns, rows)
        else:
            x = ((columns - camera.cx) / camera.fx)[:, None, :]
            y = ((rows - camera.cy) / camera.fy)[:, :, None]
        h, w = camera.height, camera.width
        #: Rays of the pixel centres (H, W), float64.
        self.centre_x = np.ascontiguousarray(np.broadcast_to(x, self.shape)[0, :h, :w])
        self.centre_y = np.ascontiguousarray(np.broadcast_to(y, self.shape)[0, :h, :w])
        self.x, self.y = x.astype(np.float32), y.astype(np.float32)
        #: Rays of all samples in one row, float32.
        self.flat_x = np.broadcast_to(self.x, self.shape).ravel()
        self.flat_y = np.broadcast_to(self.y, self.shape).ravel()
        # The x of a column lies between these bounds (made monotone, so that they can be searched),
        # the y of a row likewise.
        self._columns = _bounds(x, axis=(0, 1))
        self._rows = _bounds(y, axis=(0, 2))

    def windows(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Return (N, 4) x0, x1, y0, y1: where rays within the boxes `low` to `high` (N, 2) lie."""
        sides = []
        for axis, (least, most) in enumerate((self._columns, self._rows)):
            sides.append(np.searchsorted(most, low[:, axis], 'left'))
            sides.append(np.searchsorted(least, high[:, axis], 'right'))
        return np.stack(sides, axis=1)

    def forms(
        self, window: tuple[int, int, int, int], coefficients: np.ndarray
    ) -> list[np.ndarray]:
        """Return a x + b y + c over a window, (2, h, w) float32, for each row of coefficients."""
        x0, x1, y0, y1 = window
        if self.x.shape[1] == 1:
            x, y = self.x[:, :, x0:x1], self.y[:, y0:y1, :]
        else:
            x, y = self.x[:, y0:y1, x0:x1], self.y[:, y0:y1, x0:x1]
        return [a * x + (b * y + c) for a, b, c in coefficients]


def _bounds(values: np.ndarray, axis: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    least, most = values.min(axis=axis), values.max(axis=axis)
    return np.minimum.accumulate(least[::-1])[::-1], np.maximum.accumulate(most)


def _undistorted(
    camera: Camera, columns: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.stack(np.broadcast_arrays(columns[:, None, :], rows[:, :, None]), axis=-1).astype(
        np.float64
    )
    points = np.ascontiguousarray(pixels.reshape(-1, 1, 2))
    D = np.array(camera.distortion)
    if camera.distortion_model == 'equidistant':
        rays = cv2.fisheye.undistortPoints(points, camera.K, D, criteria=_REFINEMENT)
    else:
        rays = cv2.undistortPoints(points, camera.K, D, criteria=_REFINEMENT)
    rays = rays.reshape(pixels.shape)
    if not np.isfinite(rays).all() or np.abs(rays).max() > _STEEPEST:
        raise SimulationError(
            f'street drive: distortion {list(camera.distortion)} ({camera.distortion_model}) sends '
            f'pixels of the {camera.width}x{camera.height} image more than 85 degrees off the axis'
        )
    return rays[..., 0], rays[..., 1]

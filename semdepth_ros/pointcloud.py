"""An organised, coloured and labelled point cloud from a depth image."""

from __future__ import annotations

import cv2
import numpy as np

from semdepth_ros.camera import Camera

try:
    from semdepth_ros import kernels
except (ImportError, RuntimeError):  # no extra `fast`, or no folder for what it compiles
    kernels = None  # type: ignore[assignment]

#: Name, byte offset and numpy type of each field of a point; `rgb` is 0x00RRGGBB, as PCL packs it.
POINT_FIELDS = (
    ('x', 0, np.float32),
    ('y', 4, np.float32),
    ('z', 8, np.float32),
    ('rgb', 12, np.float32),
    ('label', 16, np.uint32),
)
POINT_STEP = 20

POINT_DTYPE = np.dtype(
    {
        'names': [name for name, _, _ in POINT_FIELDS],
        'offsets': [offset for _, offset, _ in POINT_FIELDS],
        'formats': [kind for _, _, kind in POINT_FIELDS],
        'itemsize': POINT_STEP,
    }
)
#: The same without `label`, 16 bytes.
UNLABELLED_POINT_DTYPE = np.dtype([(name, kind) for name, _, kind in POINT_FIELDS[:-1]])

_NOTHING = np.empty((0, 0), np.uint8)


def organised_cloud(
    depth_HW: np.ndarray,
    camera: Camera,
    image_HW3: np.ndarray,
    label_HW: np.ndarray | None,
    edges_HW: np.ndarray | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return one point per pixel, (H, W) of `POINT_DTYPE`, aligned with the depth image.

    Points whose depth is not finite, and those on `edges_HW` (non-zero), have NaN coordinates; they
    keep colour and label, so that the cloud stays aligned with the images.

    Args:
        depth_HW: metres along Z, float32.
        camera: camera of the depth image, without distortion.
        image_HW3: uint8 RGB of the same size.
        label_HW: uint8 train ids of the same size; None leaves the field out, and points are
            `UNLABELLED_POINT_DTYPE`.
        edges_HW: pixels to leave out, such as `postprocessing.depth_edges`.
        out: array of an earlier call to write to, as fresh memory costs more than the points in it;
            one of another shape or type is ignored.
    """
    rays = camera.rays()
    ray_x, ray_y = rays[0, :, 0], rays[:, 0, 1]
    dtype = UNLABELLED_POINT_DTYPE if label_HW is None else POINT_DTYPE
    if out is None or out.shape != depth_HW.shape or out.dtype != dtype:
        out = np.empty(depth_HW.shape, dtype)
    if kernels is not None:
        label = _NOTHING if label_HW is None else np.ascontiguousarray(label_HW)
        edges = _NOTHING if edges_HW is None else np.ascontiguousarray(edges_HW)
        depth, image = np.ascontiguousarray(depth_HW), np.ascontiguousarray(image_HW3)
        bits = out.view(np.uint32).reshape(*out.shape, -1)
        kernels.organised_cloud(depth, ray_x, ray_y, image, label, edges, bits)
        return out
    with np.errstate(invalid='ignore'):
        # Infinity times 0 is NaN.
        z = depth_HW + 0 * depth_HW
        if edges_HW is not None:
            np.copyto(z, np.nan, where=edges_HW.view(bool))
        x, y = ray_x * z, ray_y[:, None] * z
    bgra = cv2.cvtColor(image_HW3, cv2.COLOR_RGB2BGRA)
    # The fourth byte becomes 0: at 255 it makes a NaN of the float that readers filter by.
    rgb = (bgra.view(np.uint32)[..., 0] & 0xFFFFFF).view(np.float32)
    fields = [x, y, z, rgb]
    if label_HW is not None:
        fields.append(label_HW.astype(np.uint32).view(np.float32))
    cv2.merge(fields, dst=out.view(np.float32).reshape(*out.shape, -1))
    return out

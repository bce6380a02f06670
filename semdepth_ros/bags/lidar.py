"""Depth truth from LiDAR: PointCloud2 to points, and points to a sparse depth image."""

from __future__ import annotations

from typing import Any

import numpy as np

from semdepth_ros.bags.errors import BagError
from semdepth_ros.camera import Camera

_FLOATS = {7: 'f4', 8: 'f8'}
#: Points nearer than this to the camera plane are the vehicle's own or behind it, metres.
MIN_DEPTH = 0.1


def points_xyz(message: Any) -> np.ndarray:
    """Return the finite points of a PointCloud2, (N, 3) float64, in the frame of its header.

    Raises:
        BagError: if x, y or z is absent or no float, or the data contradicts its description.
    """
    fields = {field.name: field for field in message.fields}
    missing = [name for name in 'xyz' if name not in fields]
    if missing:
        raise BagError(
            f'point cloud has no field {missing[0]!r}, it has: {", ".join(fields) or "none"}'
        )
    order = '>' if message.is_bigendian else '<'
    step, width, height = message.point_step, message.width, message.height
    formats = []
    for name in 'xyz':
        kind = _FLOATS.get(fields[name].datatype)
        if kind is None:
            raise BagError(
                f'point cloud field {name!r} has datatype {fields[name].datatype}, '
                'expected 7 (float32) or 8 (float64)'
            )
        if fields[name].offset + np.dtype(kind).itemsize > step:
            raise BagError(
                f'point cloud field {name!r} at byte {fields[name].offset} lies outside of its '
                f'points of {step} bytes'
            )
        formats.append(order + kind)
    row_step = message.row_step if height > 1 else width * step
    data = np.frombuffer(message.data, np.uint8)
    if row_step < width * step or len(data) < row_step * (height - 1) + width * step:
        raise BagError(
            f'point cloud of {width}x{height} points of {step} bytes has {len(data)} bytes of data'
        )
    if not width or not height:
        return np.empty((0, 3))
    dtype = np.dtype(
        {
            'names': ['x', 'y', 'z'],
            'formats': formats,
            'offsets': [fields[name].offset for name in 'xyz'],
            'itemsize': step,
        }
    )
    cloud = np.ndarray((height, width), dtype, data, strides=(row_step, step)).reshape(-1)
    points = np.stack([cloud['x'], cloud['y'], cloud['z']], axis=1).astype(np.float64)
    return points[np.isfinite(points).all(axis=1)]


def sparse_depth(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Return the depth image (H, W) float32 metres of points (N, 3) in the camera frame.

    A pixel takes the nearest of the points that fall into it, NaN if there is none. The camera is
    a pinhole: its distortion is not looked at.
    """
    points = points[points[:, 2] > MIN_DEPTH]
    # Pixel (0, 0) covers [-0.5, 0.5]: rounding finds the pixel.
    pixels = np.floor(camera.project(points) + 0.5)
    inside = (pixels >= 0).all(axis=1) & (pixels < camera.size).all(axis=1)
    columns, rows = pixels[inside].astype(np.int64).T
    z = points[inside, 2].astype(np.float32)
    depth = np.full(camera.height * camera.width, np.inf, np.float32)
    np.minimum.at(depth, rows * camera.width + columns, z)
    depth[np.isinf(depth)] = np.nan
    return depth.reshape(camera.height, camera.width)

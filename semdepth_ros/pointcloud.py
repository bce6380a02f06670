"""An organised, coloured and labelled point cloud from a depth image."""

from __future__ import annotations

import cv2
import numpy as np

from semdepth_ros.camera import Camera

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


def organised_cloud(
    depth_HW: np.ndarray,
    camera: Camera,
    image_HW3: np.ndarray,
    label_HW: np.ndarray,
    edges_HW: np.ndarray | None = None,
) -> np.ndarray:
    """Return one point per pixel, (H, W) of `POINT_DTYPE`, aligned with the depth image.

    Points whose depth is not finite, and those on `edges_HW` (non-zero), have NaN coordinates; they
    keep colour and label, so that the cloud stays aligned with the images.

    Args:
        depth_HW: metres along Z, float32.
        camera: camera of the depth image, without distortion.
        image_HW3: uint8 RGB of the same size.
        label_HW: uint8 train ids of the same size.
        edges_HW: pixels to leave out, such as `postprocessing.depth_edges`.
    """
    z = np.where(np.isfinite(depth_HW), depth_HW, np.float32(np.nan))
    if edges_HW is not None:
        z[edges_HW.view(bool)] = np.nan
    rays = camera.rays()
    x, y = rays[..., 0] * z, rays[..., 1] * z
    # The fourth byte stays 0: as 255 it would make a NaN of the float that readers filter by.
    bgr0 = np.zeros((*depth_HW.shape, 4), np.uint8)
    cv2.mixChannels([np.ascontiguousarray(image_HW3)], [bgr0], [0, 2, 1, 1, 2, 0])
    rgb = bgr0.view(np.float32)[..., 0]
    label = label_HW.astype(np.uint32).view(np.float32)
    return cv2.merge([x, y, z, rgb, label]).view(POINT_DTYPE)[..., 0]


def ply_bytes(points_HW: np.ndarray) -> bytes:
    """Return the finite points of a cloud as a binary PLY file: x y z, red green blue, label."""
    points = points_HW.reshape(-1)
    points = points[np.isfinite(points['z'])]
    rgb = points['rgb'].copy().view(np.uint32)
    vertices = np.empty(
        len(points),
        [('x', '<f4'), ('y', '<f4'), ('z', '<f4')]
        + [(name, 'u1') for name in ('red', 'green', 'blue', 'label')],
    )
    for name in ('x', 'y', 'z', 'label'):
        vertices[name] = points[name]
    for name, shift in (('red', 16), ('green', 8), ('blue', 0)):
        vertices[name] = rgb >> shift & 255
    kinds = {'<f4': 'float', '|u1': 'uchar'}
    header = [
        'ply',
        'format binary_little_endian 1.0',
        'comment metres in the optical frame: x right, y down, z forward',
        f'element vertex {len(points)}',
        *(f'property {kinds[kind]} {name}' for name, kind in vertices.dtype.descr),
        'end_header',
    ]
    return ('\n'.join(header) + '\n').encode() + vertices.tobytes()

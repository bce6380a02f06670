"""Point clouds as binary PLY files, which every viewer opens."""

from __future__ import annotations

import numpy as np


def ply_bytes(points_HW: np.ndarray) -> bytes:
    """Return the finite points of a cloud (`pointcloud.POINT_DTYPE`) as a binary PLY file.

    Vertices have x, y, z in metres (float), red, green, blue and label (uchar).
    """
    points = points_HW.reshape(-1)
    points = points[np.isfinite(points['z'])]
    rgb = points['rgb'].copy().view(np.uint32)
    vertices = np.empty(
        len(points),
        [(name, '<f4') for name in ('x', 'y', 'z')]
        + [(name, 'u1') for name in ('red', 'green', 'blue', 'label')],
    )
    for name in ('x', 'y', 'z', 'label'):
        vertices[name] = points[name]
    for name, shift in (('red', 16), ('green', 8), ('blue', 0)):
        vertices[name] = rgb >> shift & 255
    header = [
        'ply',
        'format binary_little_endian 1.0',
        'comment metres in the optical frame: x right, y down, z forward',
        f'element vertex {len(points)}',
        *(f'property float {name}' for name in ('x', 'y', 'z')),
        *(f'property uchar {name}' for name in ('red', 'green', 'blue', 'label')),
        'end_header',
    ]
    return ('\n'.join(header) + '\n').encode() + vertices.tobytes()

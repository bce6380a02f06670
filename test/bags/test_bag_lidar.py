"""PointCloud2 of any layout becomes points; points become depth, the nearest one first."""

import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semdepth_ros.bags import messages
from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.lidar import points_xyz, sparse_depth
from semdepth_ros.camera import Camera


def test_fields_are_found_by_name_at_any_offset_and_in_doubles():
    dtype = np.dtype(
        {'names': ['i', 'z', 'x', 'y'], 'formats': ['u1', '<f8', '<f8', '<f8'],
         'offsets': [0, 3, 11, 19], 'itemsize': 30}
    )  # fmt: skip
    cloud = np.zeros((2, 2), dtype)
    cloud['x'], cloud['y'], cloud['z'] = [[1, 2], [3, np.nan]], 5, 6
    points = points_xyz(messages.point_cloud(0, 'lidar', cloud))
    assert points.tolist() == [[1, 5, 6], [2, 5, 6], [3, 5, 6]]


def test_big_endian_points_and_padded_rows_are_read():
    message = messages.point_cloud(
        0, 'l', np.zeros((2, 1), [('x', '<f4'), ('y', '<f4'), ('z', '<f4')])
    )
    rows = np.zeros((2, 16), np.uint8)
    rows[:, :12] = np.array([[1, 2, 3], [4, 5, 6]], '>f4').view(np.uint8)
    message = types.SimpleNamespace(
        fields=message.fields, is_bigendian=True, point_step=12, width=1, height=2, row_step=16,
        data=rows.reshape(-1),
    )  # fmt: skip
    assert points_xyz(message).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_an_unfit_cloud_is_refused_naming_what_is_wrong():
    xy = np.zeros(3, [('x', '<f4'), ('y', '<f4')])
    with pytest.raises(BagError, match="no field 'z', it has: x, y"):
        points_xyz(messages.point_cloud(0, 'lidar', xy))
    integers = np.zeros(3, [('x', '<i4'), ('y', '<i4'), ('z', '<i4')])
    with pytest.raises(BagError, match="'x' has datatype 5, expected 7"):
        points_xyz(messages.point_cloud(0, 'lidar', integers))
    message = messages.point_cloud(0, 'l', np.zeros(3, [('x', '<f4'), ('y', '<f4'), ('z', '<f4')]))
    short = types.SimpleNamespace(**{**vars(message), 'data': message.data[:-1]})
    with pytest.raises(BagError, match='3x1 points of 12 bytes has 35 bytes'):
        points_xyz(short)
    outside = types.SimpleNamespace(**{**vars(message), 'point_step': 11})
    with pytest.raises(BagError, match="'z' at byte 8 lies outside"):
        points_xyz(outside)


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(0, 2**32 - 1) | st.integers(0, 5),
    height=st.integers(0, 2**32 - 1) | st.integers(0, 5),
    step=st.integers(0, 2**32 - 1) | st.integers(0, 40),
    row_step=st.integers(0, 2**32 - 1) | st.integers(0, 100),
    offset=st.integers(0, 2**32 - 1) | st.integers(0, 20),
    size=st.integers(0, 500),
)
def test_any_description_gives_points_or_a_bag_error(width, height, step, row_step, offset, size):
    field = types.SimpleNamespace
    message = types.SimpleNamespace(
        fields=[field(name=n, offset=offset + k, datatype=7) for k, n in enumerate('xyz')],
        is_bigendian=False, point_step=step, row_step=row_step, width=width, height=height,
        data=np.zeros(size, np.uint8),
    )  # fmt: skip
    try:
        points = points_xyz(message)
    except BagError:
        return
    assert points.shape == (width * height, 3)


def test_every_pixel_takes_its_nearest_point_and_points_outside_are_left_out():
    camera = Camera(10, 8, 5.0, 5.0, 4.5, 3.5)
    points = np.array([[0, 0, 4.0], [0, 0, 2.0], [0, 0, 3.0], [0, 0, -2.0], [50, 0, 2.0]])
    depth = sparse_depth(points, camera)
    assert np.isfinite(depth).sum() == 1
    assert depth[4, 5] == 2
    assert np.isnan(sparse_depth(np.empty((0, 3)), camera)).all()


@given(st.integers(0, 9), st.integers(0, 7), st.floats(0.2, 90), st.floats(-0.49, 0.49))
def test_a_point_in_a_pixel_is_found_in_that_pixel(u, v, z, off):
    camera = Camera(10, 8, 5.0, 6.0, 4.2, 3.9)
    point = [((u + off) - 4.2) / 5 * z, ((v - off) - 3.9) / 6 * z, z]
    depth = sparse_depth(np.array([point]), camera)
    assert depth[v, u] == np.float32(z)
    assert np.isfinite(depth).sum() == 1

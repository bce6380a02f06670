"""Arrays become messages byte for byte, at the speed of the buffer protocol."""

import array

import numpy as np
import pytest

pytest.importorskip('rclpy')

from ros_harness import cloud_array, header, image_array

from semdepth_ros.camera import Camera
from semdepth_ros.pointcloud import organised_cloud
from semdepth_ros.ros import messages

HEADER = header(12.5, 'camera')


@pytest.mark.parametrize(
    ('encoding', 'kind', 'shape'),
    [
        ('32FC1', np.float32, (4, 6)),
        ('16UC1', np.uint16, (4, 6)),
        ('mono8', np.uint8, (3, 5)),
        ('rgb8', np.uint8, (3, 5, 3)),
    ],
)
def test_an_image_message_holds_the_array(encoding, kind, shape):
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    message = messages.image_message(HEADER, encoding, pixels)
    assert (message.height, message.width) == shape[:2]
    assert message.header == HEADER
    np.testing.assert_array_equal(image_array(message), pixels)


def test_a_view_that_is_not_contiguous_is_written_as_it_looks():
    pixels = np.arange(60, dtype=np.float32).reshape(6, 10)[::2, ::-1]
    message = messages.image_message(HEADER, '32FC1', pixels)
    np.testing.assert_array_equal(image_array(message), pixels)


def test_rule_12_data_is_filled_through_the_buffer_protocol_and_never_assigned(monkeypatch):
    assigned = []
    for kind in (messages.Image, messages.PointCloud2):
        own = kind.data

        def spy(self, value, own=own):
            assigned.append(len(value))
            own.fset(self, value)

        monkeypatch.setattr(kind, 'data', property(own.fget, spy))
    filled = messages.image_message(HEADER, '32FC1', np.zeros((4, 6), np.float32))
    cloud = messages.points_message(HEADER, np.zeros((4, 6), [('x', np.float32)]))
    # The constructor of a message gives it an empty array; every other assignment is checked
    # element by element.
    assert assigned == [0, 0]
    assert all(isinstance(message.data, array.array) for message in (filled, cloud))


def test_camera_info_says_size_k_and_p_of_the_same_camera_without_distortion():
    camera = Camera(320, 96, 200.0, 201.0, 159.25, 47.75)
    message = messages.camera_info_message(HEADER, camera)
    assert (message.width, message.height) == (320, 96)
    np.testing.assert_array_equal(np.reshape(message.k, (3, 3)), camera.K)
    np.testing.assert_array_equal(np.reshape(message.p, (3, 4))[:, :3], camera.K)
    assert not any(message.d)
    assert Camera.from_camera_info(message).undistorted() == camera
    assert Camera.from_camera_info(message, rectified=True) == camera


def test_a_cloud_message_holds_the_points_under_the_names_of_their_fields():
    camera = Camera(4, 3, 10.0, 10.0, 1.5, 1.0)
    depth = np.linspace(1, 12, 12, dtype=np.float32).reshape(3, 4)
    depth[0, 0], depth[1, 1] = np.nan, np.inf
    rgb = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    points = organised_cloud(depth, camera, rgb, np.full((3, 4), 7, np.uint8))
    message = messages.points_message(HEADER, points)
    assert (message.height, message.width, message.is_dense) == (3, 4, False)
    assert [field.name for field in message.fields] == ['x', 'y', 'z', 'rgb', 'label']
    read = cloud_array(message)
    np.testing.assert_array_equal(read['z'][2], depth[2])
    assert np.isnan(read['z'][0, 0]) and np.isnan(read['z'][1, 1])
    np.testing.assert_array_equal(read['label'], 7)
    packed = read['rgb'].copy().view(np.uint32)
    np.testing.assert_array_equal(packed >> 16 & 255, rgb[..., 0])
    np.testing.assert_array_equal(packed & 255, rgb[..., 2])

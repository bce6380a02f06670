"""The camera: projection, and the half-pixel rule under every change of the image."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semdepth_ros.camera import Camera, CameraError

cameras = st.builds(
    Camera,
    width=st.integers(2, 2000),
    height=st.integers(2, 2000),
    fx=st.floats(10, 3000),
    fy=st.floats(10, 3000),
    cx=st.floats(-100, 2000),
    cy=st.floats(-100, 2000),
)
points = st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.floats(0.1, 100)).map(np.array)


def info(**fields):
    """A CameraInfo as any message library shows it."""
    base = {
        'width': 640, 'height': 480, 'distortion_model': 'plumb_bob', 'd': [0.0] * 5,
        'k': [500.0, 0, 320, 0, 510, 240, 0, 0, 1], 'r': [1.0, 0, 0, 0, 1, 0, 0, 0, 1],
        'p': [400.0, 0, 310, 0, 0, 410, 230, 0, 0, 0, 1, 0], 'binning_x': 0, 'binning_y': 0,
        'roi': SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    }  # fmt: skip
    return SimpleNamespace(**(base | fields))


@given(cameras, points, st.integers(1, 3000), st.integers(1, 3000))
@settings(max_examples=200, deadline=None)
def test_projecting_and_resizing_commute(camera, point, width, height):
    u, v = camera.project(point)
    sx, sy = width / camera.width, height / camera.height
    expected = (u + 0.5) * sx - 0.5, (v + 0.5) * sy - 0.5
    np.testing.assert_allclose(
        camera.resized(width, height).project(point), expected, rtol=1e-9, atol=1e-6
    )


@given(cameras, points, st.integers(-50, 50), st.integers(-50, 50))
@settings(max_examples=100, deadline=None)
def test_projecting_and_cropping_commute(camera, point, x, y):
    expected = camera.project(point) - (x, y)
    np.testing.assert_allclose(
        camera.cropped(x, y, 10, 10).project(point), expected, rtol=1e-9, atol=1e-6
    )


@pytest.mark.parametrize('stride', [1, 2, 3, 4])
def test_decimation_keeps_the_samples_and_their_rays(stride):
    camera = Camera(41, 23, 30.0, 31.0, 19.7, 11.2)
    decimated = camera.decimated(stride)
    rays = camera.rays()[::stride, ::stride]
    assert rays.shape[:2] == (decimated.height, decimated.width)
    np.testing.assert_allclose(decimated.rays(), rays, rtol=1e-5, atol=1e-6)


def test_unprojecting_then_projecting_gives_the_pixel_back():
    camera = Camera(64, 48, 50.0, 52.0, 31.0, 24.5)
    depth = np.random.default_rng(0).uniform(1, 50, (48, 64)).astype(np.float32)
    pixels = camera.project(camera.unproject(depth))
    v, u = np.mgrid[:48, :64]
    np.testing.assert_allclose(pixels, np.stack([u, v], -1), atol=1e-3)


@pytest.mark.parametrize('bad', [0.0, -1.0, float('nan'), float('inf')])
def test_impossible_focal_lengths_are_refused_with_their_value(bad):
    with pytest.raises(CameraError, match=f'fx is {bad}'):
        Camera(10, 10, bad, 1.0, 0.0, 0.0)


def test_camera_info_gives_k_for_the_raw_and_p_for_the_rectified_image():
    assert Camera.from_camera_info(info()).fx == 500
    assert Camera.from_camera_info(info(), rectified=True).fx == 400


def test_camera_info_without_p_falls_back_to_k():
    assert Camera.from_camera_info(info(p=[0.0] * 12), rectified=True).fx == 500


def test_ros1_spelling_of_camera_info_is_read():
    message = info()
    for name in 'dkrp':
        setattr(message, name.upper(), getattr(message, name))
        delattr(message, name)
    assert Camera.from_camera_info(message).fx == 500


def test_binning_and_roi_change_size_and_intrinsics():
    roi = SimpleNamespace(x_offset=100, y_offset=40, width=400, height=200)
    camera = Camera.from_camera_info(info(roi=roi, binning_x=2, binning_y=2))
    assert camera.size == (200, 100)
    assert camera.fx == 250
    assert camera.cx == pytest.approx((320 - 100 + 0.5) / 2 - 0.5)


def test_unknown_distortion_model_and_wrong_count_are_refused():
    with pytest.raises(CameraError, match='fov'):
        Camera.from_camera_info(info(distortion_model='fov', d=[0.9]))
    with pytest.raises(CameraError, match='3 coefficients D for plumb_bob'):
        Camera.from_camera_info(info(d=[0.1, 0.2, 0.3]))


def test_nan_intrinsics_are_refused():
    with pytest.raises(CameraError, match='cx is nan'):
        Camera.from_camera_info(info(k=[500.0, 0, float('nan'), 0, 500, 240, 0, 0, 1]))

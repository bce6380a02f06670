"""Fitting images to networks: no stretch over 5 %, and intrinsics that follow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semdepth_ros.camera import Camera
from semdepth_ros.preprocessing import MAX_STRETCH, FitError, fit

VGA = Camera(640, 480, 525.0, 525.0, 319.5, 239.5)


@given(
    st.integers(64, 2000), st.integers(64, 2000), st.integers(2, 20), st.integers(2, 20),
    st.sampled_from(['crop', 'pad']),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_no_image_is_stretched_by_more_than_five_percent(w, h, nw, nh, mode):
    camera = Camera(w, h, 500.0, 500.0, w / 2, h / 2)
    fitted = fit(camera, nw * 32, nh * 32, mode)
    stretch = fitted.camera.fx / fitted.camera.fy
    # A window of a few pixels cannot meet the shape to within a pixel.
    rounding = 1 + 1 / min(fitted.width, fitted.height, fitted.inner_width, fitted.inner_height)
    assert 1 / (MAX_STRETCH * rounding) <= stretch <= MAX_STRETCH * rounding
    assert fitted.camera.size == (nw * 32, nh * 32)


@pytest.mark.parametrize('mode', ['crop', 'pad', 'native'])
@pytest.mark.parametrize('size', [(640, 192), (320, 320), (96, 192)])
def test_a_point_lands_on_the_same_image_content_in_the_network_input(mode, size):
    """A blurred dot drawn where a point projects is found where the fitted camera projects it."""
    point = np.array([0.12, -0.03, 2.0])
    u, v = VGA.project(point)
    y, x = np.mgrid[: VGA.height, : VGA.width]
    dot = 255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 12**2))
    image = np.repeat(dot[..., None], 3, axis=2).astype(np.uint8)
    fitted = fit(VGA, *size, mode)
    seen = fitted.apply(image)[..., 0].astype(float)
    rows, columns = np.mgrid[: seen.shape[0], : seen.shape[1]]
    centroid = (seen * columns).sum() / seen.sum(), (seen * rows).sum() / seen.sum()
    np.testing.assert_allclose(centroid, fitted.camera.project(point), atol=0.15)


def test_pad_keeps_the_whole_image_and_leaves_the_rest_black():
    fitted = fit(VGA, 640, 192, 'pad')
    seen = fitted.apply(np.full((480, 640, 3), 200, np.uint8))
    assert (seen[fitted.inner] == 200).all()
    assert seen.astype(int).sum() == 200 * 3 * fitted.inner_width * fitted.inner_height
    assert fitted.inner_width == 256


def test_native_takes_multiples_of_32_from_the_middle():
    fitted = fit(Camera(1242, 375, 721.0, 721.0, 609.0, 172.0), 640, 192, 'native')
    assert fitted.camera.size == (1216, 352)
    assert fitted.camera.fx == 721.0


def test_an_image_of_another_size_than_its_camera_is_refused_naming_both():
    with pytest.raises(FitError, match=r'image is 100x50, its camera 640x480'):
        fit(VGA, 640, 192).apply(np.zeros((50, 100, 3), np.uint8))


def test_an_image_too_small_for_native_and_an_unknown_mode_are_refused():
    with pytest.raises(FitError, match='1x1'):
        fit(Camera(1, 1, 1.0, 1.0, 0.0, 0.0), 640, 192, 'native')
    with pytest.raises(FitError, match='stretch'):
        fit(VGA, 640, 192, 'stretch')


@pytest.mark.parametrize('mode', ['crop', 'pad'])
def test_one_pixel_and_twelve_megapixels_become_network_inputs(mode):
    for w, h in [(1, 1), (4000, 3000)]:
        camera = Camera(w, h, float(w), float(w), w / 2, h / 2)
        assert fit(camera, 640, 192, mode).apply(np.zeros((h, w, 3), np.uint8)).shape == (
            192, 640, 3,
        )  # fmt: skip

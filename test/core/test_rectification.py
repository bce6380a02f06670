"""Distorted images become pinhole images: three lens models, checked by projecting points."""

import cv2
import numpy as np
import pytest

from semdepth_ros.camera import Camera
from semdepth_ros.rectification import rectify

LENSES = {
    'plumb_bob': (-0.25, 0.08, 0.001, -0.0005, 0.0),
    'rational_polynomial': (-0.3, 0.1, 0.0, 0.0, 0.01, 0.05, -0.02, 0.001),
    'equidistant': (-0.02, 0.004, -0.001, 0.0002),
}


@pytest.mark.parametrize('model', LENSES)
def test_a_point_seen_through_the_lens_is_rectified_to_its_pinhole_pixel(model):
    camera = Camera(320, 240, 200.0, 205.0, 161.0, 119.0, model, LENSES[model])
    point = np.array([0.45, -0.3, 1.0])
    D, zero = np.array(camera.distortion), np.zeros(3)
    project = cv2.fisheye.projectPoints if model == 'equidistant' else cv2.projectPoints
    u, v = project(point.reshape(1, 1, 3), zero, zero, camera.K, D)[0].ravel()
    y, x = np.mgrid[:240, :320]
    dot = (255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 18)).astype(np.uint8)
    seen = rectify(np.repeat(dot[..., None], 3, 2), camera, camera.undistorted())[..., 0]
    weights = seen.astype(float)
    centroid = (weights * x).sum() / weights.sum(), (weights * y).sum() / weights.sum()
    expected = camera.undistorted().project(point)
    np.testing.assert_allclose(centroid, expected, atol=0.6)
    assert np.hypot(*(expected - (u, v))) > 3  # the lens did bend the ray


def test_an_undistorted_image_is_passed_through_untouched():
    camera = Camera(32, 24, 20.0, 20.0, 16.0, 12.0)
    image = np.zeros((24, 32, 3), np.uint8)
    assert rectify(image, camera, camera) is image

"""Metres: from the weights, from the camera's height, from odometry."""

import numpy as np
import pytest

from semdepth_ros.camera import Camera
from semdepth_ros.classes import BUILDING, ROAD
from semdepth_ros.scale import CameraHeightScale, OdometryScale, ScaleError, WeightsScale

CAMERA = Camera(160, 96, 120.0, 120.0, 79.5, 40.0)


def road(height):
    slope = CAMERA.rays()[..., 1]
    depth = np.where(slope > 0.02, height / np.maximum(slope, 0.02), 30.0).astype(np.float32)
    return depth, np.where(slope > 0.02, ROAD, BUILDING).astype(np.uint8)


def test_weights_that_are_up_to_scale_say_so():
    assert WeightsScale('metric').current().is_metric
    scale = WeightsScale('up_to_scale').current()
    assert not scale.is_metric
    assert 'not metres' in scale.reason


def test_camera_height_turns_any_unit_into_metres():
    source = CameraHeightScale(1.6)
    assert not source.current().is_metric
    for _ in range(3):
        source.update(*road(0.04), CAMERA)
    assert source.current().is_metric
    assert source.current().factor == pytest.approx(40, rel=0.01)


def test_one_wrong_frame_does_not_move_the_scale():
    source = CameraHeightScale(1.6)
    for height in [1.0] * 6 + [5.0]:
        source.update(*road(height), CAMERA)
    assert source.current().factor == pytest.approx(1.6, rel=0.01)


def test_a_frame_without_ground_holds_the_scale():
    source = CameraHeightScale(1.6)
    source.update(*road(0.8), CAMERA)
    source.update(
        np.full((96, 160), 10, np.float32), np.full((96, 160), BUILDING, np.uint8), CAMERA
    )
    assert source.current().factor == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize('height', [0.0, -1.0, float('nan')])
def test_an_impossible_camera_height_is_refused(height):
    with pytest.raises(ScaleError, match='camera_height'):
        CameraHeightScale(height)


def test_odometry_is_the_median_over_pairs_and_is_held_at_standstill():
    source = OdometryScale()
    source.update(0.5, 0.4, 0.1)
    assert not source.current().is_metric
    for translation in [0.5, 0.52, 0.48, 5.0, 0.5]:
        source.update(translation, 10.0, 0.1)
    assert source.current().factor == pytest.approx(2.0)
    source.update(0.001, 0.0, 0.1)
    assert source.current().factor == pytest.approx(2.0)

import math

import numpy as np
import pytest

from semdepth_ros.camera import Camera
from semdepth_training.evaluation.boundaries import BoundaryCounts, count_boundaries
from semdepth_training.evaluation.flicker import flicker

EVERYWHERE = np.ones((20, 40), bool)


def post(column, depth=20.0, near=5.0):
    """A far wall and, from a column on, a near one."""
    image = np.full((20, 40), depth, np.float32)
    image[:, column:] = near
    return image


def test_perfect_depth_has_perfect_boundaries():
    counts = count_boundaries(post(20), post(20), EVERYWHERE, 80)
    assert counts == BoundaryCounts(predicted=20, correct=20, true=20, found=20)
    assert (counts.precision, counts.recall, counts.f1) == (1, 1, 1)


@pytest.mark.parametrize('shift, f1', [(2, 1), (-2, 1), (3, 0), (-3, 0)])
def test_a_boundary_counts_within_two_pixels(shift, f1):
    assert count_boundaries(post(20 + shift), post(20), EVERYWHERE, 80).f1 == f1


def test_a_smooth_prediction_finds_nothing_and_is_not_called_precise():
    counts = count_boundaries(np.full((20, 40), 9.0), post(20), EVERYWHERE, 80)
    assert math.isnan(counts.precision)
    assert (counts.recall, counts.f1) == (0, 0)


def test_half_of_the_predicted_boundaries_wrong_is_precision_one_half():
    depth = post(20)
    depth[:, :6] = 5
    counts = count_boundaries(depth, post(20), EVERYWHERE, 80)
    assert (counts.precision, counts.recall) == (0.5, 1)
    assert counts.f1 == pytest.approx(2 / 3)


def test_a_ratio_of_at_most_1_25_is_no_boundary():
    assert count_boundaries(post(20, 6.2, 5), post(20, 6.3, 5), EVERYWHERE, 80) == BoundaryCounts(
        predicted=0, correct=0, true=20, found=0
    )


def test_sky_against_a_wall_is_a_boundary_and_unknown_truth_is_none():
    sky = post(20, depth=np.inf)
    assert count_boundaries(sky, sky, EVERYWHERE, 80).true == 20
    unknown = post(20, depth=np.nan)
    assert count_boundaries(post(20), unknown, EVERYWHERE, 80) == BoundaryCounts()


def test_a_difference_beyond_the_cap_is_no_boundary():
    truth = post(20, depth=200, near=90)
    assert count_boundaries(truth, truth, EVERYWHERE, 80).true == 0


CAMERA = Camera(64, 48, 60.0, 60.0, 31.5, 20.0)


def ground(height):
    """Depth of a plane `height` metres under the camera; NaN above the horizon."""
    y = np.repeat(CAMERA.rays()[..., 1:], 1, axis=2)[..., 0]
    with np.errstate(divide='ignore'):
        return np.where(y > 0, height / y, np.nan).astype(np.float32)


def forward(metres):
    """T_previous_current of a camera that drove on."""
    T = np.eye(4)
    T[2, 3] = metres
    return T


def test_true_depth_of_a_drive_does_not_flicker():
    truth = ground(1.6)
    value = flicker(truth, truth, truth, truth, None, CAMERA, forward(0.5), 80)
    assert value == pytest.approx(0, abs=1e-4)


def test_a_wall_that_comes_nearer_flickers_only_if_the_motion_is_ignored():
    now, before = np.full((48, 64), 20.0), np.full((48, 64), 20.5)
    assert flicker(now, before, now, before, None, CAMERA, forward(0.5), 80) < 1e-6
    still = flicker(now, before, now, before, None, CAMERA, np.eye(4), 80)
    assert still == pytest.approx(math.log(20.5 / 20), rel=1e-4)


def test_depth_that_jumps_by_ten_percent_flickers_by_its_logarithm():
    truth = np.full((48, 64), 20.0, np.float32)
    value = flicker(truth * 1.1, truth, truth, truth, None, CAMERA, np.eye(4), 80)
    assert value == pytest.approx(math.log(1.1), rel=1e-4)


def test_moving_things_and_hidden_things_are_left_out():
    truth = np.full((48, 64), 20.0, np.float32)
    jump = truth.copy()
    jump[:, :40] *= 2
    label = np.zeros(truth.shape, np.uint8)
    label[:, :40] = 13
    assert flicker(jump, truth, truth, truth, label, CAMERA, np.eye(4), 80) < 1e-6
    before = truth.copy()
    before[:, :41] = 3.0
    assert flicker(jump, truth, truth, before, None, CAMERA, np.eye(4), 80) < 1e-6


def test_nothing_to_compare_is_none_and_not_zero():
    truth = np.full((48, 64), 20.0, np.float32)
    assert flicker(truth, truth, truth * np.nan, truth, None, CAMERA, np.eye(4), 80) is None
    assert flicker(truth, truth, truth, truth, None, CAMERA, forward(-100), 80) is None

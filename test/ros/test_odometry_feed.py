"""Speeds and frames become pairs for the odometry scale."""

import numpy as np
import pytest
import torch

from semdepth_ros.ros.odometry import MotionFromPoseNetwork, OdometryError, SpeedHistory
from semdepth_ros.scale import OdometryScale

SECOND = 10**9


def speeds(*samples):
    history = SpeedHistory()
    for seconds, speed in samples:
        history.add(round(seconds * SECOND), speed)
    return history


def test_the_mean_speed_is_interpolated_between_samples():
    history = speeds((0, 0.0), (1, 10.0))
    assert history.mean(0, SECOND) == pytest.approx(5)
    assert history.mean(SECOND // 2, SECOND // 2) == pytest.approx(5)


def test_odometry_on_another_clock_is_an_error_that_says_how_far_away_it_is():
    with pytest.raises(OdometryError, match=r'lies 90\.0 s beside'):
        speeds((0, 5.0), (10, 5.0)).mean(99 * SECOND, 100 * SECOND)


def test_odometry_that_never_came_is_an_error():
    with pytest.raises(OdometryError, match='neither odom nor twist'):
        SpeedHistory().mean(0, SECOND)


def test_odometry_that_jumps_back_in_time_starts_anew():
    history = speeds((100, 5.0), (101, 5.0), (1, 7.0), (2, 7.0))
    assert history.mean(SECOND, 2 * SECOND) == pytest.approx(7)


class ShiftPose(torch.nn.Module):
    """Answers with the difference of mean brightness as the length of the translation."""

    def forward(self, target, contexts):
        lengths = [(context - target).mean().abs() for context in contexts]
        poses = torch.zeros(1, len(contexts), 6)
        poses[0, :, 2] = torch.stack(lengths)
        return poses


def frame(level):
    return np.full((4, 4, 3), level, np.uint8)


def test_three_frames_give_two_motions_and_the_last_frame_is_used_again():
    history = speeds((0, 10.0), (10, 10.0))
    motion = MotionFromPoseNetwork(ShiftPose(), history)
    found = []
    for number in range(5):
        found.append(list(motion.add(number * SECOND // 10, frame(51 * number))))
    assert [len(one) for one in found] == [0, 0, 2, 0, 2]
    scale = OdometryScale()
    for one in found:
        for pair in one:
            assert pair.translation == pytest.approx(0.2, rel=1e-5)
            assert pair.speed == pytest.approx(10)
            assert pair.dt == pytest.approx(0.1)
            scale.update(*pair)
    # 1 m in 0.1 s at 10 m/s, 0.2 in the network's unit.
    assert scale.current().factor == pytest.approx(5)


@pytest.mark.parametrize('magnification', [0.5, 2.0])
def test_motion_ahead_through_another_lens_is_longer_or_shorter_than_it_looks(magnification):
    """As depth is: through a lens twice as long a thing that looks as near is twice as far."""
    motion = MotionFromPoseNetwork(ShiftPose(), speeds((0, 10.0), (10, 10.0)))
    found = [
        pair
        for number in range(3)
        for pair in motion.add(number * SECOND // 10, frame(51 * number), magnification)
    ]
    assert [pair.translation for pair in found] == pytest.approx([0.2 * magnification] * 2)


def test_a_gap_or_a_jump_back_between_frames_starts_anew():
    history = speeds((0, 10.0), (100, 10.0))
    motion = MotionFromPoseNetwork(ShiftPose(), history)
    for seconds in (0.0, 0.1, 5.0, 5.1, 4.9, 5.0):
        assert list(motion.add(round(seconds * SECOND), frame(0))) == []


def test_the_pose_network_of_the_package_is_asked_in_its_own_form():
    from semdepth_ros.networks.pose import PoseNet

    torch.manual_seed(0)
    motion = MotionFromPoseNetwork(PoseNet().eval(), speeds((0, 10.0), (1, 10.0)))
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    found = [pair for n in range(3) for pair in motion.add(n * SECOND // 10, image)]
    assert len(found) == 2
    assert all(np.isfinite(pair.translation) and pair.translation >= 0 for pair in found)

"""Speed comes from Odometry, TwistStamped or transforms; where it is unknown, it is NaN."""

import numpy as np
import pytest
from drive_recordings import START, T_BASE_CAMERA, stamps
from hypothesis import given
from hypothesis import strategies as st

from semdepth_ros.bags import messages
from semdepth_ros.bags.drive import Drive, Topics
from semdepth_ros.bags.motion import Motion

SECOND = 1_000_000_000


def motion(times, speeds):
    return Motion(START + np.round(np.array(times) * SECOND).astype(np.int64), np.array(speeds))


def at(seconds):
    return START + np.round(np.asarray(seconds) * SECOND).astype(np.int64)


def test_speed_is_linear_between_measurements_and_unknown_in_gaps_and_beyond():
    m = motion([0.0, 0.1, 0.2, 2.2, 2.3], [0.0, 1.0, 2.0, 4.0, 4.0])
    assert np.allclose(m.speed_at(at([0.05, 0.1, 0.175, 2.25])), [0.5, 1.0, 1.75, 4.0])
    assert np.isnan(m.speed_at(at([1.0, 2.0, -0.5, 3.0]))).all()
    # Within one interval of a measurement, it still holds.
    assert np.allclose(m.speed_at(at([-0.05, 0.25, 2.35])), [0.0, m.speed_at(at(0.25)), 4.0])


def test_distance_is_the_integral_of_speed_and_unknown_across_a_gap():
    m = motion([0.0, 1.0, 2.0, 3.0, 13.0, 14.0], [0.0, 2.0, 2.0, 0.0, 1.0, 1.0])
    assert float(m.distance(at(0), at(3))) == pytest.approx(4.0)
    assert float(m.distance(at(0.5), at(1.5))) == pytest.approx(0.75 + 1.0)
    assert np.isnan(m.distance(at(2), at(13.5)))
    assert np.isnan(m.distance(at(20), at(21)))


@given(
    st.lists(st.floats(0, 30), min_size=3, max_size=20),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
def test_distances_add_up(speeds, shares):
    m = motion(np.arange(len(speeds)) * 0.1, speeds)
    a, b, c = at(np.sort(shares) * 0.1 * (len(speeds) - 1))
    assert float(m.distance(a, b) + m.distance(b, c)) == pytest.approx(
        float(m.distance(a, c)), abs=1e-6
    )


def test_twist_stamped_gives_speed(record):
    extra = [('/twist', messages.twist_stamped(t, 'base_link', (3, 4, 0)), t) for t in stamps(12)]
    drive = Drive(record(speed=None, extra=extra))
    assert drive.topics.odometry == '/twist'
    assert np.allclose(drive.speed, 5)


def test_odometry_without_twist_gives_speed_by_its_positions(record):
    extra = []
    for t in stamps(12):
        T = np.eye(4)
        T[0, 3] = 7 * (t - START) * 1e-9
        extra.append(('/odom', messages.odometry(t, 'odom', 'base_link', T, (0, 0, 0)), t))
    drive = Drive(record(speed=None, extra=extra))
    assert np.allclose(drive.speed, 7)
    assert drive.distance(3, 8) == pytest.approx(3.5)


def test_a_moving_transform_gives_speed_and_the_map_frame_does_not_disturb(record):
    extra = []
    for k, t in enumerate(stamps(12)):
        T, jump = np.eye(4), np.eye(4)
        T[0, 3] = 6 * (t - START) * 1e-9
        jump[1, 3] = 100 * (k % 2)
        edges = [
            messages.Transform('odom', 'base_link', T),
            messages.Transform('map', 'odom', jump),
        ]
        extra.append(('/tf', messages.transforms(t, edges), t))
    drive = Drive(record(speed=None, extra=extra))
    assert drive.topics.odometry == '/tf'
    assert np.allclose(drive.speed, 6)


def test_the_camera_of_a_turning_vehicle_moves_with_its_lever(record):
    # Turning on the spot at 2 rad/s with the camera half a metre ahead of the axis.
    assert T_BASE_CAMERA[0, 3] == 0.5
    extra = [
        ('/odom', messages.odometry(t, 'odom', 'base_link', np.eye(4), (0, 0, 0), (0, 0, 2)), t)
        for t in stamps(12)
    ]
    assert np.allclose(Drive(record(speed=None, extra=extra)).speed, 1.0)


def test_values_that_are_not_finite_are_no_measurements(record):
    extra = [
        ('/twist', messages.twist_stamped(t, 'base_link', (np.nan, 0, 0)), t) for t in stamps(12)
    ]
    drive = Drive(record(extra=extra, speed=None), Topics(odometry='/twist'))
    assert not drive.has_speed
    assert drive.problems == ['/twist has no usable velocity']

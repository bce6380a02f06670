import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semdepth_training.selection import Motion, SelectionConfig, runs_of_frames, select

PERIOD = 100_000_000


def drive(count, distance=0.5, flow=np.nan, period=PERIOD):
    stamps = np.arange(count) * period
    steps = np.full(count - 1, 1.0)
    return stamps, np.zeros(count, bool), Motion(steps * distance, steps * flow)


def test_every_inner_frame_of_a_moving_drive_makes_a_triplet():
    selection = select(*drive(10), SelectionConfig())
    assert selection.stride == 1
    assert selection.centers.tolist() == list(range(1, 9))


def test_no_triplet_crosses_a_gap():
    stamps, corrupt, motion = drive(10)
    stamps[5:] += 3 * PERIOD
    centers = select(stamps, corrupt, motion, SelectionConfig()).centers
    assert centers.tolist() == [1, 2, 3, 6, 7, 8]


def test_no_triplet_holds_a_corrupt_frame():
    stamps, corrupt, motion = drive(10)
    corrupt[4] = True
    selection = select(stamps, corrupt, motion, SelectionConfig())
    assert selection.centers.tolist() == [1, 2, 6, 7, 8]
    assert selection.corrupt == 1


def test_frames_of_a_standing_camera_are_left_out_and_counted():
    stamps, corrupt, motion = drive(20)
    motion.distance[8:14] = 0.001
    selection = select(stamps, corrupt, motion, SelectionConfig())
    # Frame 8 moves no more, frame 13 does not move yet, 14 has not moved.
    assert selection.centers.tolist() == [*range(1, 8), *range(15, 19)]
    assert selection.static == 7


def test_slow_footage_gets_a_stride_that_shows_parallax():
    # 30 frames a second at walking pace: 5 cm a frame.
    selection = select(*drive(60, distance=0.05, period=33_000_000), SelectionConfig())
    assert selection.stride == 5


def test_standing_for_most_of_the_drive_does_not_stretch_the_stride():
    stamps, corrupt, motion = drive(60)
    motion.distance[10:] = 0.0
    assert select(stamps, corrupt, motion, SelectionConfig()).stride == 1


def test_without_odometry_motion_is_taken_from_flow():
    assert select(*drive(40, distance=np.nan, flow=0.0026), SelectionConfig()).stride == 2
    still = select(*drive(40, distance=np.nan, flow=0.00001), SelectionConfig())
    assert len(still.centers) == 0


def test_a_given_stride_is_kept():
    selection = select(*drive(20, distance=5.0), SelectionConfig(stride=3))
    assert selection.centers.tolist() == list(range(3, 17))


def test_one_frame_or_two_make_no_triplet():
    for count in (1, 2):
        assert len(select(*drive(count), SelectionConfig()).centers) == 0


@given(
    st.lists(st.sampled_from([1, 1, 1, 2, 5]), min_size=2, max_size=40),
    st.integers(1, 4),
    st.randoms(),
)
def test_triplets_always_lie_within_one_run(steps, stride, random):
    stamps = np.concatenate([[0], np.cumsum(steps)]) * PERIOD
    corrupt = np.array([random.random() < 0.1 for _ in stamps])
    motion = Motion(np.full(len(steps), 1.0), np.full(len(steps), np.nan))
    config = SelectionConfig(stride=stride)
    runs = runs_of_frames(stamps, corrupt, config.max_gap)
    for center in select(stamps, corrupt, motion, config).centers:
        assert len(set(runs[center - stride : center + stride + 1])) == 1
        assert runs[center] >= 0

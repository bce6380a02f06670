import numpy as np
import pytest
import torch

from semdepth_ros.bags.drive import Drive
from semdepth_ros.camera import Camera
from semdepth_training.frame_cache import CacheConfig, PreparedDrive
from semdepth_training.loader import load
from semdepth_training.selection import SelectionConfig
from semdepth_training.triplets import TripletError, select_triplets, split


@pytest.fixture
def prepare(write_bag, tmp_path):
    def prepare(**options):
        config = CacheConfig('never', folder=str(tmp_path / 'cache'))
        drive = PreparedDrive(Drive(write_bag(**options)), 96, 64, config)
        drive.prepare()
        return drive

    return prepare


def divided(drives, bags=(), share=0.0, config=None):
    selections = [select_triplets(drive, config or SelectionConfig()) for drive in drives]
    return split(drives, selections, bags, share)


def frames_of(triplets):
    frames = set()
    for index in range(len(triplets)):
        part, center = triplets.locate(index)
        name = part.drive.drive.name
        frames |= {(name, center + step * part.stride) for step in (-1, 0, 1)}
    return frames


def test_a_triplet_is_target_then_previous_then_next(prepare):
    drive = prepare()
    triplets, _ = divided([drive])
    out = np.zeros((3, 64, 96, 3), np.uint8)
    triplets.read(2, out)
    for image, frame in zip(out, (3, 2, 4)):
        assert np.array_equal(image, drive.drive.image(frame))


def test_distances_come_from_odometry(prepare):
    triplets, _ = divided([prepare(speed=5.0)])
    assert triplets.distances(3) == pytest.approx((0.5, 0.5), abs=1e-3)
    assert triplets.known_distances() == pytest.approx((1.0, 0.5), abs=1e-3)


def test_without_odometry_distances_are_unknown(prepare):
    triplets, _ = divided([prepare(speed=None)])
    assert np.isnan(triplets.distances(0)).all()
    assert triplets.known_distances()[0] == 0


def test_by_time_training_and_validation_share_no_frame(prepare):
    training, validation = divided([prepare(count=30)], share=0.3)
    assert not frames_of(training) & frames_of(validation)
    assert max(f for _, f in frames_of(training)) < min(f for _, f in frames_of(validation))
    assert len(training) == 19 and len(validation) == 7


def test_by_drive_a_validation_bag_is_for_validation_alone(prepare):
    training, validation = divided([prepare(name='a'), prepare(name='b')], bags=['b'])
    assert {name for name, _ in frames_of(training)} == {'a'}
    assert {name for name, _ in frames_of(validation)} == {'b'}


def test_an_unknown_validation_bag_is_named(prepare):
    with pytest.raises(TripletError, match=r"names 'c', expected some of a"):
        divided([prepare(name='a')], bags=['c'])


def test_no_triplet_crosses_from_one_bag_to_the_next(prepare):
    training, _ = divided([prepare(name='a'), prepare(name='b')])
    assert len(training) == 20
    for index in range(20):
        assert 1 <= training.locate(index)[1] <= 10


def test_a_standing_drive_is_refused_with_its_numbers(prepare):
    with pytest.raises(TripletError, match=r'no triplets.*10 static'):
        divided([prepare(speed=0.0)])


def test_one_image_is_refused(prepare):
    with pytest.raises(TripletError, match=r'of 1 frames'):
        divided([prepare(count=1)])


def test_each_bag_keeps_its_own_intrinsics(prepare):
    other = Camera(96, 64, 90.0, 90.0, 40.0, 30.0)
    training, _ = divided([prepare(name='a'), prepare(name='b', camera=other)])
    assert training.intrinsics(0) == (60.0, 60.0, 47.5, 31.5)
    assert training.intrinsics(19) == (90.0, 90.0, 40.0, 30.0)
    assert training.focal_length() == 75.0


def test_a_subset_keeps_the_marked_triplets(prepare):
    training, _ = divided([prepare(name='a'), prepare(name='b')])
    keep = np.zeros(20, bool)
    keep[[3, 12]] = True
    subset = training.subset(keep)
    assert [subset.locate(i)[1] for i in range(2)] == [
        training.locate(3)[1],
        training.locate(12)[1],
    ]


@pytest.mark.parametrize('workers', [1, 3])
def test_the_loader_gives_batches_in_order_as_uint8(prepare, workers):
    training, _ = divided([prepare(count=20)])
    order = [[0, 5], [7, 1], [2, 2], [9, 8], [3, 4], [6, 0]]
    batches = list(load(training, order, workers))
    assert [batch.triplet_B.tolist() for batch in batches] == order
    assert batches[0].images_BNHW3.dtype == torch.uint8
    expected = np.zeros((3, 64, 96, 3), np.uint8)
    training.read(8, expected)
    assert np.array_equal(batches[3].images_BNHW3[1].numpy(), expected)
    assert batches[0].intrinsics_B4[0].tolist() == [60.0, 60.0, 47.5, 31.5]


def test_a_frame_that_cannot_be_read_is_said_by_the_loader(prepare):
    from semdepth_ros.bags.errors import BagError

    drive = prepare(corrupt=(5,))
    drive.corrupt[:] = False
    training, _ = divided([drive])
    with pytest.raises(BagError):
        list(load(training, [[3, 4, 5]], 2))

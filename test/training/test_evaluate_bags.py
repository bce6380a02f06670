"""Truth, labels and poses from bags and folders, and the command on a bag, end to end."""

import math

import cv2
import numpy as np
import pytest

from semdepth_ros.bags import messages
from semdepth_ros.bags.drive import Drive
from semdepth_ros.bags.writer import BagWriter
from semdepth_ros.camera import Camera
from semdepth_training.evaluation.drives import DriveFrames, FrameRangeError, frame_range
from semdepth_training.evaluation.evaluator import Evaluator
from semdepth_training.evaluation.frames import RawDepth
from semdepth_training.evaluation.metrics import Protocol
from semdepth_training.evaluation.poses import camera_poses
from semdepth_training.evaluation.training_mean import training_mean
from semdepth_training.evaluation.truth import BagTruth, FolderTruth, TruthError, open_truth

CAMERA = Camera(96, 64, 70.0, 70.0, 47.5, 24.0)
HEIGHT, SPEED, RATE, FRAMES = 1.5, 5.0, 10, 6
START_NS = 1_000_000_000
#: base_link is x forward, the camera z forward, HEIGHT above it.
T_BASE_CAMERA = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, HEIGHT], [0, 0, 0, 1.0]])


def depth_of(index):
    """A road to a wall, 40 m off at the start, that the camera drives up to; sky above it."""
    y = CAMERA.rays()[..., 1]
    with np.errstate(divide='ignore'):
        road = np.where(y > 0, HEIGHT / y, np.inf)
    wall = np.where(y > -0.2, 40.0 - SPEED / RATE * index, np.inf)
    return np.minimum(road, wall).astype(np.float32)


def label_of(index):
    depth = depth_of(index)
    wall = depth == np.float32(40.0 - SPEED / RATE * index)
    return np.where(np.isinf(depth), 10, np.where(wall, 2, 0)).astype(np.uint8)


def write_bag(path, truth='depth', labels=True):
    with BagWriter(path) as bag:
        edges = [('base_link', 'camera', T_BASE_CAMERA), ('camera', 'lidar', np.eye(4))]
        bag.write('/tf_static', messages.transforms(START_NS, edges), START_NS)
        for index in range(FRAMES):
            stamp = START_NS + index * 10**9 // RATE
            image = np.full((64, 96, 3), 30 * index, np.uint8)
            bag.write('/image_rect', messages.image(stamp, 'camera', image, 'rgb8'), stamp)
            bag.write('/camera_info', messages.camera_info(stamp, 'camera', CAMERA), stamp)
            # Odometry between the frames: poses have to be interpolated.
            for moment in (stamp - 30_000_000, stamp + 30_000_000):
                T = np.eye(4)
                T[0, 3] = SPEED * (moment - START_NS) / 1e9
                message = messages.odometry(moment, 'odom', 'base_link', T, (SPEED, 0, 0))
                bag.write('/odom', message, moment)
            if truth == 'depth':
                message = messages.image(stamp, 'camera', depth_of(index), '32FC1')
                bag.write('/truth/depth/image_rect', message, stamp)
            if truth == 'lidar':
                xyz = CAMERA.unproject(depth_of(index))[::4, ::3].reshape(-1, 3)
                points = np.zeros(len(xyz), [('x', '<f4'), ('y', '<f4'), ('z', '<f4')])
                for axis, name in enumerate('xyz'):
                    points[name] = xyz[:, axis]
                points = points[np.isfinite(points['z'])]
                bag.write('/points', messages.point_cloud(stamp, 'lidar', points), stamp)
            if labels:
                message = messages.image(stamp, 'camera', label_of(index), 'mono8')
                bag.write('/truth/label_mask', message, stamp)
    return path


@pytest.fixture(scope='module')
def street_bag(tmp_path_factory):
    return write_bag(tmp_path_factory.mktemp('bags') / 'street')


@pytest.fixture(scope='module')
def lidar_bag(tmp_path_factory):
    return write_bag(tmp_path_factory.mktemp('bags') / 'lidar', truth='lidar', labels=False)


def frames_of(path, selection=None):
    drive = Drive(path)
    return DriveFrames([drive], [open_truth(drive, None)], selection)


def test_a_depth_topic_gives_depth_labels_and_sky_as_they_were_written(street_bag):
    frame = list(frames_of(street_bag))[2]
    np.testing.assert_array_equal(frame.truth_HW, depth_of(2))
    np.testing.assert_array_equal(frame.label_HW, label_of(2))
    assert (frame.name, frame.image_HW3[0, 0, 0]) == ('street:2', 60)


def test_lidar_truth_lands_on_the_pixels_that_it_came_from(lidar_bag):
    frame = list(frames_of(lidar_bag))[3]
    known = np.isfinite(frame.truth_HW)
    assert known.sum() == np.isfinite(depth_of(3)[::4, ::3]).sum()
    np.testing.assert_allclose(frame.truth_HW[known], depth_of(3)[known], rtol=1e-5)
    assert frame.label_HW is None


def test_poses_are_those_of_the_camera_interpolated_to_the_frames(street_bag):
    poses = camera_poses(Drive(street_bag))
    for index, T in enumerate(poses):
        expected = T_BASE_CAMERA.copy()
        expected[0, 3] = SPEED / RATE * index
        np.testing.assert_allclose(T, expected, atol=1e-6)


def test_true_depth_of_a_drive_scores_perfectly_and_does_not_flicker(street_bag):
    evaluator = Evaluator(Protocol(garg_crop=False))
    for frame in frames_of(street_bag):
        evaluator.add(frame, RawDepth(frame.truth_HW))
    result = evaluator.result()
    assert result.unscaled.abs_rel == 0
    assert result.boundaries.f1 == 1
    assert result.flicker == pytest.approx(0, abs=1e-4)
    assert list(result.modes['unscaled'].per_class) == ['road', 'building']


def test_depth_that_jumps_from_frame_to_frame_flickers(street_bag):
    evaluator = Evaluator(Protocol(garg_crop=False))
    for number, frame in enumerate(frames_of(street_bag)):
        evaluator.add(frame, RawDepth(frame.truth_HW * (1.1 if number % 2 else 1.0)))
    assert evaluator.result().flicker == pytest.approx(math.log(1.1), rel=0.05)


def test_a_half_open_range_selects_frames_of_each_bag(street_bag):
    names = [frame.name for frame in frames_of(street_bag, frame_range('1:3'))]
    assert names == ['street:1', 'street:2']
    assert len(frames_of(street_bag, frame_range('4:'))) == 2
    assert len(frames_of(street_bag, frame_range(':2'))) == 2


@pytest.mark.parametrize('text', ['3', '5:2', '2:2', 'a:b', '-1:3', '1:2:3'])
def test_what_is_no_range_of_frames_is_refused_by_name(text):
    with pytest.raises(FrameRangeError, match=text):
        frame_range(text)


def test_a_range_beyond_the_bag_is_refused(street_bag):
    with pytest.raises(FrameRangeError, match='none of the 6 frames'):
        frames_of(street_bag, frame_range('50:60'))


def test_a_bag_without_truth_says_what_was_expected(tmp_path):
    drive = Drive(write_bag(tmp_path / 'blind', truth=None, labels=False))
    with pytest.raises(TruthError, match='expected a depth image topic, or PointCloud2'):
        BagTruth(drive)


@pytest.mark.parametrize('by_stamp', [False, True])
def test_a_folder_of_png_files_is_matched_by_number_or_stamp(tmp_path, street_bag, by_stamp):
    drive = Drive(street_bag)
    for index in (1, 4):
        name = drive.stamps[index] if by_stamp else f'{index:010d}'
        depth = depth_of(index)
        scaled = np.where(np.isfinite(depth), depth * 256, 0)
        cv2.imwrite(str(tmp_path / f'{name}.png'), scaled.astype(np.uint16))
    frames = DriveFrames([drive], [FolderTruth(tmp_path, drive)])
    assert [frame.name for frame in frames] == ['street:1', 'street:4']
    assert len(frames.problems) == 4
    truth = next(iter(frames)).truth_HW
    known = np.isfinite(depth_of(1))
    np.testing.assert_allclose(truth[known], depth_of(1)[known], atol=1 / 256)
    assert np.isnan(truth[~known]).all()


def test_a_folder_that_fits_no_frame_and_a_file_that_is_no_depth_are_refused(tmp_path, street_bag):
    drive = Drive(street_bag)
    with pytest.raises(TruthError, match='16-bit PNG files'):
        FolderTruth(tmp_path, drive)
    cv2.imwrite(str(tmp_path / '0.png'), np.zeros((4, 4), np.uint8))
    with pytest.raises(TruthError, match=r'0\.png is no 16-bit PNG'):
        FolderTruth(tmp_path, drive).depth(0)


def test_the_training_mean_is_of_truth_where_there_is_any_and_else_of_predictions(
    tmp_path, street_bag
):
    blind = Drive(write_bag(tmp_path / 'blind', truth=None, labels=False))
    evaluated = frames_of(street_bag)

    def predict(image_HW3, camera):
        return RawDepth(np.full((8, 8), 7.0, np.float32))

    for drives, words, expected in (
        ([], 'the evaluated truth itself', None),
        ([Drive(street_bag)], 'street (truth, 6 frames)', None),
        ([blind], 'predictions of the evaluated weights', 7.0),
    ):
        mean, source = training_mean(drives, evaluated, predict, 80.0)
        assert words in source
        bottom = mean.per_row().depth_HW[-1, 0]
        true = depth_of(0)[-1, 0]
        assert bottom == pytest.approx(true if expected is None else expected, rel=0.02)


def test_predictions_of_a_cropping_network_stand_where_they_were_made(tmp_path, street_bag):
    blind = Drive(write_bag(tmp_path / 'blind', truth=None, labels=False))
    top = RawDepth(np.full((8, 8), 7.0, np.float32), window=(slice(0, 32), slice(0, 96)))
    bottom = RawDepth(np.full((8, 8), 3.0, np.float32), window=(slice(32, 64), slice(0, 96)))
    answers = iter([top, bottom] * FRAMES)
    mean, _ = training_mean([blind], frames_of(street_bag), lambda *_: next(answers), 80.0)
    rows = mean.per_row().depth_HW[:, 0]
    assert (rows[0], rows[-1]) == pytest.approx((7, 3), rel=1e-5)

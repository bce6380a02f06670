"""A drive finds its topics, camera, speed, height and truth, or says what is wrong."""

import dataclasses
import pickle

import numpy as np
import pytest
from drive_recordings import CAMERA, START, T_BASE_CAMERA, T_BASE_LIDAR, WALL, stamps, wall_image
from hypothesis import given
from hypothesis import strategies as st

from semdepth_ros.bags import messages
from semdepth_ros.bags.drive import Drive, Topics, open_drives
from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.frames import in_order
from semdepth_ros.camera import Camera


def test_a_drive_gives_frames_camera_speed_and_height(record):
    drive = Drive(record())
    assert len(drive) == 12
    assert drive.topics == Topics('/camera/image_rect/compressed', '/camera/camera_info', '/odom')
    assert drive.stamps.tolist() == stamps(12)
    assert drive.camera == CAMERA.undistorted()
    assert drive.is_rectified
    assert drive.camera_height == pytest.approx(1.5)
    assert np.allclose(drive.speed, 5)
    assert drive.has_speed
    assert drive.distance(2, 6) == pytest.approx(2.0)
    assert drive.distance(6, 2) == pytest.approx(2.0)
    assert np.allclose(drive.steps(), [0.5] * 11)
    assert not drive.has_truth
    assert drive.problems == []
    for index in (11, 0, 5):
        assert np.array_equal(drive.image(index), wall_image(index))
    again = pickle.loads(pickle.dumps(drive))
    assert np.array_equal(again.image(3), wall_image(3))


@pytest.mark.parametrize('compressed', [None, '.png', '.jpg'])
def test_raw_and_compressed_images_are_found(record, compressed):
    image = Drive(record(compressed=compressed)).image(4)
    assert np.abs(image.astype(int) - wall_image(4)).mean() < (10 if compressed == '.jpg' else 1e-9)


def test_of_one_cameras_topics_the_rectified_plain_one_is_taken(record):
    extra = [
        ('/camera/image_raw', messages.image(START, 'camera', wall_image(0), 'rgb8'), START),
        ('/camera/image_rect', messages.image(START, 'camera', wall_image(0), 'rgb8'), START),
        (
            '/label_mask',
            messages.image(START, 'camera', wall_image(0)[..., 0].copy(), 'mono8'),
            START,
        ),
    ]
    assert Drive(record(extra=extra)).topics.image == '/camera/image_rect'


def test_two_cameras_need_a_name(record):
    extra = [('/rear/image_rect', messages.image(START, 'rear', wall_image(0), 'rgb8'), START)]
    path = record(extra=extra)
    with pytest.raises(BagError, match=r'several cameras \(/camera/image_rect/compressed, /rear'):
        Drive(path)
    assert len(Drive(path, Topics(image='/camera/image_rect/compressed'))) == 12


def test_named_topics_must_be_there_and_of_the_right_type(record):
    path = record()
    with pytest.raises(BagError, match=r'no messages on /nowhere, it has: /tf_static \(tf2_msgs'):
        Drive(path, Topics(image='/nowhere'))
    with pytest.raises(BagError, match='/odom is nav_msgs/msg/Odometry, expected sensor_msgs'):
        Drive(path, Topics(image='/odom'))


def test_a_bag_without_images_or_camera_info_is_refused(record):
    with pytest.raises(BagError, match='no camera_info'):
        Drive(record('a', info=False))
    extra = [('/twist', messages.twist_stamped(START, 'base_link', (1, 0, 0)), START)]
    with pytest.raises(BagError, match='no images'):
        Drive(record('b', frames=0, extra=extra))


def test_a_camera_that_changes_is_refused_naming_both(record):
    other = dataclasses.replace(CAMERA, fx=70.0)
    info = ('/camera/camera_info', messages.camera_info(START, 'camera', other), START + 10**12)
    with pytest.raises(BagError, match=r'changes at message 12 .* fx 60, .* fx 70'):
        Drive(record(extra=[info]))


def test_images_that_contradict_camera_info_are_refused_at_once_or_one_by_one(record):
    with pytest.raises(BagError, match='images are 64x48, their camera_info says 65x48'):
        Drive(record('a', camera=dataclasses.replace(CAMERA, width=65)))

    def image(frame):
        return wall_image(frame) if frame != 7 else wall_image(frame)[:40]

    drive = Drive(record('b', image=image))
    with pytest.raises(BagError, match='frame 7 is 64x40'):
        drive.image(7)
    assert drive.image(8).shape == (48, 64, 3)


def test_damaged_frames_at_the_start_do_not_hide_the_rest(record):
    path = record(frames=40)
    (file,) = path.glob('*.mcap')
    data = bytearray(file.read_bytes())
    at = -1
    for _ in range(9):
        at = data.index(b'\x89PNG', at + 1)
        data[at] = 0
    file.write_bytes(data)
    drive = Drive(path)
    assert len(drive) == 40
    with pytest.raises(BagError, match='frame 8 of /camera/image_rect/compressed, stamp'):
        drive.image(8)
    assert np.array_equal(drive.image(9), wall_image(9))


def test_zero_intrinsics_are_refused_naming_the_message(record):
    message = messages.camera_info(START, 'camera', CAMERA)
    message.p[:] = 0
    message.k[:] = 0
    extra = [('/camera/camera_info', message, START - 1)]
    with pytest.raises(BagError, match='camera_info, message 0: camera intrinsics: fx is 0'):
        Drive(record(extra=extra))


def test_images_keep_their_distortion_unless_their_topic_is_called_rectified(record):
    lens = dataclasses.replace(CAMERA, distortion=(-0.2, 0.01, 0.0, 0.0, 0.0))
    assert Drive(record('raw', name='image_raw', camera=lens)).camera == lens
    assert not Drive(record('rect', camera=lens)).camera.is_distorted
    direct = record('direct', prefix='/direct', name='image', camera=lens)
    assert Drive(direct).camera.is_distorted
    assert not Drive(direct, rectified=True).camera.is_distorted


def test_frames_that_repeat_or_jump_back_are_left_out_and_counted(record):
    times = stamps(8)
    times[3] = times[2]
    times[6] = times[1] + 5
    drive = Drive(record(times=times))
    assert drive.stamps.tolist() == [times[k] for k in (0, 1, 2, 4, 5, 7)]
    assert drive.frames.dropped == {'out of order': 2}
    assert np.array_equal(drive.image(3), wall_image(4))


def test_a_clock_set_back_starts_a_second_stretch(record):
    times = [*stamps(6), *(t - 3600 * 10**9 for t in stamps(6))]
    drive = Drive(record(times=times, speed=None))
    assert len(drive) == 12
    assert (np.diff(drive.stamps) > 0).all()
    assert np.array_equal(drive.image(0), wall_image(6))


def test_headers_without_stamps_fall_back_to_the_times_of_recording(record):
    drive = Drive(record(times=[0] * 12, speed=None))
    assert len(drive) == 12
    assert not drive.frames.has_stamps
    assert drive.stamps[0] == START


@given(st.lists(st.integers(0, 40), max_size=60))
def test_frames_in_order_are_strictly_increasing_and_never_interleave(values):
    times = np.array(values, np.int64)
    kept = in_order(times)
    assert (np.diff(times[kept]) > 0).all()
    assert len(set(kept.tolist())) == len(kept)
    if (np.diff(times) > 0).all():
        assert kept.tolist() == list(range(len(times)))


def test_odometry_on_another_clock_is_no_speed_and_said(record):
    times = [t - 10**15 for t in stamps(12)]
    extra = [
        ('/odom', messages.odometry(t, 'odom', 'base_link', np.eye(4), (5, 0, 0)), START)
        for t in times
    ]
    drive = Drive(record(speed=None, extra=extra))
    assert not drive.has_speed
    assert np.isnan(drive.distance(0, 3))
    (problem,) = drive.problems
    assert '/odom covers 0% of the frames: it is stamped from' in problem


def test_a_bag_named_twice_is_refused(record):
    path = record()
    with pytest.raises(BagError, match='is named twice'):
        open_drives([path, path / '..' / path.name])
    assert [drive.name for drive in open_drives([path, record('other')])] == ['drive', 'other']


def cloud(points):
    array = np.zeros(len(points), [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('intensity', '<f4')])
    array['x'], array['y'], array['z'] = np.transpose(points)
    return array


def test_lidar_comes_through_the_transforms_and_the_nearest_point_wins(record):
    # In the LiDAR's frame: x forward, z up; the camera is half a metre below it.
    points = [(10, 0, -0.5), (20, 0, -0.5), (10, 2, 0.5), (-5, 0, 0), (np.nan, 0, 0)]
    extra = [
        ('/points', messages.point_cloud(t + 20_000_000, 'lidar', cloud(points)), t)
        for t in stamps(2)
    ]
    drive = Drive(record(frames=4, extra=extra))
    assert drive.has_truth
    assert drive.truth_topic == '/points'
    depth = drive.truth(0, CAMERA)
    assert depth.dtype == np.float32
    known = {(int(v), int(u)): float(depth[v, u]) for v, u in np.argwhere(np.isfinite(depth))}
    # A point at the axis, and one 2 m to the left and 1 m up, at 10 m.
    assert known == {
        (24, 32): pytest.approx(10),
        (round(23.5 - 60 * 0.1 + 1e-6), round(31.5 - 60 * 0.2 + 1e-6)): pytest.approx(10),
    }
    half = drive.truth(0, CAMERA.resized(32, 24))
    assert np.isfinite(half).sum() == 2
    # The third frame is further from any cloud than half a frame.
    assert np.isnan(drive.truth(2, CAMERA)).all()


def test_lidar_without_a_transform_is_no_truth_and_said_or_refused_if_named(record):
    extra = [('/points', messages.point_cloud(START, 'roof', cloud([(10, 0, 0)])), START)]
    path = record(extra=extra)
    drive = Drive(path)
    assert not drive.has_truth
    assert "/points is in frame 'roof', from which" in drive.problems[0]
    with pytest.raises(BagError, match='has no depth truth'):
        drive.truth(0, CAMERA)
    with pytest.raises(BagError, match="frame 'roof'"):
        Drive(path, Topics(truth='/points'))


@pytest.mark.parametrize('encoding', ['32FC1', '16UC1'])
def test_a_depth_image_is_truth_at_any_size_and_crop(record, encoding):
    v, u = np.mgrid[:48, :64]
    metres = (2 + u * 0.5 + v * 0.25).astype(np.float32)
    metres[10, 20] = 0
    data = metres if encoding == '32FC1' else (metres * 1000).astype(np.uint16)
    extra = [
        ('/camera/depth/image_rect', messages.image(t, 'camera', data, encoding), t)
        for t in stamps(12)
    ]
    drive = Drive(record(extra=extra))
    assert drive.truth_topic == '/camera/depth/image_rect'
    depth = drive.truth(5, CAMERA)
    assert np.isnan(depth[10, 20])
    depth[10, 20] = metres[10, 20] = 1
    assert np.allclose(depth, metres, atol=1e-3)
    crop = drive.truth(5, CAMERA.cropped(10, 5, 30, 20))
    assert np.allclose(crop[6:], metres[11:25, 10:40], atol=1e-3)
    # Half the size: each pixel takes one of four that are equally near.
    half = drive.truth(5, CAMERA.resized(32, 24))
    assert np.allclose(half[6:], metres[12::2, ::2], atol=1e-3)
    beyond = drive.truth(5, CAMERA.cropped(-8, 0, 80, 48))
    assert np.isnan(beyond[:, :8]).all()
    assert np.isfinite(beyond[11, 8:72]).all()


def test_truth_in_a_distorted_depth_image_is_where_the_rectified_image_shows_it(record):
    lens = Camera(64, 48, 60.0, 60.0, 31.5, 23.5, 'plumb_bob', (-0.3, 0.05, 0.0, 0.0, 0.0))
    # Depth tells the row and column of the distorted pixel.
    v, u = np.mgrid[:48, :64]
    code = (1 + u + v * 100).astype(np.float32)
    extra = [('/camera/depth/image_raw', messages.image(START, 'camera', code, '32FC1'), START)]
    path = record(name='image_raw', camera=lens, extra=extra)
    drive = Drive(path)
    depth = drive.truth(0, lens.undistorted())
    # Barrel distortion: the corner of the rectified image shows what lies further in.
    x, y = (2 - 31.5) / 60, (3 - 23.5) / 60
    r2 = x * x + y * y
    factor = 1 - 0.3 * r2 + 0.05 * r2 * r2
    seen_u, seen_v = x * factor * 60 + 31.5, y * factor * 60 + 23.5
    found_v, found_u = divmod(int(depth[3, 2]) - 1, 100)
    assert abs(found_u - seen_u) <= 0.55
    assert abs(found_v - seen_v) <= 0.55


def test_the_transforms_of_the_fixture_agree_with_each_other():
    # What the LiDAR test above assumes: looking forward, half a metre apart.
    T = np.linalg.inv(T_BASE_CAMERA) @ T_BASE_LIDAR
    assert np.allclose(T @ [10, 0, -0.5, 1], [0, 0, 10, 1])
    assert WALL.dtype == np.uint8


def test_the_real_lidar_covers_the_view(shared_data):
    drive = Drive(shared_data('bags/kitti_sfnd'))
    depth = drive.truth(10, drive.camera)
    assert 0.02 < np.isfinite(depth).mean() < 0.1
    assert 2 < np.nanmin(depth) < np.nanmax(depth) < 90
    # The road right in front of the car lies 1.65 m below the camera.
    v, u = np.argwhere(np.isfinite(depth[340:, 560:680]))[-1] + (340, 560)
    height = (v - drive.camera.cy) / drive.camera.fy * depth[v, u]
    assert height == pytest.approx(1.65, abs=0.25)


def test_the_real_odometry_drives_as_far_as_published(shared_data):
    drive = Drive(shared_data('bags/kitti_odom_03'))
    assert drive.distance(0, 800) == pytest.approx(561, abs=2)
    assert np.isfinite(drive.speed).all()

"""A street drive written to a bag and read again."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from semdepth_ros import cli
from semdepth_ros.bags.reader import Bag
from semdepth_ros.camera import Camera
from semdepth_ros.encodings import decode_compressed
from semdepth_ros.simulation import StreetConfig, StreetDrive, default_camera
from semdepth_ros.simulation.bag import write_street_bag


def small_drive(**fields):
    return StreetDrive(StreetConfig(seed=3, camera=default_camera(160, 64), **fields))


def pixels(message, dtype):
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width, -1).squeeze()


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_bag_holds_the_frames_and_the_truth(tmp_path, storage):
    world = small_drive()
    assert write_street_bag(tmp_path / 'street', world, range(3, 7), storage) == 4
    bag = Bag(tmp_path / 'street')
    counts = {name: topic.count for name, topic in bag.topics.items()}
    assert counts == {
        '/camera/image_rect/compressed': 4,
        '/camera/camera_info': 4,
        '/odom': 4,
        '/tf_static': 1,
        '/truth/depth/image_rect': 4,
        '/truth/depth/camera_info': 4,
        '/truth/label_mask': 4,
    }
    frame = world.frame(5)
    image = bag.message('/camera/image_rect/compressed', 2)
    decoded = decode_compressed(image.format, image.data).astype(float)
    assert np.abs(decoded - frame.image).mean() < 4
    depth = bag.message('/truth/depth/image_rect', 2)
    assert (depth.encoding, depth.header.frame_id) == ('32FC1', 'camera_color_optical_frame')
    np.testing.assert_array_equal(pixels(depth, np.float32), frame.depth)
    label = bag.message('/truth/label_mask', 2)
    assert label.encoding == 'mono8'
    np.testing.assert_array_equal(pixels(label, np.uint8), frame.label)
    odometry = bag.message('/odom', 2)
    position = odometry.pose.pose.position
    np.testing.assert_allclose([position.x, position.y], frame.T_world_base[:2, 3])
    assert odometry.twist.twist.linear.x == frame.speed
    assert odometry.child_frame_id == 'base_link'
    for topic in ('/camera/camera_info', '/truth/depth/camera_info'):
        info = bag.message(topic, 2)
        assert Camera.from_camera_info(info, rectified=True) == frame.camera
        stamp = info.header.stamp
        assert stamp.sec * 10**9 + stamp.nanosec == frame.stamp_ns
    (mount,) = bag.message('/tf_static', 0).transforms
    assert (mount.header.frame_id, mount.child_frame_id) == (
        'base_link',
        'camera_color_optical_frame',
    )
    assert mount.transform.translation.z == world.camera_height


def test_a_distorted_drive_has_raw_images_and_rectified_truth(tmp_path):
    lens = Camera(160, 64, 100.0, 100.0, 80.0, 32.0, 'plumb_bob', (-0.2, 0.05, 0.0, 0.0, 0.0))
    world = StreetDrive(StreetConfig(seed=3, camera=lens))
    write_street_bag(tmp_path / 'street', world, [0, 1], raw=True)
    bag = Bag(tmp_path / 'street')
    image = bag.message('/camera/image_raw', 1)
    np.testing.assert_array_equal(pixels(image, np.uint8), world.frame(1).image)
    assert Camera.from_camera_info(bag.message('/camera/camera_info', 1)) == lens
    truth = Camera.from_camera_info(bag.message('/truth/depth/camera_info', 1))
    assert not truth.is_distorted
    depth = pixels(bag.message('/truth/depth/image_rect', 1), np.float32)
    np.testing.assert_array_equal(depth, world.seen_by(lens.undistorted()).frame(1).depth)


def test_the_command_writes_a_bag(tmp_path, capsys):
    output = tmp_path / 'street'
    arguments = '--seed 5 --frames 4 --size 96x48 --rate 20 --storage sqlite3 --convoy 1'.split()
    distortion = ['--distortion', 'equidistant:0.01,0.002,0,0']
    assert cli.main(['simulate', '--output', str(output), *arguments, *distortion]) == 0
    bag = Bag(output)
    assert bag.topics['/camera/image_raw/compressed'].count == 4
    np.testing.assert_allclose(np.diff(bag.header_stamps('/odom')), 50_000_000)
    assert '4 frames' in capsys.readouterr().err


def test_the_command_renders_a_jam(tmp_path):
    def depth(name, *arguments):
        output = str(tmp_path / name)
        common = '--seed 2 --frames 6 --size 96x48 --traffic 1'.split()
        assert cli.main(['simulate', '--output', output, *common, *arguments]) == 0
        return pixels(Bag(tmp_path / name).message('/truth/depth/image_rect', 5), np.float32)

    camera = default_camera(96, 48)
    expected = StreetDrive(StreetConfig(2, 6, camera=camera, traffic=1.0, jam=True)).frame(5).depth
    np.testing.assert_array_equal(depth('jam', '--jam'), expected)
    assert not np.array_equal(depth('flowing'), expected)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--size', '640'], "--size is '640'"),
        (['--size', '0x5'], 'camera size 0x5'),
        (['--frames', '-3'], 'frames is -3'),
        (['--jam', '--convoy', '1'], 'jam is set and convoy is 1.0'),
        (['--distortion', 'barrel'], "--distortion is 'barrel'"),
        (['--distortion', 'plumb_bob:1,2'], "'1,2', expected 4 or 5"),
        (['--distortion', 'equidistant:a,b,c,d'], 'a,b,c,d'),
    ],
)
def test_bad_arguments_are_named_and_leave_nothing(tmp_path, capsys, arguments, words):
    output = tmp_path / 'street'
    assert cli.main(['simulate', '--output', str(output), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_existing_bag_is_not_overwritten(tmp_path, capsys):
    output = tmp_path / 'street'
    output.mkdir()
    assert cli.main(['simulate', '--output', str(output), '--size', '32x16']) == 2
    assert 'exists' in capsys.readouterr().err


def test_ctrl_c_leaves_a_whole_shorter_bag(tmp_path):
    output = tmp_path / 'street'
    command = [sys.executable, '-m', 'semdepth_ros.cli', 'simulate', '--output', str(output)]
    process = subprocess.Popen(
        [*command, '--frames', '5000', '--size', '96x48'], stderr=subprocess.PIPE, text=True
    )
    try:
        # The bag grows in a hidden folder; wait until some frames have reached it.
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            files = list(tmp_path.glob('.street*/**/*.mcap'))
            if files and os.path.getsize(files[0]) > 100_000:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert 'Traceback' not in err
    assert [path.name for path in tmp_path.iterdir()] == ['street']
    bag = Bag(output)
    assert not bag.problems
    assert 0 < bag.topics['/camera/camera_info'].count < 5000

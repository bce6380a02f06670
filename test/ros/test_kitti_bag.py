"""A recording played at 10 Hz by another process into the node, every frame accounted for."""

import functools
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('rosbags')

from ros_harness import NodeProcess, cloud_array, image_array
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from semdepth_ros.bags.reader import Bag
from semdepth_ros.camera import Camera
from semdepth_ros.classes import ROAD, SKY

OUT = '/depth_node/'
KINDS = {
    'depth/image_rect': Image,
    'depth/camera_info': CameraInfo,
    'points': PointCloud2,
    'label_mask': Image,
    'label_mask/confidence': Image,
}
IMAGES = '/camera/image_rect/compressed'


def stamp_of(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.fixture(scope='module')
def played_once():
    return []


@pytest.fixture
def played(played_once, bench, shared_data, tmp_path_factory):
    """Return the bag and what the node made of it; played for the first test that asks."""
    if not played_once:
        bag = shared_data('bags/kitti_raw_0095')
        labels = shared_data('weights/espnetv2_s_2.0_city_1024x512.pth')
        played_once.append(play(bench, bag, labels, tmp_path_factory.mktemp('kitti')))
    return played_once[0]


def play(bench, path, source, folder):
    """Play a bag through the node with ESPNetv2; return the bag, the messages, the counts."""
    from semdepth_ros.commands.weights import main as weights

    file = folder / 'espnetv2.safetensors'
    arguments = ['assemble', '--depth', 'efficientnet_lite0', '--semantic', 'espnetv2']
    weights([*arguments, '--semantic-weights', str(source), '--output', str(file)])

    messages = {name: {} for name in KINDS}

    def keep(name, message):
        # A cloud takes 2.5 MB: some are enough.
        if name != 'points' or len(messages[name]) < 50:
            messages[name][stamp_of(message)] = message

    subscriptions = [
        bench.node.create_subscription(kind, OUT + name, functools.partial(keep, name), 50)
        for name, kind in KINDS.items()
    ]
    process = NodeProcess(
        *('-r', 'image:=/camera/image_rect', '-r', 'camera_info:=/camera/camera_info'),
        *('-p', 'image_transport:=compressed', '-p', f'weights:={file}'),
        *('-p', 'engine:=torch', '-p', 'precision:=float32'),
    )
    try:
        bench.until(lambda: 'engine torch' in process.log, 'the engine', seconds=200)
        player = subprocess.Popen([sys.executable, '-m', 'semdepth_ros.ros.play', str(path)])
        bench.until(lambda: player.poll() is not None, 'the end of the bag', seconds=200)
        assert player.returncode == 0
        bench.diagnostics.clear()
        bench.until(lambda: bench.value('camera', 'waiting') == '0', 'settled counts')
        counts = {pair.key: pair.value for pair in bench.status('camera').values}
        print(counts)
        return Bag(path), messages, counts
    finally:
        process.kill()
        for subscription in subscriptions:
            bench.node.destroy_subscription(subscription)


def test_every_frame_is_published_or_counted_as_dropped(played):
    bag, _, counts = played
    frames = len(bag.header_stamps(IMAGES))
    gone = ('published', 'replaced', 'failed', 'unheard', 'unmatched', 'discarded')
    assert int(counts['received']) + int(counts['lost in transport']) == frames
    assert sum(int(counts[name]) for name in gone) == int(counts['received'])
    assert int(counts['failed']) == 0
    assert int(counts['published']) > 0


def test_stamps_and_frame_are_those_of_the_recording(played):
    bag, messages, _ = played
    recorded = set(bag.header_stamps(IMAGES).tolist())
    frame_id = bag.message(IMAGES, 0).header.frame_id
    for name, found in messages.items():
        assert found and set(found) <= recorded, name
        assert {m.header.frame_id for m in found.values()} == {frame_id}, name


def test_camera_info_labels_and_cloud_are_aligned_with_depth(played):
    _, messages, _ = played
    whole = set.intersection(*(set(found) for found in messages.values()))
    assert whole
    recorded = messages['depth/camera_info'][min(whole)]
    for stamp in whole:
        depth = image_array(messages['depth/image_rect'][stamp])
        camera = Camera.from_camera_info(messages['depth/camera_info'][stamp])
        assert camera.K.tolist() == np.reshape(recorded.k, (3, 3)).tolist()
        assert depth.shape == (camera.height, camera.width)
        for name in ('label_mask', 'label_mask/confidence'):
            assert image_array(messages[name][stamp]).shape == depth.shape
        points = cloud_array(messages['points'][stamp])
        assert points.shape == depth.shape
        finite = np.isfinite(points['z'])
        np.testing.assert_allclose(points['z'][finite], depth[finite], rtol=1e-5)
        xyz = np.stack([points[axis] for axis in 'xyz'], axis=-1)[finite].astype(np.float64)
        rows, columns = np.nonzero(finite)
        expected = np.stack([columns, rows], axis=1)
        np.testing.assert_allclose(camera.project(xyz), expected, atol=0.01)


def test_intrinsics_follow_the_image(played):
    bag, messages, _ = played
    info = bag.message('/camera/camera_info', 0)
    source = Camera.from_camera_info(info)
    found = Camera.from_camera_info(next(iter(messages['depth/camera_info'].values())))
    # Cropped and resized: one scale for both axes to 5 %, and the same ray through the centre
    # of what is seen.
    scale = found.fx / source.fx
    assert found.fy / source.fy == pytest.approx(scale, rel=0.05)
    centre = (found.width - 1) / 2
    assert (centre - found.cx) / found.fx == pytest.approx(
        ((source.width - 1) / 2 - source.cx) / source.fx, abs=0.01
    )


def test_the_road_lies_below_the_horizon_and_the_sky_is_infinitely_far(played):
    _, messages, _ = played
    camera = Camera.from_camera_info(next(iter(messages['depth/camera_info'].values())))
    below, road_pixels = 0, 0
    for stamp, message in messages['label_mask'].items():
        label = image_array(message)
        rows = np.nonzero(label == ROAD)[0]
        below += int((rows > camera.cy).sum())
        road_pixels += rows.size
        if stamp not in messages['depth/image_rect']:
            continue  # reliable, but keep last 1: a slow listener may miss one
        depth = image_array(messages['depth/image_rect'][stamp])
        assert np.isposinf(depth[label == SKY]).all()
    share = road_pixels / sum(image_array(m).size for m in messages['label_mask'].values())
    print(f'road: {share:.1%} of the pixels, {below / road_pixels:.2%} of it below the horizon')
    assert share > 0.1
    assert below / road_pixels > 0.99

"""`semdepth infer`: from images, videos and bags to files and bags, losing nothing."""

import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from semdepth_ros.bags.drive import Drive
from semdepth_ros.bags.messages import stamp_ns
from semdepth_ros.bags.reader import Bag
from semdepth_ros.camera import Camera
from semdepth_ros.commands.infer import main
from semdepth_ros.errors import SemdepthError
from semdepth_ros.pointcloud import POINT_DTYPE

IMAGE_TOPICS = {
    'depth/image_rect': '32FC1',
    'label_mask': 'mono8',
    'label_mask/confidence': 'mono8',
    'depth/image_color': 'rgb8',
    'label_mask/image_color': 'rgb8',
}


def infer(*arguments, weights):
    return main([*map(str, arguments), '--weights', str(weights), '--engine', 'torch'])


@pytest.fixture(scope='module')
def images(tmp_path_factory, street_bag):
    """A folder with three pictures of the street, one of them cut short."""
    folder = tmp_path_factory.mktemp('images')
    drive = Drive(street_bag)
    for index in range(3):
        bgr = cv2.cvtColor(drive.image(index), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f'frame_{index}.png'), bgr)
    whole = (folder / 'frame_1.png').read_bytes()
    (folder / 'frame_1.png').write_bytes(whole[: len(whole) // 2])
    return folder


def test_a_folder_gives_every_kind_of_file_and_a_damaged_image_is_named(
    images, tmp_path, tiny_weights, capsys
):
    assert infer(images, '--output', tmp_path / 'out', weights=tiny_weights) == 1
    said = capsys.readouterr().err
    assert 'frame_1.png' in said
    assert '2 frames done, 1 problems' in said
    for name in ('frame_0', 'frame_2'):
        depth = np.load(tmp_path / 'out/depth' / f'{name}.npy')
        millimetres = cv2.imread(str(tmp_path / 'out/depth_mm' / f'{name}.png'), -1)
        label = cv2.imread(str(tmp_path / 'out/label' / f'{name}.png'), -1)
        picture = cv2.imread(str(tmp_path / 'out/picture' / f'{name}.png'))
        assert depth.dtype == np.float32
        assert depth.shape == millimetres.shape == label.shape == (96, 320)
        assert picture.shape == (3 * 96, 320, 3)
        near = np.isfinite(depth) & (depth < 65)
        assert millimetres.dtype == np.uint16
        np.testing.assert_allclose(millimetres[near] / 1000, depth[near], atol=6e-4)
        assert (millimetres[~np.isfinite(depth)] == 0).all()
        header = (tmp_path / 'out/cloud' / f'{name}.ply').read_bytes().split(b'end_header')[0]
        assert header.startswith(b'ply')
    assert not (tmp_path / 'out/depth/frame_1.npy').exists()


def test_a_single_image_and_a_video_are_read(images, tmp_path, tiny_weights):
    image = images / 'frame_0.png'
    kinds = ('--kinds', 'depth')
    assert infer(image, '--output', tmp_path / 'one', *kinds, weights=tiny_weights) == 0
    assert [p.name for p in (tmp_path / 'one/depth').iterdir()] == ['frame_0.npy']
    writer = cv2.VideoWriter(
        str(tmp_path / 'drive.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (320, 96)
    )
    for _ in range(3):
        writer.write(cv2.imread(str(image)))
    writer.release()
    output = tmp_path / 'video'
    assert infer(tmp_path / 'drive.avi', '--output', output, *kinds, weights=tiny_weights) == 0
    assert sorted(p.stem for p in (output / 'depth').iterdir()) == ['000000', '000001', '000002']


@pytest.fixture(scope='module')
def result_bag(tmp_path_factory, street_bag, tiny_weights):
    path = tmp_path_factory.mktemp('result') / 'street_depth.bag'
    assert infer(street_bag, '--output', f'{path}/', weights=tiny_weights) == 0
    return path


def test_a_bag_gives_a_bag_with_every_topic_of_the_node_and_untouched_stamps(
    street_bag, result_bag
):
    drive, bag = Drive(street_bag), Bag(result_bag)
    names = [f'/depth_node/{name}' for name in (*IMAGE_TOPICS, 'points', 'depth/camera_info')]
    for name in names:
        stamps = [stamp_ns(bag.message(name, i)) for i in range(bag.topics[name].count)]
        assert stamps == drive.stamps.tolist(), name
        assert bag.message(name, 0).header.frame_id == drive.frame_id
    for name, encoding in IMAGE_TOPICS.items():
        assert bag.message(f'/depth_node/{name}', 0).encoding == encoding
    assert bag.topics['/depth_node/label_info'].count == 1
    assert bag.topics['/tf_static'].count == 1


def test_the_cloud_of_the_bag_is_aligned_with_its_depth(result_bag):
    bag = Bag(result_bag)
    cloud = bag.message('/depth_node/points', 2)
    camera = Camera.from_camera_info(bag.message('/depth_node/depth/camera_info', 2))
    assert (cloud.width, cloud.height) == camera.size
    assert not cloud.is_dense
    points = cloud.data.view(POINT_DTYPE).reshape(cloud.height, cloud.width)
    xyz = np.stack([points['x'], points['y'], points['z']], -1).astype(np.float64)
    finite = np.isfinite(xyz).all(-1)
    rows, columns = np.nonzero(finite)
    assert finite.any()
    pixels = camera.project(xyz[finite])
    np.testing.assert_allclose(pixels, np.stack([columns, rows], -1), atol=0.01)


def test_an_output_bag_that_exists_is_not_touched(street_bag, result_bag, tiny_weights):
    before = (result_bag / 'metadata.yaml').read_bytes()
    with pytest.raises(SemdepthError, match='exists already'):
        infer(street_bag, '--output', f'{result_bag}/', weights=tiny_weights)
    assert (result_bag / 'metadata.yaml').read_bytes() == before


def test_ctrl_c_keeps_what_is_done_as_a_whole_bag(street_bag, tmp_path, tiny_weights):
    folder = tmp_path / 'long'
    folder.mkdir()
    bgr = cv2.cvtColor(Drive(street_bag).image(0), cv2.COLOR_RGB2BGR)
    for index in range(2000):
        cv2.imwrite(str(folder / f'{index:04d}.jpg'), bgr)
    output = tmp_path / 'done.bag'
    command = [sys.executable, '-m', 'semdepth_ros.cli', 'infer', str(folder), '--weights']
    command += [str(tiny_weights), '--output', str(output), '--engine', 'torch']
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    growing = lambda: [p for p in tmp_path.glob('.done.bag.*/**/*') if p.stat().st_size > 10_000]  # noqa: E731
    deadline = time.monotonic() + 120
    while not growing() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert 'Traceback' not in said
    count = Bag(output).topics['/depth_node/depth/image_rect'].count
    assert 0 < count < 2000
    assert not list(tmp_path.glob('.done.bag.*'))


def test_a_truncated_bag_gives_what_is_whole_and_says_so(
    street_bag, tmp_path, tiny_weights, capsys
):
    broken = tmp_path / 'broken'
    shutil.copytree(street_bag, broken)
    data = next(broken.glob('*.mcap'))
    os.truncate(data, int(data.stat().st_size * 0.6))
    arguments = ('--output', tmp_path / 'out', '--kinds', 'depth')
    assert infer(broken, *arguments, weights=tiny_weights) == 1
    done = len(list((tmp_path / 'out/depth').iterdir()))
    assert 0 < done < 6
    said = capsys.readouterr().err
    assert data.name in said or 'broken' in said
    assert f'{done} frames done' in said


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--stride', '0'], 'stride is 0'),
        (['--kinds', 'depth,smell'], 'smell'),
        (['--camera-height', '-1'], 'camera_height is -1'),
        (['--camera-info', 'missing.yaml'], 'missing.yaml'),
    ],
)
def test_bad_options_are_one_clear_error(images, tmp_path, tiny_weights, arguments, words):
    with pytest.raises(SemdepthError, match=words):
        infer(images, '--output', tmp_path / 'out', *arguments, weights=tiny_weights)


def test_intrinsics_come_from_a_calibration_file(images, tmp_path, tiny_weights):
    calibration = tmp_path / 'camera.yaml'
    text = """
image_width: 320
image_height: 96
camera_name: front
camera_matrix: {{rows: 3, cols: 3, data: [{f}, 0, 160, 0, {f}, 48, 0, 0, 1]}}
distortion_model: plumb_bob
distortion_coefficients: {{rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}}
"""
    depths = []
    for focal in (200.0, 400.0):
        calibration.write_text(text.format(f=focal))
        output = tmp_path / f'out_{focal:g}'
        options = ('--camera-info', calibration, '--kinds', 'depth', '--max-depth', 1000)
        infer(images / 'frame_0.png', '--output', output, *options, weights=tiny_weights)
        depths.append(np.load(output / 'depth/frame_0.npy'))
    both = np.isfinite(depths[0]) & np.isfinite(depths[1])
    np.testing.assert_allclose(depths[1][both], 2 * depths[0][both], rtol=1e-5)

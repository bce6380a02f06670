"""Bad input gets one clear message, a diagnostic, no crash and no wrong output."""

import dataclasses
import re

import numpy as np
import pytest

pytest.importorskip('rclpy')

from ros_harness import CAMERA, NodeProcess, header, image, image_array, info, picture
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest

DEPTH, DEPTH_INFO = '/depth_node/depth/image_rect', '/depth_node/depth/camera_info'


@pytest.fixture(scope='module')
def node(bench, tiny_weights):
    process = NodeProcess(
        *('-p', f'weights:={tiny_weights}'),
        *('-p', 'engine:=torch', '-p', 'device:=cpu', '-p', 'precision:=float32'),
        *('-p', 'image_timeout:=1.0'),
    )
    yield process
    process.kill()


@pytest.fixture
def stage(node, bench):
    """Give the running node with its depth subscribed, after a good frame."""
    stage = Stage(node, bench)
    bench.listen(Image, DEPTH)
    bench.listen(CameraInfo, DEPTH_INFO)
    stage.good_frame()
    yield stage
    # Whatever came, the next good frame is published, and the node has not ended.
    stage.good_frame()
    assert node.is_running()
    assert 'Traceback' not in node.log


class Stage:
    stamp = 1000.0

    def __init__(self, node, bench):
        self.node, self.bench = node, bench

    def next_stamp(self):
        Stage.stamp += 0.1
        return Stage.stamp

    def good_frame(self, rgb=None, camera_info=None, message=None):
        """Publish a frame until its depth comes; return depth and camera_info."""
        bench = self.bench
        # What is on its way may be an earlier frame.
        start = header(self.stamp).stamp

        def frame(number):
            made = image(picture() if rgb is None else rgb, 0.0) if message is None else message
            made.header = header(self.next_stamp())
            return made, camera_info or info()

        def newest(topic):
            found = bench.heard[topic]
            return found and stamp_of(found[-1]) > (start.sec, start.nanosec) and found[-1]

        bench.show_until(frame, lambda: newest(DEPTH) and newest(DEPTH_INFO), 'depth')
        return image_array(newest(DEPTH)), newest(DEPTH_INFO)

    def fault(self, message, camera_info, words):
        """Show bad frames until log and diagnostics say so, and nothing was published for them."""
        bench = self.bench
        stamps = []

        def frame(number):
            stamps.append(self.next_stamp())
            message.header = header(stamps[-1])
            return message, camera_info

        def complains():
            entry = bench.status('camera')
            return (
                entry is not None
                and entry.level == entry.ERROR
                and re.search(words, entry.message)
                and re.search(words, self.node.log)
            )

        bench.show_until(frame, complains, words)
        bad = {(h.sec, h.nanosec) for h in (header(stamp).stamp for stamp in stamps)}
        assert not bad & {*map(stamp_of, bench.heard[DEPTH])}


def stamp_of(message):
    return message.header.stamp.sec, message.header.stamp.nanosec


def with_k(**changes):
    message = info()
    for index, value in changes.items():
        message.k[int(index[1:])] = value
    return message


def raw(encoding, width, height, step, data, big_endian=False):
    message = Image(encoding=encoding, width=width, height=height, step=step)
    message.is_bigendian = big_endian
    message.data.frombytes(data)
    return message


@pytest.mark.parametrize(
    ('message', 'camera_info', 'words'),
    [
        (image(picture(), 0, 'nonsense8'), info(), r'nonsense8'),
        (
            image(picture(100, 50), 0),
            info(),
            r'/image: image is 100x50, but /camera_info says 640x192',
        ),
        (image(picture(), 0), with_k(k0=0.0), r'/camera_info: .*fx is 0\.0, expected more than 0'),
        (image(picture(), 0), with_k(k4=float('nan')), r'/camera_info: .*fy is nan'),
        (raw('rgb8', 640, 192, 640 * 3, b'too short'), info(), r'9\b'),
        (raw('rgb8', 640, 192, 100, bytes(192 * 100)), info(), r'step'),
        (raw('rgb8', 0, 0, 0, b''), info(), r'0x0'),
        (
            image(picture(), 0),
            info(dataclasses.replace(CAMERA, distortion_model='spline', distortion=(1.0,))),
            r"distortion model 'spline'",
        ),
        (raw('rgb8', 4_000_000_000, 4_000_000_000, 3, b'abc'), info(), r'4000000000'),
    ],
    ids=[
        'unknown encoding',
        'size against camera_info',
        'zero focal length',
        'NaN intrinsics',
        'too few bytes',
        'step too small',
        'empty image',
        'unknown distortion',
        'a lying header',
    ],
)
def test_bad_input_is_named_and_nothing_is_published_for_it(stage, message, camera_info, words):
    stage.fault(message, camera_info, words)


def test_rows_with_padding_give_the_same_depth_as_rows_without(stage):
    rgb = picture(seed=5)
    padded = np.full((192, 640 * 3 + 64), 77, np.uint8)
    padded[:, : 640 * 3] = rgb.reshape(192, -1)
    message = raw('rgb8', 640, 192, padded.shape[1], padded.tobytes())
    expected, _ = stage.good_frame(rgb)
    found, _ = stage.good_frame(message=message)
    np.testing.assert_array_equal(found, expected)


def test_big_endian_data_gives_the_same_depth_as_little_endian(stage):
    gray = picture(seed=6)[..., 0].astype(np.uint16) * 256
    little = raw('mono16', 640, 192, 1280, gray.astype('<u2').tobytes())
    big = raw('mono16', 640, 192, 1280, gray.astype('>u2').tobytes(), big_endian=True)
    expected, _ = stage.good_frame(message=little)
    found, _ = stage.good_frame(message=big)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('size', [(1, 1), (4000, 3000)], ids=['1x1', '12 megapixels'])
def test_an_image_of_any_size_gives_depth_with_its_camera(stage, size):
    width, height = size
    camera = dataclasses.replace(
        CAMERA, width=width, height=height, cx=(width - 1) / 2, cy=(height - 1) / 2
    )
    bench = stage.bench
    bench.publisher(Image, '/image')
    _, found = stage.good_frame(picture(width, height), info(camera))
    assert (found.width, found.height) == (320, 96)
    assert found.k[2] == pytest.approx(159.5, abs=1) and found.k[5] == pytest.approx(47.5, abs=1)


def test_binning_and_region_of_interest_of_camera_info_are_honoured(stage):
    message = info(CAMERA.resized(1280, 384))
    message.width, message.height = 1280, 400
    message.k[5] += 16
    message.roi = RegionOfInterest(x_offset=0, y_offset=16, width=1280, height=384)
    message.binning_x = message.binning_y = 2
    _, found = stage.good_frame(camera_info=message)
    _, expected = stage.good_frame()
    np.testing.assert_allclose(found.k, expected.k)


def test_stamps_that_jump_back_are_said_and_the_frames_published(stage):
    bench = stage.bench
    Stage.stamp -= 500
    first = Stage.stamp
    bench.show_until(
        lambda n: (image(picture(), stage.next_stamp()), info()),
        lambda: any(first < stamp_of(m)[0] + 1 < first + 300 for m in bench.heard[DEPTH]),
        'depth with the earlier stamps',
    )
    words = r'/image: stamps jump back by \d+\.\d+ s'
    stage.bench.until(lambda: re.search(words, stage.node.log), words)
    stage.bench.until(lambda: re.search(words, stage.bench.value('camera', 'last warning')), words)


def test_camera_info_that_never_comes_is_said_with_both_topics(node, bench):
    bench.listen(Image, DEPTH)
    assert bench.change('deactivate') and bench.change('activate')
    bench.heard[DEPTH].clear()
    words = r'no camera_info on /camera_info \(1 publisher\), while images come on /image'

    def complains():
        entry = bench.status('camera')
        return entry and re.match(words, entry.message) and re.search(words, node.log)

    bench.publisher(CameraInfo, '/camera_info')
    bench.show_until(lambda n: (image(picture(), 5000 + n / 10), None), complains, words)
    assert not bench.heard[DEPTH]

"""`semdepth benchmark node`: the node's own share of a frame, every output subscribed."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Float32, Header

from semdepth_ros.benchmarks.measure import Timing, peak_array_mib, take_turns
from semdepth_ros.benchmarks.report import Report, Row
from semdepth_ros.camera import Camera
from semdepth_ros.engines.engine import Prediction
from semdepth_ros.errors import SemdepthError
from semdepth_ros.pipeline import FramePipeline, FrameResult, OutputSettings
from semdepth_ros.ros.messages import image_message, message_to_rgb, points_message
from semdepth_ros.ros.outputs import CameraOutputs
from semdepth_ros.ros.qos import output_qos
from semdepth_ros.ros.soak import PROFILE, play
from semdepth_ros.ros.transport import HEIGHT, WIDTH, measure_transport

_TOPICS: dict[str, Any] = {
    'depth/image_rect': Image,
    'depth/camera_info': CameraInfo,
    'points': PointCloud2,
    'label_mask': Image,
    'label_mask/confidence': Image,
    'depth/image_color': Image,
    'label_mask/image_color': Image,
    'scale': Float32,
}
_OWN_SHARE_MS = 12.0
#: Of the clouds that are sent to another process, and of the images in the test of ages.
_RATE = 10.0
_CLOUD_P50_MS = 20.0


def measure(
    width: int = 1280,
    height: int = 720,
    network: tuple[int, int] = (640, 192),
    rounds: int = 51,
    seconds: float = 20.0,
) -> Report:
    """Return what a frame costs beside the network, and how old outputs are where they arrive.

    Args:
        width: of the camera's image.
        height: of the camera's image.
        network: width and height of the network's input.
        rounds: repetitions.
        seconds: of clouds at 10 Hz to another process, and of images at 10 Hz through a node.
    """
    rows = _own_share(width, height, network, rounds)
    rows += _transport_rows(seconds)
    rows.append(_age_row(seconds))
    notes = (
        f'Own share: a {width}x{height} rgb8 image, network {network[0]}x{network[1]}, without the '
        f'network: decode, prepare, finish, and make and publish every output; all {len(_TOPICS)} '
        'outputs are subscribed in the same process.',
        'Floor: publish() of messages that exist, of the same types and sizes.',
        'Cloud to another process: from before publish() to the callback; the profile is '
        'config/fastdds.xml.',
        'Image to depth: 640x192 images into a node with the default weights, every output '
        'subscribed in another process, from before publish() to the callback.',
    )
    return Report('node', tuple(rows), notes)


def _own_share(width: int, height: int, network: tuple[int, int], rounds: int) -> list[Row]:
    """Return what a frame costs beside the network, with outputs at network and at image size."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('semdepth_benchmark', context=context)
    try:
        outputs = CameraOutputs(node, '', lambda text: None)
        for name, kind in _TOPICS.items():
            node.create_subscription(kind, f'~/{name}', lambda message: None, output_qos())
        _wait_for_subscriptions(node)
        rows = []
        for output_size in ('network', 'image'):
            frame = _Frame(width, height, network, output_size)
            rows += _rows(node, outputs, frame, rounds)
        return rows
    finally:
        node.destroy_node()
        context.try_shutdown()


def _transport_rows(seconds: float) -> list[Row]:
    count = round(seconds * _RATE)
    plain = measure_transport(count, _RATE, None)
    if not PROFILE.exists():
        raise SemdepthError(f'benchmark node: profile {PROFILE} is missing, expected a checkout')
    shipped = measure_transport(count, _RATE, PROFILE)
    name = f'{WIDTH}x{HEIGHT} cloud to another process'
    rows = [
        Row.timed(f'{name}, {text}: {len(ages)} of {count} arrived', Timing(tuple(ages)))
        for text, ages in (("Fast DDS's defaults", plain), ('shipped profile', shipped))
    ]
    good = len(shipped) == count and Timing(tuple(shipped)).median_ms <= _CLOUD_P50_MS
    rows[1] = rows[1].must(f'all arrive, median at most {_CLOUD_P50_MS:g} ms', good)
    return rows


def _age_row(seconds: float) -> Row:
    soak, _ = play(seconds, _RATE)
    ages = np.array(soak.ages)
    p99 = float(np.percentile(ages, 99))
    name = f'image to depth at {_RATE:g} Hz: {len(ages)} of {soak.sent}, p99 {1000 * p99:.0f} ms'
    limit = 2 / _RATE
    return Row.timed(name, Timing(tuple(soak.ages))).must(
        f'p99 at most {1000 * limit:g} ms', p99 <= limit
    )


class _Frame:
    """An image message, and what a network might say of it."""

    def __init__(self, width: int, height: int, network: tuple[int, int], output_size: str) -> None:
        random = np.random.default_rng(0)
        self.camera = Camera(width, height, 0.58 * width, 0.58 * width, width / 2, height / 2)
        self.output_size = output_size
        image = random.integers(0, 256, (height, width, 3), np.uint8)
        self.message = image_message(Header(frame_id='camera'), 'rgb8', image)
        settings = OutputSettings(output_size=output_size)
        self.pipeline = FramePipeline(*network, 0.58 * network[0], settings=settings)
        shape = (1, network[1], network[0])
        ramp = np.linspace(0.01, 0.5, network[1], dtype=np.float32)[None, :, None]
        noise = 1 + 0.02 * random.standard_normal(shape).astype(np.float32)
        self.prediction = Prediction(
            np.ascontiguousarray(ramp * noise),
            random.integers(0, 19, shape, np.uint8),
            random.integers(0, 256, shape, np.uint8),
        )

    def process(self, outputs: CameraOutputs) -> None:
        """Do what the worker does with a frame but the prediction."""
        image = message_to_rgb(self.message)
        prepared = self.pipeline.prepare(image, self.camera)
        result = self.pipeline.finish(prepared, self.prediction)
        outputs.publish(self.message.header, result, 1.0, '32FC1')


def _rows(node: Any, outputs: CameraOutputs, frame: _Frame, rounds: int) -> list[Row]:
    image = message_to_rgb(frame.message)
    prepared = frame.pipeline.prepare(image, frame.camera)
    result = frame.pipeline.finish(prepared, frame.prediction)
    points = result.points()
    header = frame.message.header
    messages = _messages(header, result, points)
    publishers = {
        name: node.create_publisher(_TOPICS[name], f'~/{name}', output_qos()) for name in messages
    }

    def publish_all() -> None:
        for name, message in messages.items():
            publishers[name].publish(message)

    stages: dict[str, Callable[[], object]] = {
        'decode': lambda: message_to_rgb(frame.message),
        'prepare': lambda: frame.pipeline.prepare(image, frame.camera),
        'finish: depth, edges, labels': lambda: frame.pipeline.finish(prepared, frame.prediction),
        'cloud': functools.partial(result.points, points),
        'colour pictures': lambda: (result.depth_color(), result.label_color()),
        'fill messages': lambda: _messages(header, result, points),
        'floor: bare publish()': publish_all,
        'own share': lambda: frame.process(outputs),
    }
    timings = take_turns(stages, rounds, warm_up=3)
    for publisher in publishers.values():
        node.destroy_publisher(publisher)
    size = f'{result.camera.width}x{result.camera.height}'
    rows = [
        Row.timed(f'{frame.output_size} size ({size}): {name}', timings[name])
        for name in list(stages)[:-1]
    ]
    own = Row.timed(
        f'{frame.output_size} size ({size}): own share',
        timings['own share'],
        ('bare publish()', timings['floor: bare publish()']),
        peak_array_mib(stages['own share']),
    )
    if frame.output_size == 'network':
        assert own.median_ms is not None
        own = own.must(f'at most {_OWN_SHARE_MS:g} ms', own.median_ms <= _OWN_SHARE_MS)
    return [*rows, own]


def _messages(header: Header, result: FrameResult, points: np.ndarray) -> dict[str, Any]:
    return {
        'depth/image_rect': image_message(header, '32FC1', result.depth_HW),
        'label_mask': image_message(header, 'mono8', result.label_HW),
        'label_mask/confidence': image_message(header, 'mono8', result.confidence_HW),
        'points': points_message(header, points),
        'depth/image_color': image_message(header, 'rgb8', result.image_HW3),
        'label_mask/image_color': image_message(header, 'rgb8', result.image_HW3),
    }


def _wait_for_subscriptions(node: Any) -> None:
    """Let discovery finish, or nothing is heard and nothing is made.

    Raises:
        SemdepthError: when it takes more than ten seconds.
    """
    topics = [f'{node.get_fully_qualified_name()}/{name}' for name in _TOPICS]
    for _ in range(200):
        if all(node.count_subscribers(topic) for topic in topics):
            return
        time.sleep(0.05)
    raise SemdepthError('benchmark node: its own subscriptions were not discovered within 10 s')

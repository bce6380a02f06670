"""Real processes over DDS: the node as a process of its own, and a camera and a listener here."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from semdepth_ros.camera import Camera
from semdepth_ros.demo.domain import claim_domain

#: How long anything may take on a busy machine; nothing waits that long when it works.
PATIENCE = 60.0


class NodeProcess:
    """`depth_node` in a process of its own, its log in a file."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self._log = tempfile.NamedTemporaryFile('w+', suffix='.log')
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'semdepth_ros.ros.node', '--ros-args', *arguments],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=environment,
        )

    @property
    def log(self) -> str:
        """Everything that it has said so far."""
        with open(self._log.name) as file:
            return file.read()

    def is_running(self) -> bool:
        """Return whether it has not ended."""
        return self._process.poll() is None

    def catches(self, number: int) -> bool:
        """Return whether the process has a handler for a signal."""
        with open(f'/proc/{self._process.pid}/status') as file:
            mask = next(line for line in file if line.startswith('SigCgt')).split()[1]
        return bool(int(mask, 16) >> (number - 1) & 1)

    def stop(self, number: int = signal.SIGINT) -> tuple[int, float]:
        """Send a signal; return the exit code and the seconds that it took to end."""
        start = time.monotonic()
        if self.is_running():
            self._process.send_signal(number)
        code = self._process.wait(PATIENCE)
        return code, time.monotonic() - start

    def wait(self) -> int:
        """Wait for it to end by itself; return the exit code."""
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.is_running():
            self._process.kill()
            self._process.wait()
        self._log.close()


class Bench:
    """A ROS node of the test: publishes as a camera would, and keeps what it hears."""

    def __init__(self, name: str = 'bench') -> None:
        self.node: Node = rclpy.create_node(name)
        self.heard: dict[str, list[Any]] = collections.defaultdict(list)
        self._publishers: dict[str, Any] = {}
        self._subscriptions: dict[str, Any] = {}
        self.diagnostics: dict[str, Any] = {}
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._take_diagnostics, 10)

    def close(self) -> None:
        """End it."""
        self.node.destroy_node()

    def spin(self, seconds: float) -> None:
        """Take in messages for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            rclpy.spin_once(self.node, timeout_sec=min(left, 0.05))

    def until(self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
        """Spin until the condition holds and return its value; fail by name if it never does."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, f'never came: {what}'
            rclpy.spin_once(self.node, timeout_sec=0.02)
        return value

    def listen(self, kind: Any, topic: str, qos: QoSProfile | int = 10) -> None:
        """Subscribe, unless it listens already."""
        if topic not in self._subscriptions:
            self._subscriptions[topic] = self.node.create_subscription(
                kind, topic, self.heard[topic].append, qos
            )

    def ignore(self, topic: str) -> None:
        """Unsubscribe."""
        self.node.destroy_subscription(self._subscriptions.pop(topic))

    def publisher(self, kind: Any, topic: str, reliable: bool = True) -> Any:
        """Return the publisher of a topic."""
        if topic not in self._publishers:
            reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
            qos = QoSProfile(depth=5, reliability=reliability)
            self._publishers[topic] = self.node.create_publisher(kind, topic, qos)
        return self._publishers[topic]

    def silence(self, *topics: str) -> None:
        """Take publishers away."""
        for topic in topics:
            self.node.destroy_publisher(self._publishers.pop(topic))

    def show(
        self,
        image: Image,
        info: CameraInfo | None,
        prefix: str = '',
        reliable: bool = True,
    ) -> None:
        """Publish camera_info (if there is any) and the image."""
        if info is not None:
            info.header = image.header
            self.publisher(CameraInfo, prefix + '/camera_info').publish(info)
        self.publisher(Image, prefix + '/image', reliable).publish(image)

    def show_until(
        self,
        make: Callable[[int], tuple[Image, CameraInfo | None]],
        condition: Callable[[], Any],
        what: str,
        period: float = 0.1,
    ) -> Any:
        """Publish frame after frame until the condition holds; return its value."""
        end = time.monotonic() + PATIENCE
        number = 0
        while not (value := condition()):
            assert time.monotonic() < end, f'never came: {what}'
            self.show(*make(number))
            number += 1
            self.spin(period)
        return value

    def status(self, name: str) -> Any | None:
        """Return the newest diagnostic whose name ends so."""
        return next((s for key, s in self.diagnostics.items() if key.endswith(name)), None)

    def value(self, name: str, key: str) -> str:
        """Return a value of the newest diagnostic whose name ends so, or ''."""
        entry = self.status(name)
        values = {} if entry is None else {pair.key: pair.value for pair in entry.values}
        return values.get(key, '')

    def call(self, kind: Any, service: str, request: Any) -> Any:
        """Call a service of the node and return the answer."""
        client = self.node.create_client(kind, service)
        try:
            self.until(client.service_is_ready, service)
            future = client.call_async(request)
            self.until(future.done, f'answer of {service}')
            return future.result()
        finally:
            self.node.destroy_client(client)

    def state(self) -> str:
        """Return the lifecycle state of the node."""
        return self.call(GetState, '/depth_node/get_state', GetState.Request()).current_state.label

    def change(self, label: str) -> bool:
        """Ask for a lifecycle transition; return whether it succeeded."""
        request = ChangeState.Request(transition=Transition(label=label))
        return self.call(ChangeState, '/depth_node/change_state', request).success

    def set(self, **values: Any) -> tuple[bool, str]:
        """Set parameters together; return whether that was accepted, and if not the reason."""
        request = SetParametersAtomically.Request(
            parameters=[Parameter(n, value=v).to_parameter_msg() for n, v in values.items()]
        )
        service = '/depth_node/set_parameters_atomically'
        result = self.call(SetParametersAtomically, service, request).result
        return result.successful, result.reason

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        for entry in message.status:
            self.diagnostics[entry.name] = entry


@contextlib.contextmanager
def bench_of_its_own(name: str = 'bench') -> Iterator[Bench]:
    """Give a bench in a ROS domain that nobody has used, with all processes started meanwhile.

    A process that was killed stays in the graph of its domain until its lease runs out (20 s), and
    one that ended can stay for good: its last words may be read after its leave.
    """
    os.environ['ROS_DOMAIN_ID'] = str(claim_domain())
    rclpy.init()
    bench = Bench(name)
    try:
        yield bench
    finally:
        bench.close()
        rclpy.shutdown()


#: The camera of the pictures here: twice the size of the test network's input, same shape.
CAMERA = Camera(640, 192, fx=400.0, fy=400.0, cx=319.5, cy=95.5)


def picture(width: int = CAMERA.width, height: int = CAMERA.height, seed: int = 0) -> np.ndarray:
    """Return a picture with structure: sky above, a road below, noise on both; uint8 RGB."""
    rng = np.random.default_rng(seed)
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2] = (150, 180, 230)
    image[height // 2 :] = (90, 90, 95)
    image[height // 4 : height // 2, : width // 3] = (130, 80, 60)
    return np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)


def header(stamp: float, frame_id: str = 'camera_color_optical_frame') -> Header:
    """Return a header; the stamp in seconds."""
    result = Header(frame_id=frame_id)
    result.stamp.sec, result.stamp.nanosec = divmod(round(stamp * 1e9), 10**9)
    return result


def image(rgb: np.ndarray, stamp: float, encoding: str = 'rgb8') -> Image:
    """Return the message of a picture."""
    message = Image(header=header(stamp), encoding=encoding)
    message.height, message.width = rgb.shape[:2]
    message.step = rgb.strides[0]
    message.data.frombytes(np.ascontiguousarray(rgb).tobytes())
    return message


def info(camera: Camera = CAMERA) -> CameraInfo:
    """Return the CameraInfo of a camera as its driver would send it."""
    message = CameraInfo(width=camera.width, height=camera.height)
    message.distortion_model = camera.distortion_model
    message.d = [float(value) for value in camera.distortion]
    message.k = camera.K.reshape(-1).tolist()
    message.r = np.eye(3).reshape(-1).tolist()
    message.p = np.hstack([camera.K, np.zeros((3, 1))]).reshape(-1).tolist()
    return message


def image_array(message: Image) -> np.ndarray:
    """Return the pixels of a message that the node sent, read by the rules of sensor_msgs."""
    kind, channels = {
        '32FC1': (np.float32, 1),
        '16UC1': (np.uint16, 1),
        'mono8': (np.uint8, 1),
        'rgb8': (np.uint8, 3),
    }[message.encoding]
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    array = rows.view(kind).reshape(message.height, message.width, channels)
    return array[..., 0] if channels == 1 else array


def cloud_array(message: Any) -> np.ndarray:
    """Return the points of a PointCloud2 as a structured array (H, W), read by its fields."""
    types = {2: 'u1', 4: 'u2', 6: 'u4', 7: 'f4'}
    dtype = np.dtype(
        {
            'names': [field.name for field in message.fields],
            'offsets': [field.offset for field in message.fields],
            'formats': [types[field.datatype] for field in message.fields],
            'itemsize': message.point_step,
        }
    )
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.row_step)
    return rows.view(dtype).reshape(message.height, message.width)

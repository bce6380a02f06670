"""`semdepth benchmark soak`: a street at 30 Hz through the node, every output subscribed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Float32, Header

from semdepth_ros.bags.drive import Drive
from semdepth_ros.benchmarks.soak import SoakReport, Usage, judge, usage
from semdepth_ros.demo.domain import claim_domain
from semdepth_ros.errors import SemdepthError
from semdepth_ros.preprocessing import fit
from semdepth_ros.progress import track
from semdepth_ros.ros.diagnostics import Counts
from semdepth_ros.ros.messages import camera_info_message, image_message
from semdepth_ros.ros.synchronizer import stamp_ns
from semdepth_ros.simulation import StreetConfig, StreetDrive
from semdepth_ros.simulation.bag import write_street_bag
from semdepth_ros.weights import LoadedWeights, load_or_untrained

RATE = 30.0
#: Of the street, played over and over with stamps that go on.
FRAMES = 60
_OUT = '/depth_node/'
_OTHERS: dict[str, Any] = {
    'depth/camera_info': CameraInfo,
    'label_mask': Image,
    'label_mask/confidence': Image,
    'depth/image_color': Image,
    'label_mask/image_color': Image,
    'scale': Float32,
}
_START_PATIENCE = 180.0
#: DDS settings of a checkout; an installed package finds them through its launch file instead.
PROFILE = Path(__file__).resolve().parents[2] / 'config' / 'fastdds.xml'


class SoakError(SemdepthError):
    """A node that does not start, or ends while it is soaked."""


def measure(minutes: float = 60.0, weights: LoadedWeights | None = None) -> SoakReport:
    """Return what the node needed and how fresh its outputs were.

    Args:
        minutes: of 30 images a second; at least half of one.
        weights: whose file the node loads; the default ones if None.

    Raises:
        SoakError: when the node does not start or does not last.
    """
    if minutes < 0.5:
        raise SoakError(f'soak: minutes is {minutes:g}, expected at least 0.5')
    soak, samples = play(minutes * 60, RATE, weights)
    warm_up = min(600.0, samples[-1].seconds / 4)
    return judge(samples, soak.ages, soak.sent, soak.stale, soak.counts, warm_up)


def play(
    seconds: float, rate: float, weights: LoadedWeights | None = None
) -> tuple[Soak, list[Usage]]:
    """Play a street into a node of its own; return what came of it, and what the node held.

    Args:
        seconds: how long.
        rate: images a second, 640x192.
        weights: whose file the node loads; the default ones if None.

    Raises:
        SoakError: when the node does not start or does not last.
    """
    stay_alone()
    with tempfile.TemporaryDirectory(prefix='semdepth-soak-') as folder:
        bag = Path(folder) / 'street'
        street = StreetDrive(StreetConfig(seed=7, frames=FRAMES, rate=rate))
        write_street_bag(bag, street, track(range(FRAMES), FRAMES, 'render'))
        card = (weights or load_or_untrained(None)).card
        context = rclpy.Context()
        rclpy.init(context=context)
        try:
            soak = Soak(Drive(bag), (card.width, card.height), rate, context)
            with _Node(Path(folder) / 'node.log', weights) as node:
                return soak, soak.run(node, seconds)
        finally:
            context.try_shutdown()


def stay_alone() -> None:
    """Take no part in the traffic of a robot nearby, as the demo does."""
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    if 'ROS_DOMAIN_ID' not in os.environ:
        os.environ['ROS_DOMAIN_ID'] = str(claim_domain())
    if PROFILE.exists():
        os.environ.setdefault('FASTDDS_DEFAULT_PROFILES_FILE', str(PROFILE))


class Soak:
    """Camera and listener in one process.

    Attributes:
        sent: images published.
        stale: outputs whose stamp was not new, or not that of the image they were made of.
        ages: seconds from an image to its depth.
        counts: the node's own, from its diagnostics.
    """

    def __init__(
        self, drive: Drive, network: tuple[int, int], rate: float, context: rclpy.Context
    ) -> None:
        self._rate = rate
        self._node = rclpy.create_node('semdepth_soak', context=context)
        self._executor = rclpy.executors.SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        fitted = fit(drive.camera, *network, 'crop')
        images = [drive.image(index) for index in range(len(drive))]
        self._messages = [image_message(Header(frame_id='camera'), 'rgb8', i) for i in images]
        #: What the cloud of each frame shows: the network's input.
        self._seen = [fitted.apply(image) for image in images]
        self._info = camera_info_message(Header(), drive.camera)
        qos = QoSProfile(depth=5)
        self._image = self._node.create_publisher(Image, '/image', qos)
        self._camera_info = self._node.create_publisher(CameraInfo, '/camera_info', qos)
        one = QoSProfile(depth=1)
        for name, kind in _OTHERS.items():
            self._node.create_subscription(kind, _OUT + name, lambda message: None, one)
        self._node.create_subscription(Image, _OUT + 'depth/image_rect', self._take_depth, one)
        self._node.create_subscription(PointCloud2, _OUT + 'points', self._take_points, one)
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._take_diagnostics, 10)
        self.sent = self.stale = 0
        self.ages: list[float] = []
        self.counts: dict[str, int] = {}
        #: stamp -> when it was sent and which frame it shows, of the newest images.
        self._on_the_way: dict[int, tuple[float, int]] = {}
        self._newest = {'depth': 0, 'points': 0}

    def run(self, node: _Node, seconds: float) -> list[Usage]:
        """Play until the time is over; return what the node held, once a second."""
        self._wait_for(node)
        samples: list[Usage] = []
        start = time.monotonic()
        # The stamps of a camera, whose clock has nothing to do with this machine's.
        first_stamp = 10**18
        while (now := time.monotonic() - start) < seconds:
            if now >= self.sent / self._rate:
                self._show(first_stamp + int(self.sent / self._rate * 1e9))
            if now >= len(samples):
                node.check()
                samples.append(usage(node.pid, now))
            wait = min(start + self.sent / self._rate, start + seconds) - time.monotonic()
            self._executor.spin_once(timeout_sec=max(0.0, wait))
        # The last frames arrive, and diagnostics that count them.
        end = time.monotonic() + 3.0
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.1)
        self._node.destroy_node()
        if not self.ages:
            raise SoakError(f'soak: no depth came for {self.sent} images: {node.last_words()}')
        return samples

    def _wait_for(self, node: _Node) -> None:
        deadline = time.monotonic() + _START_PATIENCE
        while not (self._image.get_subscription_count() and self._node.count_publishers(
            _OUT + 'points'
        )):  # fmt: skip
            node.check()
            if time.monotonic() > deadline:
                raise SoakError(f'soak: the node did not start within {_START_PATIENCE:g} s')
            self._executor.spin_once(timeout_sec=0.1)

    def _show(self, stamp: int) -> None:
        frame = self.sent % len(self._messages)
        header = Header(frame_id='camera')
        header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
        message = self._messages[frame]
        message.header = self._info.header = header
        self._on_the_way[stamp] = time.monotonic(), frame
        if len(self._on_the_way) > 600:
            del self._on_the_way[next(iter(self._on_the_way))]
        self._camera_info.publish(self._info)
        self._image.publish(message)
        self.sent += 1

    def _take_depth(self, message: Image) -> None:
        stamp = stamp_ns(message)
        if self._is_stale('depth', stamp):
            self.stale += 1
            return
        self.ages.append(time.monotonic() - self._on_the_way[stamp][0])

    def _take_points(self, message: PointCloud2) -> None:
        stamp = stamp_ns(message)
        if self._is_stale('points', stamp):
            self.stale += 1
            return
        seen = self._seen[self._on_the_way[stamp][1]]
        offset = next(field.offset for field in message.fields if field.name == 'rgb')
        points = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, -1)
        # bgr, the float's bytes from the lowest on.
        shown = points[..., offset : offset + 3][..., ::-1]
        self.stale += not np.array_equal(shown, seen)

    def _is_stale(self, output: str, stamp: int) -> bool:
        is_newer = stamp > self._newest[output]
        self._newest[output] = max(stamp, self._newest[output])
        return not is_newer or stamp not in self._on_the_way

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith(': camera'):
                values = {pair.key: pair.value for pair in status.values}
                self.counts = {name: int(values[name]) for name in Counts.__annotations__}


class _Node:
    """`depth_node` as a process of its own, ended with the block."""

    def __init__(self, log: Path, weights: LoadedWeights | None) -> None:
        arguments: Sequence[str] = ()
        if weights is not None:
            arguments = ('--ros-args', '-p', f'weights:={weights.path}')
        self._log = log
        with log.open('w') as output:
            self._process = subprocess.Popen(
                [sys.executable, '-m', 'semdepth_ros.ros.node', *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ,
            )
        self.pid = self._process.pid

    def check(self) -> None:
        """Raise if the process has ended."""
        if self._process.poll() is not None:
            raise SoakError(
                f'soak: the node ended with {self._process.returncode}: {self.last_words()}'
            )

    def last_words(self) -> str:
        """Return the last line of its log."""
        lines = self._log.read_text(errors='replace').strip().splitlines()
        return lines[-1] if lines else 'it said nothing'

    def __enter__(self) -> _Node:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

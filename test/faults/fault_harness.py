"""What the fault tests do with a node: pictures that are known again in the depth made of them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from ros_harness import Bench, NodeProcess, cloud_array, header, image_array, info
from ros_harness import image as image_message
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from semdepth_ros.camera import Camera

#: As large as the network's input, with the focal length of the weights: depth is the engine's.
CAMERA = Camera(320, 96, fx=200.0, fy=200.0, cx=159.5, cy=47.5)
OUT = '/depth_node/'
DEPTH, DEPTH_INFO, POINTS = (OUT + n for n in ('depth/image_rect', 'depth/camera_info', 'points'))
FRAME = 'camera_color_optical_frame'


class FaultNode(NodeProcess):
    """`fault_node.py` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._fault = folder / 'fault'
        self.fault('')
        self._log = tempfile.NamedTemporaryFile('w+', suffix='.log')
        script = Path(__file__).with_name('fault_node.py')
        self._process = subprocess.Popen(
            [sys.executable, str(script), str(self._fault), '--ros-args', *arguments],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def fault(self, name: str) -> None:
        """Tell the engine what goes wrong from now on, '' for nothing."""
        partial = self._fault.with_suffix('.new')
        partial.write_text(name)
        partial.replace(self._fault)


class Stage:
    """A camera whose pictures are each of one red value, and what the node made of them."""

    stamp = 1000.0

    def __init__(self, node: FaultNode, bench: Bench) -> None:
        self.node, self.bench = node, bench
        #: stamp -> red value and frame_id of every picture that was shown with it.
        self.shown: dict[tuple[int, int], list[tuple[int, str]]] = {}
        self._pictures = 0
        for kind, topic in ((Image, DEPTH), (CameraInfo, DEPTH_INFO), (PointCloud2, POINTS)):
            bench.listen(kind, topic)
            bench.heard[topic].clear()

    def next_stamp(self) -> float:
        """Return a stamp that no picture had."""
        Stage.stamp += 0.1
        return Stage.stamp

    def picture(
        self, camera: Camera = CAMERA, stamp: float | None = None, frame_id: str = FRAME
    ) -> tuple[Image, CameraInfo]:
        """Return a new picture with its camera_info; no two in a row have the same red."""
        made = header(self.next_stamp() if stamp is None else stamp, frame_id)
        self._pictures += 1
        red = 7 * self._pictures % 251
        self.shown.setdefault(stamp_of(made), []).append((red, frame_id))
        rgb = np.zeros((camera.height, camera.width, 3), np.uint8)
        rgb[..., 0] = red
        message = image_message(rgb, 0.0)
        message.header = made
        return message, info(camera)

    def good_frame(self, camera: Camera = CAMERA, frame_id: str = FRAME) -> None:
        """Show pictures until the depth of one of them has come."""
        first = header(self.next_stamp()).stamp
        self.bench.show_until(
            lambda number: self.picture(camera, frame_id=frame_id),
            lambda: any(s > (first.sec, first.nanosec) for s in self.stamps()),
            'the depth of a good frame',
        )

    def stamps(self, topic: str = DEPTH) -> list[tuple[int, int]]:
        """Return the stamps heard on a topic so far."""
        return [stamp_of(message.header) for message in self.bench.heard[topic]]

    def depth_of(self, stamp: tuple[int, int]) -> np.ndarray:
        """Return the depth image of a stamp."""
        found = [m for m in self.bench.heard[DEPTH] if stamp_of(m.header) == stamp]
        return image_array(found[-1])

    def assert_honest(self) -> None:
        """Assert that every output was made from the picture whose header it carries.

        The focal length of the camera scales depth, and is that of the camera_info published.
        """
        # Of the network's input, however few of its pixels are published.
        focal = {
            stamp_of(m.header): m.k[0] * CAMERA.width / m.width
            for m in self.bench.heard[DEPTH_INFO]
        }
        assert self.bench.heard[DEPTH]
        for message in self.bench.heard[DEPTH]:
            self._assert_depth(message, image_array(message), focal)
        for message in self.bench.heard[POINTS]:
            self._assert_depth(message, cloud_array(message)['z'], focal)

    def _assert_depth(self, message, depth: np.ndarray, focal: dict) -> None:
        stamp = stamp_of(message.header)
        if stamp not in self.shown:
            # Shown by an earlier test, whose stage knows it.
            assert stamp < min(self.shown)
            return
        if np.isnan(depth).all():
            # Invalid is no lie.
            return
        depths = [
            (1 + red / 10) * focal.get(stamp, CAMERA.fx) / CAMERA.fx
            for red, frame_id in self.shown[stamp]
            if frame_id == message.header.frame_id
        ]
        assert any(np.allclose(depth, expected, rtol=1e-3) for expected in depths), (
            stamp, depth.mean(), depths,
        )  # fmt: skip


def stamp_of(header) -> tuple[int, int]:
    """Return a header's stamp to compare with."""
    return header.stamp.sec, header.stamp.nanosec

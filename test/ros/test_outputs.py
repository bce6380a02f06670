"""Rule 7: nothing is built that nobody hears."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip('rclpy')

from ros_harness import header
from sensor_msgs.msg import Image, PointCloud2

from semdepth_ros.camera import Camera
from semdepth_ros.pipeline import FrameResult
from semdepth_ros.ros.outputs import CameraOutputs


@dataclasses.dataclass(frozen=True)
class WatchedResult(FrameResult):
    """Notes what is built of it."""

    built: list

    def points(self, out=None):
        self.built.append('points')
        return super().points(out)

    def depth_color(self):
        self.built.append('depth_color')
        return super().depth_color()

    def label_color(self):
        self.built.append('label_color')
        return super().label_color()


@pytest.fixture
def result():
    shape = 4, 6
    return WatchedResult(
        np.ones(shape, np.float32),
        np.zeros(shape, np.uint8),
        np.zeros(shape, np.uint8),
        np.zeros((*shape, 3), np.uint8),
        Camera(6, 4, 5.0, 5.0, 2.5, 1.5),
        None,
        [],
    )


def test_rule_7_cloud_and_pictures_are_built_only_for_who_listens_to_them(bench, result):
    outputs = CameraOutputs(bench.node, 'lazy', print)
    assert not outputs.heard()
    outputs.publish(header(1.0), result, 1.0, '32FC1')
    assert result.built == []

    def listen(kind, name):
        topic = f'/bench/lazy/{name}'
        subscription = bench.node.create_subscription(kind, topic, print, 1)
        bench.until(lambda: outputs._is_heard(name), 'the subscription')
        outputs.publish(header(1.0), result, 1.0, '32FC1')
        return subscription

    subscriptions = [listen(Image, 'depth/image_rect')]
    assert outputs.heard()
    assert result.built == []
    subscriptions.append(listen(Image, 'label_mask/image_color'))
    assert result.built == ['label_color']
    subscriptions.append(listen(PointCloud2, 'points'))
    assert result.built == ['label_color', 'points', 'label_color']
    for subscription in subscriptions:
        bench.node.destroy_subscription(subscription)
    outputs.destroy()

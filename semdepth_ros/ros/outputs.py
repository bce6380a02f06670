"""The publishers of one camera, and nothing published that nobody hears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.event_handler import PublisherEventCallbacks
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Float32, Header

from semdepth_ros.classes import CLASS_NAMES
from semdepth_ros.pipeline import FrameResult
from semdepth_ros.postprocessing import to_millimetres
from semdepth_ros.ros.messages import (
    camera_info_message,
    image_message,
    points_message,
)
from semdepth_ros.ros.qos import incompatible_qos_text, output_qos, overridable

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node

_TYPES: dict[str, Any] = {
    'depth/image_rect': Image,
    'depth/camera_info': CameraInfo,
    'points': PointCloud2,
    'label_mask': Image,
    'label_mask/confidence': Image,
    'depth/image_color': Image,
    'label_mask/image_color': Image,
    'scale': Float32,
}


class CameraOutputs:
    """Everything that is published of one camera.

    Args:
        node: that owns the publishers.
        camera: name of the camera, '' where there is only one.
        warn: takes a sentence about a subscriber that cannot be reached.
    """

    def __init__(self, node: Node, camera: str, warn: Callable[[str], None]) -> None:
        self._node = node
        self._prefix = f'~/{camera}/' if camera else '~/'
        self._warn = warn
        self._publishers = {
            name: self._create(kind, name, latched=name == 'scale') for name, kind in _TYPES.items()
        }
        self._label_info = self._create_label_info()
        self._cloud: np.ndarray | None = None

    def heard(self) -> bool:
        """Return whether anybody listens to anything that takes a frame to make."""
        return any(map(self._is_heard, _TYPES))

    def publish(
        self, header: Header, result: FrameResult, factor: float, depth_encoding: str
    ) -> int:
        """Publish what is listened to; return how many messages could not be sent."""
        makers = {
            'depth/image_rect': lambda: _depth_message(header, result, depth_encoding),
            'depth/camera_info': lambda: camera_info_message(header, result.camera),
            'label_mask': lambda: image_message(header, 'mono8', result.label_HW),
            'label_mask/confidence': lambda: image_message(header, 'mono8', result.confidence_HW),
            'points': lambda: points_message(header, self._fill_cloud(result)),
            'depth/image_color': lambda: image_message(header, 'rgb8', result.depth_color()),
            'label_mask/image_color': lambda: image_message(header, 'rgb8', result.label_color()),
        }
        errors = 0
        for name, make in makers.items():
            if self._is_heard(name):
                errors += self._send(name, make())
        # Latched, so that who asks later hears the newest.
        return errors + self._send('scale', Float32(data=factor))

    def publish_label_info(self, header: Header) -> None:
        """Publish the names of the classes, latched, where vision_msgs is installed."""
        if self._label_info is None:
            return
        from vision_msgs.msg import LabelInfo, VisionClass

        classes = [VisionClass(class_id=i, class_name=name) for i, name in enumerate(CLASS_NAMES)]
        self._label_info.publish(LabelInfo(header=header, class_map=classes))

    def destroy(self) -> None:
        """Take the topics away."""
        publishers = [*self._publishers.values()]
        if self._label_info is not None:
            publishers.append(self._label_info)
        for publisher in publishers:
            self._node.destroy_publisher(publisher)
        self._publishers = {}
        self._label_info = None

    def _fill_cloud(self, result: FrameResult) -> np.ndarray:
        # The message takes a copy: one array serves all frames, and fresh memory is dear.
        self._cloud = result.points(self._cloud)
        return self._cloud

    def _is_heard(self, name: str) -> bool:
        return self._publishers[name].get_subscription_count() > 0

    def _send(self, name: str, message: Any) -> int:
        from rclpy.impl.implementation_singleton import rclpy_implementation

        try:
            self._publishers[name].publish(message)
        except rclpy_implementation.RCLError:
            # Fast DDS refuses a message when its segment is full: the next frame is soon here.
            return 1
        return 0

    def _create(self, kind: Any, name: str, latched: bool = False) -> Any:
        topic = self._node.resolve_topic_name(self._prefix + name)
        events = PublisherEventCallbacks(
            incompatible_qos=lambda event: self._warn(
                incompatible_qos_text(topic, event.last_policy_kind)
            )
        )
        return self._node.create_publisher(
            kind,
            self._prefix + name,
            output_qos(latched),
            event_callbacks=events,
            qos_overriding_options=overridable(),
        )

    def _create_label_info(self) -> Any | None:
        try:
            from vision_msgs.msg import LabelInfo
        except ImportError:
            self._node.get_logger().info(
                f'{self._prefix}label_info is not published: vision_msgs is not installed'
            )
            return None
        return self._create(LabelInfo, 'label_info', latched=True)


def _depth_message(header: Header, result: FrameResult, encoding: str) -> Image:
    depth = result.depth_HW if encoding == '32FC1' else to_millimetres(result.depth_HW)
    return image_message(header, encoding, depth)

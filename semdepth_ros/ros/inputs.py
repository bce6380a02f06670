"""What comes in from one camera: images, camera_info, and words for everything that does not."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import QoSPolicyKind, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from semdepth_ros.camera import Camera
from semdepth_ros.errors import SemdepthError
from semdepth_ros.ros.diagnostics import FrameStatistics
from semdepth_ros.ros.parameters import Parameters
from semdepth_ros.ros.qos import (
    chosen_reliability,
    declared_reliability,
    incompatible_qos_text,
    input_qos,
    overridable,
    overridable_but_reliability,
)

if TYPE_CHECKING:
    from rclpy.node import Node


class InputError(SemdepthError):
    """An image or camera_info that cannot be used, or does not come."""


class CameraInput:
    """The subscriptions of one camera.

    Args:
        node: that owns the subscriptions.
        camera: name of the camera, '' where there is only one.
        parameters: in force when the node was configured.
        statistics: where images received and lost are counted.
        on_image: takes each image, once there is camera_info, with the time of its receipt
            (monotonic clock).
        warn: takes a sentence about a publisher that cannot be heard.
    """

    def __init__(
        self,
        node: Node,
        camera: str,
        parameters: Parameters,
        statistics: FrameStatistics,
        on_image: Callable[[Any, float], None],
        warn: Callable[[str], None],
    ) -> None:
        self._node = node
        self._statistics = statistics
        self._on_image = on_image
        self._warn = warn
        prefix = f'{camera}/' if camera else ''
        self._compressed = parameters.image_transport == 'compressed'
        self.image_topic = _image_topic(node, prefix + 'image', self._compressed)
        self.info_topic = node.resolve_topic_name(prefix + 'camera_info')
        self._wanted = declared_reliability(node, self.image_topic, parameters.image_reliability)
        self._reliability = ReliabilityPolicy.BEST_EFFORT
        self._info: _Info | None = None
        self._images = 0
        #: The newest image, while there is no camera_info yet.
        self._early: tuple[Any, float] | None = None
        self._started_at = self._image_at = time.monotonic()
        self._cameras = functools.lru_cache(maxsize=4)(self._make_cameras)
        self._image_subscription: Any = None
        self._info_subscription: Any = None

    def start(self) -> None:
        """Subscribe."""
        self._started_at = self._image_at = time.monotonic()
        self._images = 0
        self._info = None
        self._reliability = chosen_reliability(self._wanted, self._offered())
        self._image_subscription = self._subscribe_to_images()
        self._info_subscription = self._node.create_subscription(
            CameraInfo,
            self.info_topic,
            self._take_info,
            input_qos(ReliabilityPolicy.BEST_EFFORT),
            event_callbacks=self._info_events(),
            qos_overriding_options=overridable(QoSPolicyKind.DURABILITY),
        )

    def stop(self) -> None:
        """End the subscriptions; may be called twice."""
        for subscription in (self._image_subscription, self._info_subscription):
            if subscription is not None:
                self._node.destroy_subscription(subscription)
        self._image_subscription = self._info_subscription = None
        if self._early is not None:
            self._statistics.count('discarded')
            self._early = None

    def follow_publishers(self) -> None:
        """Subscribe anew where the publishers found by now ask for another reliability."""
        offered = self._offered()
        # Without publishers the last answer stands: a camera that restarts finds it again.
        reliability = chosen_reliability(self._wanted, offered) if offered else self._reliability
        if reliability == self._reliability:
            return
        self._reliability = reliability
        self._node.destroy_subscription(self._image_subscription)
        self._image_subscription = self._subscribe_to_images()
        self._node.get_logger().info(f'{self.image_topic}: subscribed as {reliability.name}')

    def silence(self, timeout: float) -> str:
        """Return in words which message has not come for `timeout` seconds, or ''."""
        now = time.monotonic()
        if now - self._image_at >= timeout:
            publishers = self._node.count_publishers(self.image_topic)
            text = f'no image for {now - self._image_at:.0f} s on {self.image_topic}'
            if publishers:
                return f'{text}, which has {publishers} publisher{"s" * (publishers > 1)}'
            return f'{text}, which has no publisher{self._other_transport()}'
        if self._info is None and self._images and now - self._started_at >= timeout:
            publishers = self._node.count_publishers(self.info_topic)
            return (
                f'no camera_info on {self.info_topic} ({publishers or "no"} '
                f'publisher{"s" * (publishers != 1)}), while images come on {self.image_topic}'
            )
        return ''

    def camera(self, width: int, height: int, policy: str) -> tuple[Camera, Camera | None]:
        """Return the camera of an image, and the pinhole camera to rectify it to (or None).

        Args:
            width: of the image that was received.
            height: of the image that was received.
            policy: 'rectify', 'refuse' or 'assume_rectified'.

        Raises:
            InputError: while there is no camera_info, or where it does not belong to the image.
            CameraError: where its values are impossible.
        """
        info = self._info
        if info is None:
            raise InputError(f'no camera_info yet on {self.info_topic}')
        camera, rectified = self._cameras(info, policy)
        if camera.size != (width, height):
            raise InputError(
                f'{self.image_topic}: image is {width}x{height}, but {self.info_topic} says '
                f'{camera.width}x{camera.height}'
            )
        return camera, rectified

    def _take_image(self, message: Any) -> None:
        self._image_at = time.monotonic()
        self._images += 1
        self._statistics.count('received')
        if self._info is not None:
            self._on_image(message, self._image_at)
            return
        # The first image often comes just before its camera_info.
        if self._early is not None:
            self._statistics.count('replaced')
        self._early = message, self._image_at

    def _take_info(self, message: CameraInfo) -> None:
        self._info = _Info(message)
        early, self._early = self._early, None
        if early is not None:
            self._on_image(*early)

    def _make_cameras(self, info: _Info, policy: str) -> tuple[Camera, Camera | None]:
        try:
            camera, rectified = _cameras(info.message, policy)
        except SemdepthError as error:
            raise InputError(f'{self.info_topic}: {error}') from error
        if rectified is not None and 'image_rect' in self.image_topic:
            self._warn(
                f'{self.image_topic} sounds rectified, but {self.info_topic} has distortion, so '
                'images are rectified (again?): set the parameter distortion to assume_rectified'
            )
        return camera, rectified

    def _subscribe_to_images(self) -> Any:
        return self._node.create_subscription(
            CompressedImage if self._compressed else Image,
            self.image_topic,
            self._take_image,
            input_qos(self._reliability),
            event_callbacks=self._image_events(),
            qos_overriding_options=overridable_but_reliability(),
        )

    def _image_events(self) -> SubscriptionEventCallbacks:
        def incompatible(event: Any) -> None:
            # `auto` answers a reliability that does not fit by another subscription.
            if self._wanted != 'auto' or event.last_policy_kind != QoSPolicyKind.RELIABILITY:
                self._warn(incompatible_qos_text(self.image_topic, event.last_policy_kind))

        def lost(event: Any) -> None:
            self._statistics.lost += event.total_count_change

        return SubscriptionEventCallbacks(incompatible_qos=incompatible, message_lost=lost)

    def _info_events(self) -> SubscriptionEventCallbacks:
        return SubscriptionEventCallbacks(
            incompatible_qos=lambda event: self._warn(
                incompatible_qos_text(self.info_topic, event.last_policy_kind)
            )
        )

    def _offered(self) -> list[ReliabilityPolicy]:
        publishers = self._node.get_publishers_info_by_topic(self.image_topic)
        return [publisher.qos_profile.reliability for publisher in publishers]

    def _other_transport(self) -> str:
        if self._compressed:
            other, transport = self.image_topic.removesuffix('/compressed'), 'raw'
        else:
            other, transport = self.image_topic + '/compressed', 'compressed'
        if not self._node.count_publishers(other):
            return ''
        return f'; {other} has one: set image_transport to {transport}'


class _Info:
    """A CameraInfo that equals another one with the same values, whatever their stamps."""

    def __init__(self, message: CameraInfo) -> None:
        self.message = message
        roi = message.roi
        self._values = (
            message.width,
            message.height,
            message.distortion_model,
            *(tuple(matrix) for matrix in (message.d, message.k, message.r, message.p)),
            message.binning_x,
            message.binning_y,
            (roi.x_offset, roi.y_offset, roi.width, roi.height),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Info) and self._values == other._values

    def __hash__(self) -> int:
        return hash(self._values)


def _image_topic(node: Node, name: str, compressed: bool) -> str:
    """Return the resolved image topic; the compressed one follows a remapping of the raw one."""
    if not compressed:
        return node.resolve_topic_name(name)
    own = node.resolve_topic_name(name + '/compressed')
    if own != node.resolve_topic_name(name + '/compressed', only_expand=True):
        return own
    return node.resolve_topic_name(name) + '/compressed'


def _cameras(info: CameraInfo, policy: str) -> tuple[Camera, Camera | None]:
    if policy == 'assume_rectified':
        return Camera.from_camera_info(info, rectified=True), None
    camera = Camera.from_camera_info(info)
    if not camera.is_distorted:
        return camera, None
    if policy == 'refuse':
        raise InputError(
            f'the image is distorted (D = {list(camera.distortion)}) and the parameter distortion '
            'is refuse'
        )
    # P is what image_proc rectifies to, so that other nodes find the same picture.
    return camera, Camera.from_camera_info(info, rectified=True)

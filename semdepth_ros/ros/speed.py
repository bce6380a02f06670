"""Subscriptions to odometry: the speed of the vehicle by stamp, for the odometry scale."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.qos import ReliabilityPolicy

from semdepth_ros.ros.odometry import SpeedHistory
from semdepth_ros.ros.qos import input_qos, overridable
from semdepth_ros.ros.synchronizer import stamp_ns

if TYPE_CHECKING:
    from rclpy.node import Node


class SpeedInput:
    """Listens to `odom` and `twist`, whichever comes, and remembers speeds."""

    def __init__(self, node: Node, speeds: SpeedHistory) -> None:
        self._node = node
        self._speeds = speeds
        # Odometry is small and fast: a few samples deep, so that a busy moment loses none.
        qos = input_qos(ReliabilityPolicy.BEST_EFFORT, depth=20)
        self._subscriptions = [
            node.create_subscription(kind, topic, take, qos, qos_overriding_options=overridable())
            for kind, topic, take in (
                (Odometry, 'odom', self._take_odometry),
                (TwistStamped, 'twist', self._take_twist),
            )
        ]

    def destroy(self) -> None:
        """End the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _take_odometry(self, message: Odometry) -> None:
        self._add(message, message.twist.twist.linear)

    def _take_twist(self, message: TwistStamped) -> None:
        self._add(message, message.twist.linear)

    def _add(self, message: Any, linear: Any) -> None:
        speed = math.sqrt(linear.x**2 + linear.y**2 + linear.z**2)
        if math.isfinite(speed):
            self._speeds.add(stamp_ns(message), speed)

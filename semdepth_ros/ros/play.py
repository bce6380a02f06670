"""`python -m semdepth_ros.ros.play BAG`: play a bag in real time where `ros2 bag play` is absent.

Messages go out as they were recorded, stamps untouched, reliable, and not before somebody listens
to the images.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from semdepth_ros.bags.reader import Bag
from semdepth_ros.errors import SemdepthError

_IMAGES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')

#: Period of /clock in seconds of real time.
_CLOCK_PERIOD = 0.01


class PlayError(SemdepthError):
    """A bag that cannot be played."""


def message_class(msgtype: str) -> Any:
    """Return the rclpy class of `package/msg/Name`; ImportError where it is not installed."""
    package, _, name = msgtype.split('/')
    return getattr(importlib.import_module(f'{package}.msg'), name)


class Player:
    """Publishes the messages of a bag.

    Args:
        node: that owns the publishers.
        bag: to play.
        topics: to leave all others out; all by default.
        clock: whether /clock is published.
    """

    def __init__(self, node: Any, bag: Bag, topics: Sequence[str] = (), clock: bool = False):
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from rosgraph_msgs.msg import Clock

        unknown = set(topics) - set(bag.topics)
        if unknown:
            raise PlayError(
                f'bag {bag.path} has no topic {", ".join(sorted(unknown))}, it has: '
                f'{", ".join(sorted(bag.topics))}'
            )
        self._bag = bag
        self._publishers: dict[str, Any] = {}
        for topic in bag.topics.values():
            if topics and topic.name not in topics:
                continue
            if topic.serialization == 'ros1':
                raise PlayError(f'bag {bag.path} is a ROS 1 bag, expected a rosbag2')
            try:
                kind = message_class(topic.msgtype)
            except ImportError:
                node.get_logger().info(f'{topic.name} is left out: no {topic.msgtype} here')
                continue
            qos = QoSProfile(depth=10)
            if topic.name.endswith('tf_static'):
                qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
            self._publishers[topic.name] = node.create_publisher(kind, topic.name, qos)
        self._clock = node.create_publisher(Clock, '/clock', 10) if clock else None

    def wait_for_listeners(self, stop: threading.Event, settle: float = 1.0) -> None:
        """Wait until every image topic has a subscription, and `settle` seconds longer."""
        images = [
            publisher
            for name, publisher in self._publishers.items()
            if self._bag.topics[name].msgtype in _IMAGES
        ]
        while not all(p.get_subscription_count() for p in images) and not stop.wait(0.05):
            pass
        # A subscriber that looks at what is offered may subscribe anew.
        stop.wait(settle)

    def play(self, stop: threading.Event, rate: float = 1.0) -> int:
        """Publish in the rhythm of the recording; return the number of messages."""
        start = time.monotonic()
        first = self._bag.span_ns[0]
        sent = 0
        for log_time, topic, number in self._in_order():
            if not self._wait_until(start, first, log_time, rate, stop):
                break
            self._publishers[topic].publish(self._bag.raw(topic, number))
            sent += 1
        return sent

    def _wait_until(
        self, start: float, first: int, log_time: int, rate: float, stop: threading.Event
    ) -> bool:
        """Wait, and tell the time meanwhile; return whether to go on."""
        due = start + (log_time - first) * 1e-9 / rate
        while not stop.is_set():
            now = time.monotonic()
            self._tell_time(first + int((min(now, due) - start) * rate * 1e9))
            if now >= due:
                return True
            stop.wait(min(due - now, _CLOCK_PERIOD) if self._clock else due - now)
        return False

    def _tell_time(self, now_ns: int) -> None:
        if self._clock is not None:
            from builtin_interfaces.msg import Time
            from rosgraph_msgs.msg import Clock

            sec, nanosec = divmod(now_ns, 1_000_000_000)
            self._clock.publish(Clock(clock=Time(sec=sec, nanosec=nanosec)))

    def _in_order(self) -> Iterator[tuple[int, str, int]]:
        names = list(self._publishers)
        times = [self._bag.log_times(name) for name in names]
        which = np.repeat(np.arange(len(names)), [len(column) for column in times])
        numbers = np.concatenate([np.arange(len(column)) for column in times])
        stamps = np.concatenate(times)
        for row in np.argsort(stamps, kind='stable').tolist():
            yield int(stamps[row]), names[which[row]], int(numbers[row])


def main(argv: Sequence[str] | None = None) -> int:
    """Play a bag; return 0, also after Ctrl-C, or 2 where it cannot be played."""
    parser = argparse.ArgumentParser('semdepth_ros.ros.play', description=__doc__)
    parser.add_argument('bag', help='rosbag2 folder or file')
    parser.add_argument('--rate', type=float, default=1.0, help='times real time')
    parser.add_argument('--clock', action='store_true', help='publish /clock as well')
    parser.add_argument('--loop', action='store_true', help='start over at the end')
    parser.add_argument('--topics', nargs='+', default=[], help='these only')
    arguments = parser.parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    import rclpy
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('bag_player')
    try:
        player = Player(node, Bag(arguments.bag), arguments.topics, arguments.clock)
        player.wait_for_listeners(stop)
        sent = player.play(stop, arguments.rate)
        while arguments.loop and not stop.is_set():
            sent += player.play(stop, arguments.rate)
        # Reliable messages that are still on their way leave with the process.
        stop.wait(1.0)
        print(f'played {sent} messages')
        return 0
    except SemdepthError as error:
        print(f'semdepth_ros.ros.play: error: {error}', file=sys.stderr)
        return 2
    finally:
        node.destroy_node()
        rclpy.shutdown()


if __name__ == '__main__':
    sys.exit(main())

"""`python -m semdepth_ros.ros.record BAG`: record what a node publishes, until Ctrl-C."""

from __future__ import annotations

import argparse
import functools
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from semdepth_ros.bags.messages import typestore
from semdepth_ros.bags.writer import BagWriter
from semdepth_ros.errors import SemdepthError
from semdepth_ros.ros.play import message_class


class Recorder:
    """Subscribes to topics as they appear and hands every message on as serialized bytes.

    Args:
        node: that owns the subscriptions.
        prefixes: topics that begin with one of these are recorded.
        take: gets topic, type and CDR bytes of each message, in the executor's thread.
    """

    def __init__(
        self, node: Any, prefixes: Sequence[str], take: Callable[[str, str, bytes], None]
    ) -> None:
        self._node = node
        self._prefixes = tuple(prefixes)
        self._take = take
        self._seen: set[str] = set()
        node.create_timer(0.2, self.look_for_topics)

    def look_for_topics(self) -> None:
        """Subscribe to what is new."""
        for topic, kinds in self._node.get_topic_names_and_types():
            if topic in self._seen or not topic.startswith(self._prefixes):
                continue
            publishers = self._node.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            self._seen.add(topic)
            self._subscribe(topic, kinds[0], publishers[0].qos_profile)

    def _subscribe(self, topic: str, kind: str, offered: Any) -> None:
        from rclpy.qos import HistoryPolicy, QoSProfile

        try:
            message = message_class(kind)
        except ImportError:
            self._node.get_logger().info(f'{topic} is left out: no {kind} here')
            return
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=50,
            reliability=offered.reliability,
            durability=offered.durability,
        )
        take = functools.partial(self._take, topic, kind)
        self._node.create_subscription(message, topic, take, qos, raw=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Record until Ctrl-C or SIGTERM; return 0, or 2 where the bag cannot be written."""
    parser = argparse.ArgumentParser('semdepth_ros.ros.record', description=__doc__)
    parser.add_argument('bag', help='new rosbag2 folder')
    parser.add_argument('--topics', nargs='+', default=['/depth_node/'], help='prefixes of topics')
    parser.add_argument('--storage', choices=('mcap', 'sqlite3'), default='mcap')
    arguments = parser.parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('bag_recorder')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        with BagWriter(arguments.bag, storage=arguments.storage) as bag:

            def take(topic: str, kind: str, data: bytes) -> None:
                message = typestore().deserialize_cdr(data, kind)
                bag.write(topic, message, time.time_ns())

            Recorder(node, arguments.topics, take)
            while not stop.is_set():
                executor.spin_once(timeout_sec=0.1)
        print(f'recorded {bag.message_count} messages')
        return 0
    except SemdepthError as error:
        print(f'semdepth_ros.ros.record: error: {error}', file=sys.stderr)
        return 2
    finally:
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.shutdown()


if __name__ == '__main__':
    sys.exit(main())

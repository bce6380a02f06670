"""How long a cloud takes to another process over DDS, with a Fast DDS profile and without.

Sender and listener are processes of their own: the profile is read when a process first uses DDS.
Both read the machine's monotonic clock, so the stamp of a cloud tells its age where it arrives.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from semdepth_ros.demo.domain import claim_domain
from semdepth_ros.errors import SemdepthError
from semdepth_ros.pointcloud import UNLABELLED_POINT_DTYPE
from semdepth_ros.ros.messages import points_message
from semdepth_ros.ros.qos import output_qos
from semdepth_ros.ros.synchronizer import stamp_ns

#: Of the cloud: 4.9 MB with position and colour.
WIDTH, HEIGHT = 640, 480
_TOPIC = 'cloud'
#: Seconds without a cloud after which the listener has heard the last one.
_SILENCE = 5.0
_PATIENCE = 60.0


class TransportError(SemdepthError):
    """A listener that heard nothing."""


def measure_transport(clouds: int, rate: float, profile: Path | None) -> list[float]:
    """Return the age in seconds at which each cloud arrived, in the order of arrival.

    Args:
        clouds: how many are sent.
        rate: per second.
        profile: Fast DDS profile of both processes; None for the defaults of Fast DDS.

    Raises:
        TransportError: when the listener does not answer.
    """
    environment = os.environ | {
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_DOMAIN_ID': str(claim_domain()),
    }
    for name in ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'):
        environment.pop(name, None)
        if profile is not None:
            environment[name] = str(profile)
    command = [sys.executable, '-m', 'semdepth_ros.ros.transport']
    with subprocess.Popen(
        [*command, 'listen'], env=environment, stdout=subprocess.PIPE, text=True
    ) as listener:
        try:
            subprocess.run([*command, 'send', str(clouds), str(rate)], env=environment, check=True)
            text, _ = listener.communicate(timeout=_PATIENCE)
        except (subprocess.SubprocessError, OSError) as error:
            raise TransportError(f'transport of clouds: {error}') from error
        finally:
            listener.kill()
    ages = json.loads(text or '[]')
    if not ages:
        raise TransportError(f'transport of clouds: none of {clouds} arrived')
    return ages


def _send(clouds: int, rate: float) -> None:
    node = rclpy.create_node('cloud_sender')
    publisher = node.create_publisher(PointCloud2, _TOPIC, output_qos())
    deadline = time.monotonic() + _PATIENCE
    while not publisher.get_subscription_count() and time.monotonic() < deadline:
        time.sleep(0.05)
    # A match of the publisher is not yet one of the subscription.
    time.sleep(0.5)
    points = np.zeros((HEIGHT, WIDTH), UNLABELLED_POINT_DTYPE)
    start = time.monotonic()
    for number in range(clouds):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        header = Header(frame_id='camera')
        message = points_message(header, points)
        header.stamp.sec, header.stamp.nanosec = divmod(time.monotonic_ns(), 10**9)
        message.header = header
        publisher.publish(message)
    # What is on its way when the process ends is lost.
    time.sleep(1.0)


def _listen() -> None:
    node = rclpy.create_node('cloud_listener')
    ages: list[float] = []
    last = time.monotonic() + _PATIENCE

    def take(message: PointCloud2) -> None:
        nonlocal last
        last = time.monotonic()
        ages.append(last - stamp_ns(message) / 1e9)

    node.create_subscription(PointCloud2, _TOPIC, take, output_qos())
    while time.monotonic() < last + _SILENCE:
        rclpy.spin_once(node, timeout_sec=0.5)
    print(json.dumps(ages))


if __name__ == '__main__':
    rclpy.init()
    if sys.argv[1] == 'listen':
        _listen()
    else:
        _send(int(sys.argv[2]), float(sys.argv[3]))
    rclpy.shutdown()

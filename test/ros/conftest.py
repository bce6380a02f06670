"""One running node for many tests: starting one takes seconds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# As the launch file does: without it, images and clouds do not fit into shared memory.
os.environ.setdefault(
    'FASTDDS_DEFAULT_PROFILES_FILE',
    str(Path(__file__).resolve().parents[2] / 'config' / 'fastdds.xml'),
)


@pytest.fixture(scope='module')
def bench():
    """Return a ROS node of this process, in a domain of the module."""
    pytest.importorskip('rclpy')
    from ros_harness import bench_of_its_own

    with bench_of_its_own() as bench:
        yield bench

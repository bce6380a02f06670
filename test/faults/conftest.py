"""A node with a faulty engine, shared by the tests of a module, and a ROS node of the test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

TEST = Path(__file__).resolve().parents[1]

# The harness of the node's own tests; pytest finds it only while it collects them.
sys.path.insert(0, str(TEST / 'ros'))

# As the launch file does: without it, images and clouds do not fit into shared memory.
os.environ.setdefault('FASTDDS_DEFAULT_PROFILES_FILE', str(TEST.parent / 'config' / 'fastdds.xml'))


@pytest.fixture(scope='module')
def bench():
    """Return a ROS node of this process, in a domain of the module."""
    pytest.importorskip('rclpy')
    from ros_harness import bench_of_its_own

    with bench_of_its_own() as bench:
        yield bench


@pytest.fixture(scope='module')
def node(bench, tiny_weights, tmp_path_factory):
    """Return the running node whose engine does as it is told."""
    from fault_harness import FaultNode

    process = FaultNode(
        tmp_path_factory.mktemp('fault'),
        *('-p', f'weights:={tiny_weights}', '-p', 'image_timeout:=1.0'),
    )
    yield process
    # A killed process leaves its shared memory behind.
    process.stop()
    process.kill()


@pytest.fixture
def stage(node, bench):
    """Give the node after a good frame; at the end it publishes a good frame again."""
    from fault_harness import Stage

    stage = Stage(node, bench)
    node.fault('')
    stage.good_frame()
    yield stage
    node.fault('')
    stage.good_frame()
    stage.assert_honest()
    assert node.is_running()
    assert 'Traceback' not in node.log

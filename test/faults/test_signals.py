"""SIGINT and SIGTERM in each state of the lifecycle: exit code 0, no traceback.

Unconfigured, loading and busy nodes are in test/ros/test_depth_node_process.py, a hanging engine is
in test_faults_of_the_engine.py. The two seconds are a deadline in the node itself
(`_end_at_the_latest`, semdepth_ros/ros/node.py): a test of seconds would depend on the machine's
load, so a process that does not end is what fails here, and the seconds are recorded.
"""

import signal

import pytest

pytest.importorskip('rclpy')

from fault_harness import FaultNode
from ros_harness import bench_of_its_own

#: State to be reached -> the way there.
WAYS = {
    'inactive': ('configure',),
    'active': ('configure', 'activate'),
    'finalized': ('configure', 'activate', 'shutdown'),
}


@pytest.fixture
def bench():
    """Return a ROS node of this process, in a domain of the test."""
    with bench_of_its_own() as bench:
        yield bench


@pytest.fixture
def start(bench, tmp_path):
    """Give the function that starts a node and waits until it is heard."""
    nodes = []

    def start(*arguments):
        nodes.append(FaultNode(tmp_path, *arguments))
        bench.until(lambda: bench.status('engine'), 'diagnostics')
        return nodes[-1]

    yield start
    for node in nodes:
        node.kill()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=['SIGINT', 'SIGTERM'])
@pytest.mark.parametrize('state', WAYS)
def test_a_signal_ends_a_node_in_any_state(
    start, bench, tiny_weights, record_property, state, number
):
    """Guard: the handlers of `main` (node.py), which replace Python's own and rclpy's."""
    node = start('-p', f'weights:={tiny_weights}', '-p', 'autostart:=false')
    for label in WAYS[state]:
        assert bench.change(label), label
    assert bench.state() == state
    code, seconds = node.stop(number)
    record_property('seconds', seconds)
    assert code == 0, node.log
    assert 'Traceback' not in node.log


def test_a_signal_ends_a_node_that_could_not_be_configured(start, bench):
    """Guard: `DepthNode.on_configure` (depth_node.py) returns FAILURE and leaves a node that can
    be ended."""
    node = start('-p', 'weights:=absent.safetensors')
    bench.until(lambda: 'configure failed' in node.log, 'the failure')
    code, _ = node.stop(signal.SIGTERM)
    assert code == 0, node.log
    assert 'Traceback' not in node.log

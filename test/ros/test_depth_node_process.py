"""Rule 11 and the start: what the process does at its beginning and end."""

import os
import re
import signal
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')

from ros_harness import NodeProcess, bench_of_its_own, image, info, picture
from sensor_msgs.msg import Image


@pytest.fixture
def bench():
    """Return a ROS node of this process, in a domain of the test."""
    with bench_of_its_own() as bench:
        yield bench


@pytest.fixture
def start():
    processes = []

    def start(*arguments, **options):
        processes.append(NodeProcess(*arguments, **options))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def assert_clean(process, number):
    code, _ = process.stop(number)
    assert code == 0, process.log
    assert 'Traceback' not in process.log


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_rule_11_a_signal_to_an_unconfigured_node_ends_it_cleanly(start, bench, number):
    process = start('-p', 'autostart:=false')
    bench.until(lambda: bench.status('engine'), 'diagnostics')
    assert bench.status('engine').message == 'not configured'
    assert_clean(process, number)


def test_rule_11_a_signal_while_weights_are_loaded_ends_it_cleanly(start, bench, tiny_weights):
    process = start('-p', 'autostart:=false', '-p', f'weights:={tiny_weights}')
    bench.until(lambda: bench.status('engine'), 'diagnostics')
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    client = bench.node.create_client(ChangeState, '/depth_node/change_state')
    bench.until(client.service_is_ready, 'the service')
    request = ChangeState.Request(transition=Transition(label='configure'))
    client.call_async(request)
    # The import of torch alone takes longer than this.
    bench.spin(0.3)
    assert_clean(process, signal.SIGINT)
    bench.node.destroy_client(client)


def test_rule_11_a_signal_while_the_engine_works_ends_it_cleanly(start, bench, tiny_weights):
    # At native size the network sees 640x192 and is busy nearly all the time.
    process = start('-p', f'weights:={tiny_weights}', '-p', 'engine:=torch', '-p', 'fit:=native')
    topic = '/depth_node/depth/image_rect'
    bench.listen(Image, topic)
    bench.heard[topic].clear()
    bench.show_until(
        lambda n: (image(picture(), 100 + n), info()),
        lambda: len(bench.heard[topic]) > 2,
        'depth',
        period=0.02,
    )
    assert_clean(process, signal.SIGTERM)


def test_rule_11_a_signal_in_the_middle_of_the_imports_ends_it_cleanly(start, bench):
    process = start()
    # The first moment at which it can hear: Linux shows which signals a process catches.
    bench.until(lambda: process.catches(signal.SIGTERM), 'the handler')
    assert_clean(process, signal.SIGTERM)


def test_rule_9_a_bad_parameter_at_the_start_is_one_line_and_exit_code_2(start):
    process = start('-p', 'stride:=0')
    assert process.wait() == 2
    assert process.log.strip() == 'depth_node: error: parameter stride is 0, expected 1 to 16'


def test_arguments_that_ros_cannot_parse_are_one_line_and_exit_code_2(start):
    process = start('-p', 'stride')
    assert process.wait() == 2
    assert 'depth_node: error: ' in process.log
    assert 'Traceback' not in process.log


def test_rule_5_qos_overrides_and_remapping_are_taken_from_the_command_line(
    start, bench, tiny_weights
):
    from rclpy.qos import ReliabilityPolicy

    start(
        *('-r', 'image:=/cam/image_rect', '-r', 'camera_info:=/cam/info'),
        *('-p', 'image_transport:=compressed', '-p', f'weights:={tiny_weights}'),
        *('-p', 'engine:=torch'),
        *('-p', 'qos_overrides./cam/image_rect/compressed.subscription.reliability:=reliable'),
        *('-p', 'qos_overrides./depth_node/label_mask.publisher.reliability:=best_effort'),
    )
    topic = '/cam/image_rect/compressed'
    found = bench.until(lambda: bench.node.get_subscriptions_info_by_topic(topic), topic)
    assert found[0].qos_profile.reliability == ReliabilityPolicy.RELIABLE
    bench.until(lambda: bench.node.get_subscriptions_info_by_topic('/cam/info'), '/cam/info')
    topic = '/depth_node/label_mask'
    (publisher,) = bench.until(lambda: bench.node.get_publishers_info_by_topic(topic), topic)
    assert publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def test_rule_8_a_bad_qos_override_is_a_failure_of_configure_with_a_reason(
    start, bench, tiny_weights
):
    process = start(
        *('-p', f'weights:={tiny_weights}', '-p', 'engine:=torch'),
        *('-p', 'qos_overrides./depth_node/points.publisher.reliability:=perhaps'),
    )
    bench.until(lambda: 'configure failed' in process.log, 'the failure')
    assert re.search(r'configure failed: .*reliability.*perhaps', process.log)
    assert 'Traceback' not in process.log


def test_rule_6_simulated_time_that_stands_still_does_not_silence_the_node(
    start, bench, tiny_weights
):
    start('-p', 'use_sim_time:=true', '-p', f'weights:={tiny_weights}', '-p', 'engine:=torch')
    bench.diagnostics.clear()
    bench.until(lambda: bench.status('camera'), 'diagnostics without a clock')
    topic = '/depth_node/depth/image_rect'
    bench.listen(Image, topic)
    bench.heard[topic].clear()
    bench.show_until(
        lambda n: (image(picture(), 100 + n), info()), lambda: bench.heard[topic], 'depth'
    )


def test_the_node_starts_without_torch_being_imported_before_configure():
    code = 'import sys, semdepth_ros.ros.depth_node; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], env=os.environ).returncode == 0

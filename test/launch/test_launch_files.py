# ruff: noqa: E402 (launch may be absent)
"""The launch files, on a machine that has ROS 2's launch."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Not `launch` alone: this project's folder of that name would answer to it.
pytest.importorskip('launch.actions')
pytest.importorskip('launch_ros.actions')
packages = pytest.importorskip('ament_index_python.packages')

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.launch_description_sources import get_launch_description_from_python_launch_file
from launch.utilities import perform_substitutions

LAUNCH = Path(__file__).resolve().parents[2] / 'launch'

#: The arguments that the contract promises.
PROMISED = {
    'image', 'camera_info', 'weights', 'engine', 'device', 'precision', 'camera_height',
    'namespace', 'params_file', 'use_sim_time', 'autostart', 'rviz', 'log_level',
}  # fmt: skip


@pytest.fixture(autouse=True)
def installed():
    try:
        packages.get_package_share_directory('semdepth_ros')
    except Exception:
        pytest.skip('semdepth_ros is not installed in an ament prefix (colcon build)')


def described(name):
    return get_launch_description_from_python_launch_file(str(LAUNCH / name))


def declared(name):
    entities = described(name).entities
    return {e.name: e for e in entities if isinstance(e, DeclareLaunchArgument)}


@pytest.mark.parametrize('name', ['depth.launch.py', 'demo.launch.py'])
def test_every_argument_is_described(name):
    for argument in declared(name).values():
        assert len(argument.description) > 10, argument.name


def test_every_argument_of_the_contract_is_there():
    assert set(declared('depth.launch.py')) >= PROMISED


def test_what_the_demo_passes_on_has_the_same_arguments_in_the_node_launch_file():
    passed_on = set(declared('demo.launch.py')) - {'bag', 'rate', 'loop'}
    assert passed_on <= set(declared('depth.launch.py'))


@pytest.mark.parametrize('variable', [None, 'FASTDDS_DEFAULT_PROFILES_FILE'])
def test_the_fast_dds_profile_is_set_unless_the_user_has_his_own(monkeypatch, variable):
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    monkeypatch.delenv('FASTRTPS_DEFAULT_PROFILES_FILE', raising=False)
    if variable is not None:
        monkeypatch.setenv(variable, '/my/own.xml')
    entities = described('depth.launch.py').entities
    context = LaunchContext()
    values = [
        perform_substitutions(context, entity.value)
        for entity in entities
        if isinstance(entity, SetEnvironmentVariable)
    ]
    assert len(values) == (variable is None)
    assert all(Path(value).read_text().startswith('<?xml') for value in values)


@pytest.fixture
def launched(tmp_path):
    pytest.importorskip('ros2launch.api', reason='ros2launch is not installed')
    processes = []

    def launch(*arguments):
        log = open(tmp_path / 'launch.log', 'w+')
        code = (
            'import sys; from ros2launch.api import launch_a_launch_file as go; '
            'sys.exit(go(launch_file_path=sys.argv[1], launch_file_arguments=sys.argv[2:]))'
        )
        command = [sys.executable, '-c', code, str(LAUNCH / 'depth.launch.py'), *arguments]
        processes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        return processes[-1], Path(log.name)

    yield launch
    for process in processes:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.1)
    return value


@pytest.fixture
def watcher():
    import rclpy

    rclpy.init()
    node = rclpy.create_node('launch_watcher')
    yield node
    node.destroy_node()
    rclpy.shutdown()


def ask(node, kind, service, request):
    import rclpy

    client = node.create_client(kind, service)
    assert client.wait_for_service(60)
    future = client.call_async(request)
    rclpy.spin_until_future_complete(node, future, timeout_sec=60)
    return future.result()


def test_rule_8_the_launched_node_activates_itself_and_stays_inactive_when_told_so(
    launched, watcher
):
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState, GetState

    process, log = launched('image:=/cam/image_rect', 'namespace:=front', 'engine:=torch')
    name = '/front/depth_node'

    def state():
        return ask(watcher, GetState, f'{name}/get_state', GetState.Request()).current_state.label

    wait_for(lambda: state() == 'active', log.read_text())
    topics = [t for t, _ in watcher.get_subscriber_names_and_types_by_node('depth_node', '/front')]
    # camera_info is taken from beside the image.
    assert {'/cam/image_rect', '/cam/camera_info'} <= set(topics)
    request = ChangeState.Request(transition=Transition(label='deactivate'))
    assert ask(watcher, ChangeState, f'{name}/change_state', request).success
    time.sleep(1)
    assert state() == 'inactive'

    process.send_signal(2)
    process.wait(30)
    assert re.search(r'depth_node.*process has finished cleanly', log.read_text())

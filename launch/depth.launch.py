"""Start the depth node, configure it and activate it."""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from lifecycle_msgs.msg import Transition

SHARE = Path(get_package_share_directory('semdepth_ros'))

#: Name, default, description of what is passed on as a parameter of the node.
PARAMETERS = (
    ('weights', '', 'Weights file (safetensors); empty takes the one that is shipped.', str),
    ('engine', 'auto', 'auto, tensorrt, torch, openvino or onnxruntime.', str),
    ('device', 'auto', 'auto, cpu, cuda or cuda:N; a device that is named is used or fails.', str),
    ('precision', 'auto', 'auto, float32, bfloat16, float16 or int8.', str),
    (
        'camera_height',
        '0.0',
        'Height of the camera above the ground in metres. Above 0, metres come from it: '
        'scale_source becomes camera_height.',
        float,
    ),
    ('image_transport', 'raw', 'raw, or compressed to subscribe to <image>/compressed.', str),
)

ARGUMENTS = (
    ('image', 'image', 'Topic of the image (sensor_msgs/Image), without /compressed.'),
    (
        'camera_info',
        '',
        'Topic of its sensor_msgs/CameraInfo; empty takes camera_info beside the image.',
    ),
    *((name, default, text) for name, default, text, _ in PARAMETERS),
    ('namespace', '', 'Namespace of the node.'),
    (
        'params_file',
        '',
        'YAML file with parameters, such as config/depth.yaml of this package. It goes before '
        'the defaults of the arguments here; arguments that are given go before it.',
    ),
    ('use_sim_time', 'false', 'true takes the time from /clock.'),
    ('autostart', 'true', 'false leaves configure and activate to you or a lifecycle manager.'),
    ('rviz', 'false', 'true starts RViz2 with config/depth.rviz.'),
    ('log_level', 'info', 'debug, info, warn or error.'),
)


def generate_launch_description():
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, default, text in ARGUMENTS
            ),
            *shared_memory_profile(),
            OpaqueFunction(function=start_node),
            Node(
                package='rviz2',
                executable='rviz2',
                arguments=['-d', str(SHARE / 'config' / 'depth.rviz')],
                condition=IfCondition(LaunchConfiguration('rviz')),
            ),
        ]
    )


def shared_memory_profile():
    """Give Fast DDS room for images and clouds, unless the user has a profile of his own."""
    names = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
    if any(name in os.environ for name in names):
        return []
    # Fast DDS 2 knows the second name alone; Fast DDS 3 warns of it.
    is_fast_dds_2 = os.environ.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy')
    return [SetEnvironmentVariable(names[is_fast_dds_2], str(SHARE / 'config' / 'fastdds.xml'))]


def start_node(context):
    def value(name):
        return LaunchConfiguration(name).perform(context)

    image = value('image')
    camera_info = value('camera_info') or '/'.join([*image.split('/')[:-1], 'camera_info'])
    given = {}
    for name, default, _, kind in PARAMETERS:
        if value(name) != default:
            given[name] = ParameterValue(LaunchConfiguration(name), value_type=kind)
    if 'camera_height' in given:
        given['scale_source'] = 'camera_height'
    # The transitions are driven from here.
    given['autostart'] = False
    given['use_sim_time'] = ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)
    params_file = value('params_file')
    node = LifecycleNode(
        package='semdepth_ros',
        executable='depth_node',
        name='depth_node',
        namespace=value('namespace'),
        output='screen',
        parameters=[*([params_file] if params_file else []), given],
        remappings=[('image', image), ('camera_info', camera_info)],
        arguments=['--ros-args', '--log-level', value('log_level')],
    )
    if value('autostart').lower() not in ('true', '1'):
        return [node]
    return [
        # Before the node: the handler must be there when the transition is reported. Without the
        # start state, a node that somebody deactivates would be activated again.
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node,
                start_state='configuring',
                goal_state='inactive',
                entities=[_change(node, Transition.TRANSITION_ACTIVATE)],
            )
        ),
        node,
        _change(node, Transition.TRANSITION_CONFIGURE),
    ]


def _change(node, transition):
    return EmitEvent(
        event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
    )

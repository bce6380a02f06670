"""Play a bag in real time through the depth node and show what it publishes in RViz2."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    Shutdown,
)
from launch.conditions import IfCondition, UnlessCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

SHARE = Path(get_package_share_directory('semdepth_ros'))

#: What is passed on to depth.launch.py as it is.
PASSED_ON = (
    ('image', '/camera/image_rect', 'Topic of the image in the bag, without /compressed.'),
    ('camera_info', '', 'Topic of its CameraInfo; empty takes camera_info beside the image.'),
    ('image_transport', 'compressed', 'raw or compressed, as the bag has it.'),
    ('weights', '', 'Weights file (safetensors); empty takes the one that is shipped.'),
    ('engine', 'auto', 'auto, tensorrt, torch, openvino or onnxruntime.'),
    ('camera_height', '0.0', 'Height of the camera above the ground in metres, where known.'),
    ('rviz', 'true', 'false leaves RViz2 out.'),
)


def generate_launch_description():
    bag = LaunchConfiguration('bag')
    return LaunchDescription(
        [
            DeclareLaunchArgument('bag', description='The rosbag2 to play.'),
            DeclareLaunchArgument('rate', default_value='1.0', description='Times real time.'),
            DeclareLaunchArgument('loop', default_value='false', description='true plays forever.'),
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, default, text in PASSED_ON
            ),
            # First, for its shared-memory profile: the player needs it too.
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'depth.launch.py')),
                launch_arguments=[
                    ('use_sim_time', 'true'),
                    *((name, LaunchConfiguration(name)) for name, _, _ in PASSED_ON),
                ],
            ),
            *(
                ExecuteProcess(
                    cmd=_player(bag) + extra,
                    output='screen',
                    condition=condition,
                    on_exit=[Shutdown(reason='the bag is over')],
                )
                for extra, condition in (
                    ([], UnlessCondition(LaunchConfiguration('loop'))),
                    (['--loop'], IfCondition(LaunchConfiguration('loop'))),
                )
            ),
        ]
    )


def _player(bag):
    # The delay leaves the node time to load.
    rate = LaunchConfiguration('rate')
    return ['ros2', 'bag', 'play', bag, '--clock', '--delay', '8', '--rate', rate]

"""Every topic of the node in one table: what the README says is generated from here."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Topic:
    """A topic: its name in this node, its type, what is in it."""

    name: str
    type: str
    description: str


INPUTS = (
    Topic('image', 'sensor_msgs/Image', 'The picture; its stamp and frame go on every output.'),
    Topic(
        'image/compressed',
        'sensor_msgs/CompressedImage',
        'Instead of `image` with `image_transport: compressed`: jpeg or png.',
    ),
    Topic(
        'camera_info',
        'sensor_msgs/CameraInfo',
        'Must match the size of the image (binning and ROI honoured).',
    ),
    Topic('odom', 'nav_msgs/Odometry', 'Speed, only with `scale_source: odometry`.'),
    Topic('twist', 'geometry_msgs/TwistStamped', 'Speed, only with `scale_source: odometry`.'),
)

OUTPUTS = (
    Topic(
        '~/depth/image_rect',
        'sensor_msgs/Image',
        '32FC1 metres along the camera Z axis: NaN invalid, +Inf sky or beyond `max_depth`, -Inf '
        'nearer than `min_depth`; or 16UC1 millimetres, 0 for all of those.',
    ),
    Topic(
        '~/depth/camera_info',
        'sensor_msgs/CameraInfo',
        'Size, K and P of the depth image (and of labels, confidence and cloud), no distortion.',
    ),
    Topic(
        '~/points',
        'sensor_msgs/PointCloud2',
        'Organised, one point per pixel of the depth image, metres in the optical frame: x, y, z, '
        'rgb, label; NaN where depth is not finite or flies between two surfaces.',
    ),
    Topic('~/label_mask', 'sensor_msgs/Image', 'mono8 Cityscapes train ids 0 to 18, 255 none.'),
    Topic(
        '~/label_mask/confidence',
        'sensor_msgs/Image',
        'mono8 probability of the label, 0 to 255.',
    ),
    Topic(
        '~/label_info',
        'vision_msgs/LabelInfo',
        'Names of the ids, latched; only where vision_msgs is installed.',
    ),
    Topic('~/depth/image_color', 'sensor_msgs/Image', 'rgb8 picture of the depth for people.'),
    Topic(
        '~/label_mask/image_color', 'sensor_msgs/Image', 'rgb8 picture of the labels for people.'
    ),
    Topic(
        '~/scale',
        'std_msgs/Float32',
        'Factor that turned network depth into metres in the newest frame, latched.',
    ),
    Topic(
        '/diagnostics',
        'diagnostic_msgs/DiagnosticArray',
        'Once a second: rates, frame counts, age p50 and p99, engine, scale, the last fault.',
    ),
)


def topic_table() -> str:
    """Return inputs and outputs as a Markdown table."""
    lines = ['| direction | topic | type | what it is |', '|---|---|---|---|']
    for direction, topics in (('in', INPUTS), ('out', OUTPUTS)):
        lines += [f'| {direction} | `{t.name}` | {t.type} | {t.description} |' for t in topics]
    return '\n'.join(lines)

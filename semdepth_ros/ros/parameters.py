"""The node's parameters, each declared once: name, type, default, range, description.

The table in the README is generated from here (`parameter_table`).
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Callable, Sequence
from typing import Any

from semdepth_ros.engines.create import ENGINES, PRECISIONS
from semdepth_ros.errors import SemdepthError
from semdepth_ros.pipeline import OUTPUT_SIZES, OutputSettings
from semdepth_ros.preprocessing import FIT_MODES
from semdepth_ros.scale import SCALE_SOURCES

if typing.TYPE_CHECKING:
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.node import Node
    from rclpy.parameter import Parameter

DISTORTION_POLICIES = ('rectify', 'refuse', 'assume_rectified')
RELIABILITIES = ('auto', 'reliable', 'best_effort')
TRANSPORTS = ('raw', 'compressed')
DEPTH_ENCODINGS = ('32FC1', '16UC1')

#: When a new value is taken: at once, only while the node is unconfigured, or at start alone.
AT_ONCE, UNCONFIGURED, START = 'at once', 'while unconfigured', 'at start'


class ParameterError(SemdepthError):
    """A parameter with a value that cannot be used."""


def _parameter(
    default: Any,
    description: str,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    applies: str = AT_ONCE,
) -> Any:
    """Return the field of one parameter; its type is the annotation's."""
    metadata = {
        'description': description,
        'choices': tuple(choices),
        'minimum': minimum,
        'maximum': maximum,
        'applies': applies,
    }
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Parameters:
    """The values of all parameters at one moment."""

    weights: str = _parameter(
        '', 'Weights file (safetensors); empty takes the one that is shipped.', applies=UNCONFIGURED
    )
    engine: str = _parameter(
        'auto', 'What runs the network.', choices=ENGINES, applies=UNCONFIGURED
    )
    device: str = _parameter(
        'auto',
        'auto, cpu, cuda or cuda:N. A device that is named is used or configure fails; auto says '
        'in the log what it took.',
        applies=UNCONFIGURED,
    )
    precision: str = _parameter(
        'auto', 'Number format of the network.', choices=PRECISIONS, applies=UNCONFIGURED
    )
    fit: str = _parameter(
        'crop',
        'How an image of another shape becomes the network input: crop to its shape, pad with '
        'black, or native size (less the rest of a division by 32). Never stretched by over 5 %.',
        choices=FIT_MODES,
        applies=UNCONFIGURED,
    )
    cameras: list[str] = _parameter(  # noqa: RUF009
        [''],
        'Names of several cameras: inputs become front/image, ..., outputs ~/front/points, ...; '
        "[''] is one camera without a name.",
        applies=UNCONFIGURED,
    )
    sync_slop: float = _parameter(
        0.02,
        'Several cameras: largest difference between the stamps of one batch, seconds.',
        minimum=0.0,
        maximum=1.0,
        applies=UNCONFIGURED,
    )
    image_transport: str = _parameter(
        'raw',
        'raw subscribes to image, compressed to image/compressed (jpeg, png).',
        choices=TRANSPORTS,
        applies=UNCONFIGURED,
    )
    image_reliability: str = _parameter(
        'auto',
        'QoS of the image input: auto is reliable if every publisher found is, else best effort.',
        choices=RELIABILITIES,
        applies=UNCONFIGURED,
    )
    image_timeout: float = _parameter(
        5.0,
        'Seconds without an image (or without camera_info) after which the node complains.',
        minimum=0.5,
        maximum=3600.0,
    )
    distortion: str = _parameter(
        'rectify',
        'What happens to an image whose camera_info has distortion: rectify it, refuse it, or '
        'assume that it is rectified already (as on topics named image_rect).',
        choices=DISTORTION_POLICIES,
    )
    scale_source: str = _parameter(
        'weights',
        'Where metres come from: the weights, the height of the camera over the ground plane, or '
        'odometry (topics odom, twist; the weights file must hold the pose network).',
        choices=SCALE_SOURCES,
        applies=UNCONFIGURED,
    )
    camera_height: float = _parameter(
        0.0,
        'Height of the camera above the ground in metres; needed by scale_source camera_height.',
        minimum=0.0,
        maximum=100.0,
        applies=UNCONFIGURED,
    )
    output_size: str = _parameter(
        'network',
        'Size of depth, labels, confidence and cloud: what the network sees, or the whole image.',
        choices=OUTPUT_SIZES,
    )
    stride: int = _parameter(
        1, 'Every n-th pixel of all outputs, camera_info included.', minimum=1, maximum=16
    )
    depth_encoding: str = _parameter(
        '32FC1',
        '32FC1 is metres (REP 117: NaN, +Inf, -Inf), 16UC1 millimetres with 0 for all of those.',
        choices=DEPTH_ENCODINGS,
    )
    min_depth: float = _parameter(
        0.5, 'Nearest valid depth in metres; nearer is -Inf.', minimum=0.01, maximum=100.0
    )
    max_depth: float = _parameter(
        80.0, 'Farthest valid depth in metres; farther is +Inf.', minimum=0.1, maximum=1000.0
    )
    edge_threshold: float = _parameter(
        0.1,
        'Relative second difference of inverse depth above which a point is left out of the cloud '
        'as flying between two surfaces; 0 keeps all points.',
        minimum=0.0,
        maximum=10.0,
    )
    autostart: bool = _parameter(
        True,
        'Configure and activate without being asked; depth.launch.py drives the transitions itself '
        'and sets this to false.',
        applies=START,
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_value(field, getattr(self, field.name))
        if self.scale_source == 'camera_height' and self.camera_height == 0:
            raise ParameterError(
                'parameter camera_height is 0.0, scale_source camera_height needs it above 0'
            )
        if self.min_depth >= self.max_depth:
            raise ParameterError(
                f'parameter min_depth is {self.min_depth}, expected less than max_depth, '
                f'{self.max_depth}'
            )
        if len(set(self.cameras)) != len(self.cameras) or not self.cameras:
            raise ParameterError(f'parameter cameras is {self.cameras}, expected different names')
        if len(self.cameras) > 1 and not all(name.isidentifier() for name in self.cameras):
            raise ParameterError(
                f'parameter cameras is {self.cameras}, expected names of letters, digits and _'
            )

    @property
    def output(self) -> OutputSettings:
        """The part of them that says what the outputs look like."""
        names = [field.name for field in dataclasses.fields(OutputSettings)]
        return OutputSettings(**{name: getattr(self, name) for name in names})


def _check_value(field: dataclasses.Field, value: Any) -> None:
    meta = field.metadata
    if meta['choices'] and value not in meta['choices']:
        raise ParameterError(
            f'parameter {field.name} is {value!r}, expected one of {", ".join(meta["choices"])}'
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ParameterError(f'parameter {field.name} is {value}, expected a finite number')
    low, high = meta['minimum'], meta['maximum']
    if low is not None and not low <= value <= high:
        raise ParameterError(f'parameter {field.name} is {value}, expected {low} to {high}')


def declare(node: Node) -> Parameters:
    """Declare every parameter at a node and return their values.

    Raises:
        ParameterError: where an override has the wrong type or is out of range.
    """
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.parameter import Parameter

    types = typing.get_type_hints(Parameters)
    defaults = Parameters()
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Parameters):
        # Of any type at first: rclpy's own refusal names neither value nor expectation.
        anything = ParameterDescriptor(dynamic_typing=True)
        parameter = node.declare_parameter(field.name, getattr(defaults, field.name), anything)
        value = _python_value(parameter.value)
        if types[field.name] is float and type(value) is int:
            # `camera_height:=2` is meant as 2.0.
            value = float(value)
            node.set_parameters([Parameter(field.name, value=value)])
        if not _has_type(value, types[field.name]):
            raise ParameterError(
                f'parameter {field.name} is {value!r}, expected {_type_name(types[field.name])} '
                f'such as {getattr(defaults, field.name)!r}'
            )
        _check_value(field, value)
        node.set_descriptor(field.name, _descriptor(field, types[field.name]))
        values[field.name] = value
    return Parameters(**values)


def misspelt(node: Node) -> list[str]:
    """Return a sentence for each override that is no parameter, but nearly one.

    rclpy takes no notice of overrides that nobody declares, and has no public way to see them.
    """
    names = [field.name for field in dataclasses.fields(Parameters)]
    sentences = []
    for name in getattr(node, '_parameter_overrides', {}):
        if not node.has_parameter(name):
            sentences += [
                f'parameter {name} is unknown and without effect: is {near} meant?'
                for near in difflib.get_close_matches(name, names, n=1, cutoff=0.8)
            ]
    return sentences


def _descriptor(field: dataclasses.Field, kind: Any) -> ParameterDescriptor:
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
    from rclpy.parameter import Parameter

    meta = field.metadata
    constraints = []
    if meta['choices']:
        constraints.append('one of ' + ', '.join(meta['choices']))
    if meta['applies'] == UNCONFIGURED:
        constraints.append('can be set only while the node is unconfigured')
    descriptor = ParameterDescriptor(
        name=field.name,
        type=getattr(Parameter.Type, _TYPES[kind][1]).value,
        description=meta['description'],
        additional_constraints='; '.join(constraints),
        read_only=meta['applies'] == START,
    )
    low, high = meta['minimum'], meta['maximum']
    if low is not None and kind is float:
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    elif low is not None:
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
    return descriptor


def updated(
    current: Parameters, changes: Sequence[Parameter], is_unconfigured: Callable[[], bool]
) -> Parameters:
    """Return the parameters after a set request, which may name parameters that are not ours.

    Raises:
        ParameterError: with the reason why the request is refused.
    """
    fields = {field.name: field for field in dataclasses.fields(Parameters)}
    values = {}
    for change in changes:
        if change.name not in fields:
            continue
        value = _python_value(change.value)
        if fields[change.name].metadata['applies'] != AT_ONCE and not is_unconfigured():
            if value == getattr(current, change.name):
                continue
            raise ParameterError(
                f'parameter {change.name} can be set only while the node is unconfigured: '
                'deactivate and clean up first'
            )
        values[change.name] = value
    return dataclasses.replace(current, **values)


def parameter_table() -> str:
    """Return the parameters as a Markdown table."""
    types = typing.get_type_hints(Parameters)
    defaults = Parameters()
    lines = [
        '| parameter | type | default | allowed | can be set | what it does |',
        '|---|---|---|---|---|---|',
    ]
    for field in dataclasses.fields(Parameters):
        meta = field.metadata
        allowed = ', '.join(f'`{choice}`' for choice in meta['choices'])
        if meta['minimum'] is not None:
            allowed = f'{meta["minimum"]:g} to {meta["maximum"]:g}'
        lines.append(
            f'| `{field.name}` | {_type_name(types[field.name])} | '
            f'`{getattr(defaults, field.name)!r}` | {allowed} | {meta["applies"]} | '
            f'{meta["description"]} |'
        )
    return '\n'.join(lines)


#: Python type -> its name for people, its name in rclpy.
_TYPES = {
    str: ('string', 'STRING'),
    float: ('double', 'DOUBLE'),
    int: ('integer', 'INTEGER'),
    bool: ('bool', 'BOOL'),
    list[str]: ('string[]', 'STRING_ARRAY'),
}


def _type_name(kind: Any) -> str:
    return _TYPES[kind][0]


def _has_type(value: Any, kind: Any) -> bool:
    if kind == list[str]:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return type(value) is kind


def _python_value(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value

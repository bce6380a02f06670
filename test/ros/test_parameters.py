# ruff: noqa: E402 (rclpy may be absent)
"""Rule 9: each parameter is declared once, bad values are refused with a reason."""

import dataclasses
import re
import typing
from pathlib import Path

import pytest

rclpy = pytest.importorskip('rclpy')

from rclpy.node import Node
from rclpy.parameter import Parameter

from semdepth_ros.ros import parameters
from semdepth_ros.ros.parameters import ParameterError, Parameters

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def node_with(request):
    nodes = []
    context = rclpy.Context()
    rclpy.init(context=context)

    def make(**overrides):
        values = [Parameter(name, value=value) for name, value in overrides.items()]
        nodes.append(Node('parameters', context=context, parameter_overrides=values))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def test_rule_9_every_parameter_has_type_default_description_and_limits(node_with):
    node = node_with()
    assert parameters.declare(node) == Parameters()
    for field in dataclasses.fields(Parameters):
        descriptor = node.describe_parameter(field.name)
        assert len(descriptor.description) > 20, field.name
        kind = typing.get_type_hints(Parameters)[field.name]
        if kind in (float, int) and kind is not bool:
            assert descriptor.floating_point_range or descriptor.integer_range, field.name
    assert node.describe_parameter('autostart').read_only
    assert 'one of auto' in node.describe_parameter('engine').additional_constraints


@pytest.mark.parametrize(
    ('override', 'reason'),
    [
        ({'stride': 0}, 'stride is 0, expected 1 to 16'),
        ({'stride': 2.5}, 'stride is 2.5, expected integer such as 1'),
        ({'camera_height': 'low'}, "camera_height is 'low', expected double such as 0.0"),
        ({'autostart': 1}, 'autostart is 1, expected bool such as True'),
        ({'max_depth': float('nan')}, 'max_depth is nan, expected a finite number'),
        ({'min_depth': 50.0, 'max_depth': 40.0}, 'min_depth is 50.0, expected less than max_depth'),
        ({'engine': 'warp'}, "engine is 'warp', expected one of auto, tensorrt"),
        ({'scale_source': 'camera_height'}, 'camera_height is 0.0, scale_source'),
        ({'cameras': ['front', 'front']}, 'expected different names'),
        ({'cameras': ['front', 'a b']}, 'expected names of letters'),
    ],
)
def test_rule_9_a_bad_override_is_refused_with_name_value_and_expectation(
    node_with, override, reason
):
    with pytest.raises(ParameterError, match=re.escape(reason)):
        parameters.declare(node_with(**override))


def test_a_whole_number_is_taken_for_a_double(node_with):
    node = node_with(camera_height=2)
    assert parameters.declare(node).camera_height == 2.0
    assert isinstance(node.get_parameter('camera_height').value, float)


def test_rule_9_the_type_is_fixed_once_declared(node_with):
    node = node_with()
    parameters.declare(node)
    result = node.set_parameters([Parameter('stride', value='x')])[0]
    assert not result.successful


def test_rule_9_an_accepted_change_gives_new_parameters_and_leaves_the_old_ones():
    before = Parameters()
    after = parameters.updated(before, [Parameter('stride', value=4)], lambda: False)
    assert (before.stride, after.stride) == (1, 4)
    assert after.output.stride == 4


def test_what_configure_reads_can_change_only_while_unconfigured():
    change = [Parameter('weights', value='other.safetensors')]
    with pytest.raises(ParameterError, match='only while the node is unconfigured'):
        parameters.updated(Parameters(), change, lambda: False)
    assert parameters.updated(Parameters(), change, lambda: True).weights == 'other.safetensors'


def test_a_change_is_judged_together_with_the_values_in_force():
    with pytest.raises(ParameterError, match='expected less than max_depth'):
        parameters.updated(
            Parameters(max_depth=10.0), [Parameter('min_depth', value=20.0)], lambda: False
        )


def test_parameters_of_others_are_left_alone():
    change = [Parameter('use_sim_time', value=True)]
    assert parameters.updated(Parameters(), change, lambda: False) == Parameters()


def test_the_shipped_parameter_file_holds_known_parameters_with_their_defaults():
    text = (ROOT / 'config' / 'depth.yaml').read_text()
    defaults = dataclasses.asdict(Parameters())
    entries = re.findall(r'^    (\w+): *([^#\n]*)', text, re.M)
    assert entries
    for name, value in entries:
        assert name in defaults, name
        assert value.strip().strip("'") == str(defaults[name]), name


def test_rule_9_the_table_has_one_row_for_each_parameter():
    rows = parameters.parameter_table().splitlines()[2:]
    assert [re.match(r'\| `(\w+)`', row).group(1) for row in rows] == [
        field.name for field in dataclasses.fields(Parameters)
    ]
    assert all(row.count(' | ') == 5 for row in rows)


def test_a_misspelt_parameter_is_named_with_what_is_meant(node_with):
    node = node_with(camera_hieght=1.65, somebody_elses=1)
    parameters.declare(node)
    assert parameters.misspelt(node) == [
        'parameter camera_hieght is unknown and without effect: is camera_height meant?'
    ]

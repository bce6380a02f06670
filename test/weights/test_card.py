"""The card refuses what cannot be, in one sentence that names the key."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semdepth_ros.classes import CLASS_NAMES
from semdepth_ros.errors import SemdepthError
from semdepth_ros.networks.model_config import GuidanceConfig, ModelConfig
from semdepth_ros.weights.card import WeightsCard, WeightsError

CARD = WeightsCard(
    model=ModelConfig('resnet18', {}, 'espnetv2', {'scale': 0.5}, GuidanceConfig(channels=8)),
    width=640,
    height=192,
    scale='metric',
    focal_length=371.8,
    trained=True,
    camera_height=1.65,
    licence='Apache-2.0',
    provenance={'data': 'street, seed 3'},
    metrics={'abs_rel': 0.11},
)


def test_a_card_survives_its_text():
    assert WeightsCard.from_json(CARD.to_json()) == CARD


def changed(**values) -> str:
    return json.dumps(json.loads(CARD.to_json()) | values)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'format_version': 2}, 'format_version is 2, expected 1'),
        ({'format_version': None}, 'format_version is None'),
        ({'colour': 'blue'}, "key 'colour' is unknown"),
        ({'classes': list(reversed(CLASS_NAMES))}, 'classes are'),
        ({'classes': [*CLASS_NAMES, 'background']}, 'classes are'),
        ({'classes': 19}, 'classes are'),
        ({'width': 641}, 'width is 641, expected a multiple of 32'),
        ({'width': True}, 'width is True'),
        ({'height': 0}, 'height is 0'),
        ({'height': 10**6 * 32}, 'height is 32000000'),
        ({'height': '192'}, "height is '192'"),
        ({'focal_length': 0}, 'focal_length is 0'),
        ({'focal_length': -1.5}, 'focal_length is -1.5'),
        ({'focal_length': None}, 'focal_length is None'),
        ({'camera_height': -1}, 'camera_height is -1'),
        ({'scale': 'feet'}, "scale is 'feet', expected one of metric, up_to_scale"),
        ({'trained': 1}, 'trained is 1'),
        ({'has_pose': 'no'}, "has_pose is 'no'"),
        ({'licence': None}, 'licence is None'),
        ({'provenance': {'data': 3}}, "provenance: 'data' is 3"),
        ({'provenance': ['a']}, 'provenance is'),
        ({'metrics': {'abs_rel': 'good'}}, "metrics: 'abs_rel' is 'good'"),
        ({'model': None}, 'model: is None'),
        ({'model': {'depth': 'monodepth'}}, "depth network 'monodepth' is unknown"),
        ({'model': {'semantic': 'espnetv2'}}, "key 'depth' is missing"),
        ({'model': {'depth': 'resnet18', 'encoder': 1}}, "key 'encoder' is unknown"),
        ({'model': {'depth': 'resnet18', 'semantic': 'x'}}, "semantic network 'x' is unknown"),
        ({'model': {'depth': 'resnet18', 'guidance': {}}}, 'guidance without a semantic network'),
        ({'model': {'depth': 'resnet18', 'guidance': {'sigma': 1}}}, "key 'sigma' is unknown"),
        ({'model': {'depth': 'resnet18', 'depth_options': {'a': 10**9}}}, 'expected at most 4096'),
        ({'model': {'depth': 'resnet18', 'depth_options': {'a': [[1]]}}}, 'expected a number'),
    ],
)
def test_impossible_values_are_named(values, message):
    with pytest.raises(WeightsError) as caught:
        WeightsCard.from_json(changed(**values))
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


def test_a_missing_key_is_named():
    content = json.loads(CARD.to_json())
    del content['focal_length']
    with pytest.raises(WeightsError, match="'focal_length' is missing"):
        WeightsCard.from_json(json.dumps(content))


@pytest.mark.parametrize('text', ['', 'null', '[1]', '{', '[' * 100_000, '{"width": NaN}'])
def test_what_is_no_card_is_refused(text):
    with pytest.raises(WeightsError):
        WeightsCard.from_json(text)


def test_infinite_numbers_are_no_card():
    with pytest.raises(WeightsError, match='Infinity is no number'):
        WeightsCard.from_json(CARD.to_json().replace('371.8', 'Infinity'))
    with pytest.raises(WeightsError, match='focal_length is inf'):
        dataclasses.replace(CARD, focal_length=float('inf'))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(key=st.sampled_from(sorted(json.loads(CARD.to_json()))), value=JSON)
def test_any_value_of_any_key_is_a_card_or_a_clear_error(key, value):
    try:
        card = WeightsCard.from_json(changed(**{key: value}))
    except SemdepthError as error:
        assert '\n' not in str(error)
    else:
        assert WeightsCard.from_json(card.to_json()) == card


@settings(max_examples=300, deadline=None)
@given(key=st.sampled_from(sorted(CARD.model.to_json())), value=JSON)
def test_any_value_of_any_key_of_the_model_is_a_model_or_a_clear_error(key, value):
    try:
        card = WeightsCard.from_json(changed(model=CARD.model.to_json() | {key: value}))
    except SemdepthError as error:
        assert '\n' not in str(error)
    else:
        assert WeightsCard.from_json(card.to_json()) == card

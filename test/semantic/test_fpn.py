"""The Panoptic-FPN on a ResNet."""

from __future__ import annotations

import pytest
import torch

from semdepth_ros.networks.semantic.build import build_semantic_network
from semdepth_ros.networks.semantic.output import SemanticError


@pytest.mark.parametrize('name', ['fpn_resnet18', 'fpn_resnet50'])
@pytest.mark.parametrize(('height', 'width'), [(64, 96), (50, 70)])
def test_logits_have_the_images_size_and_features_their_strides(name, height, width):
    network = build_semantic_network(name, channels=32, head_channels=16).eval()
    with torch.no_grad():
        logits, features = network(torch.rand(1, 3, height, width))
    assert logits.shape == (1, 19, height, width)
    assert set(features) == set(network.feature_channels) == {4, 8, 16, 32}
    for stride, feature in features.items():
        assert feature.shape == (1, 32, -(-height // stride), -(-width // stride))


def test_the_default_pyramid_has_256_channels():
    with torch.device('meta'):
        network = build_semantic_network('fpn_resnet50')
    assert set(network.feature_channels.values()) == {256}


def test_coarse_levels_reach_the_fine_features():
    network = build_semantic_network('fpn_resnet18', channels=16, head_channels=16).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = network(image).features[4]
        network.lateral[0].weight.add_(0.1)  # stride 32
        after = network(image).features[4]
    assert not torch.allclose(before, after)


@pytest.mark.parametrize('options', [{'channels': 40}, {'head_channels': 0}])
def test_impossible_channels_are_refused(options):
    with pytest.raises(SemanticError, match='multiple of 16'):
        build_semantic_network('fpn_resnet18', **options)


def test_unknown_names_and_options_are_refused():
    with pytest.raises(SemanticError, match="'deeplab' is unknown, expected one of espnetv2"):
        build_semantic_network('deeplab')
    with pytest.raises(SemanticError, match='depht'):
        build_semantic_network('fpn_resnet18', depht=18)

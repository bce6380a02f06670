"""The Panoptic-FPN on a ResNet."""

from __future__ import annotations

import pytest
import torch

from semdepth_ros.errors import SemdepthError
from semdepth_ros.networks.semantic.build import build_semantic_network, load_semantic_network
from semdepth_ros.networks.semantic.output import SemanticError


@pytest.mark.parametrize('name', ['fpn_resnet18', 'fpn_resnet50', 'fpn_efficientnet_lite0'])
def test_logits_have_the_images_size_and_features_their_strides(name):
    height, width = 64, 96
    network = build_semantic_network(name, channels=32, head_channels=16).eval()
    with torch.no_grad():
        logits, features = network(torch.rand(1, 3, height, width))
    assert logits.shape == (1, 19, height, width)
    assert set(features) == set(network.feature_channels) == {4, 8, 16, 32}
    for stride, feature in features.items():
        assert feature.shape == (1, 32, height // stride, width // stride)


@pytest.mark.parametrize(('height', 'width'), [(64, 70), (50, 96)])
def test_a_size_that_does_not_fit_is_named(height, width):
    network = build_semantic_network('fpn_resnet18', channels=16, head_channels=16)
    with pytest.raises(SemanticError, match=f'{width}x{height}, expected multiples of 32'):
        network(torch.zeros(1, 3, height, width))


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


def test_a_saved_state_says_its_own_widths(tmp_path):
    torch.manual_seed(0)
    network = build_semantic_network('fpn_efficientnet_lite0', channels=32, head_channels=16)
    torch.save(network.state_dict(), tmp_path / 'fpn.pth')
    again, options = load_semantic_network('fpn_efficientnet_lite0', tmp_path / 'fpn.pth')
    assert options == {'channels': 32, 'head_channels': 16} and not again.training
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    with pytest.raises(SemdepthError):
        load_semantic_network('fpn_resnet18', tmp_path / 'fpn.pth')


def test_unknown_names_and_options_are_refused():
    with pytest.raises(SemanticError, match="'deeplab' is unknown, expected one of espnetv2"):
        build_semantic_network('deeplab')
    with pytest.raises(SemanticError, match='depht'):
        build_semantic_network('fpn_resnet18', depht=18)

"""What a training starts from."""

import dataclasses

import pytest
import torch

from semdepth_ros.networks.model import GuidanceConfig, ModelConfig
from semdepth_ros.weights import load, save
from semdepth_training.build import BuildError, build_objective
from semdepth_training.config import ConfigError, PretrainedConfig, TrainConfig


@pytest.fixture
def file(tiny_weights, tmp_path):
    """Return weights as a training leaves them: trained guidance, pose network and all."""
    card = load(tiny_weights).card
    options = {'decoder_channels': [4, 4, 8, 8, 8]}
    wanted = dataclasses.replace(card.model, depth_options=options, guidance=GuidanceConfig())
    objective, model = build_objective(TrainConfig(seed=5, model=wanted), 100.0, 1.0)
    torch.manual_seed(1)
    for convolution in objective.model.guidance.convolutions.values():
        convolution.weight.data += 0.1 * torch.randn_like(convolution.weight)
    path = tmp_path / 'given.safetensors'
    save(path, objective.model, dataclasses.replace(card, model=model), objective.pose_network)
    return path


def build(file, model=None, parts='all', **changes):
    model = model or load(file).card.model
    pretrained = PretrainedConfig(weights=str(file), parts=parts)
    config = TrainConfig(model=model, pretrained=pretrained, **changes)
    return build_objective(config, 100.0, 1.0)[0]


def equal(one, other):
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_training_goes_on_from_all_of_the_given_weights(file):
    given, objective = load(file), build(file, seed=9)
    assert equal(objective.model, given.model)
    assert equal(objective.pose_network, given.pose)


def test_guidance_can_be_put_anew_between_given_weights(file):
    given, objective = load(file), build(file, parts='depth', seed=9)
    assert equal(objective.model.depth, given.model.depth)
    assert equal(objective.pose_network, given.pose)
    assert not equal(objective.model.guidance, given.model.guidance)
    # A fresh guidance is the identity.
    image = torch.rand(1, 3, 32, 64)
    objective.eval()
    guided, plain = objective.model(image), objective.model.depth(image)
    torch.testing.assert_close(guided.inv_depths[0], plain[0])


def test_an_unguided_network_goes_on_from_a_guided_one(file):
    model = load(file).card.model
    unguided = ModelConfig(model.depth, model.depth_options)
    objective = build(file, unguided, parts='depth')
    assert objective.model.guidance is None
    assert equal(objective.model.depth, load(file).model.depth)


@pytest.mark.parametrize(
    ('parts', 'changes'),
    [
        ('all', {'guidance': GuidanceConfig(kernel_size=5)}),
        ('depth', {'depth_options': {'decoder_channels': [4, 4, 8, 8, 16]}}),
    ],
)
def test_weights_of_other_networks_are_refused(file, parts, changes):
    model = dataclasses.replace(load(file).card.model, **changes)
    with pytest.raises(BuildError, match=r'given\.safetensors holds .* with other settings'):
        build(file, model, parts)


def test_unknown_parts_are_refused():
    with pytest.raises(ConfigError, match=r"pretrained\.parts is 'pose', expected all or depth"):
        PretrainedConfig(parts='pose')

"""Guidance between every pair of a depth and a semantic network."""

from __future__ import annotations

import functools

import pytest
import torch
import torch.nn.functional as F

from semdepth_ros.classes import CLASS_NAMES
from semdepth_ros.networks.depth import build_depth_network
from semdepth_ros.networks.guidance import Guidance
from semdepth_ros.networks.model import GuidedDepth
from semdepth_ros.networks.packnet import PackNet
from semdepth_ros.networks.semantic.build import build_semantic_network

DEPTHS = ['packnet', 'resnet18', 'efficientnet_lite0']
SEMANTICS = ['espnetv2', 'fpn_resnet18', 'transformers']


@functools.cache
def depth_network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    # A narrow PackNet is the same code with a hundredth of the work.
    network = PackNet((16,) * 5, features=2) if name == 'packnet' else build_depth_network(name)
    return network.eval()


@functools.cache
def semantic_network(name: str) -> torch.nn.Module:
    torch.manual_seed(1)
    options = {'espnetv2': {'scale': 0.5}, 'fpn_resnet18': {'channels': 32, 'head_channels': 16}}
    if name == 'transformers':
        transformers = pytest.importorskip('transformers')
        config = transformers.SegformerConfig(
            hidden_sizes=[8, 16, 24, 32],
            depths=[1, 1, 1, 1],
            num_attention_heads=[1, 1, 1, 1],
            decoder_hidden_size=16,
            id2label=dict(enumerate(CLASS_NAMES)),
        )
        options['transformers'] = {'config': config.to_dict()}
    return build_semantic_network(name, **options[name]).eval()


def guided_pair(depth: str, semantic: str, **options) -> tuple[GuidedDepth, Guidance]:
    """Return a guided model of cached networks with fresh guidance."""
    network, guide = depth_network(depth), semantic_network(semantic)
    torch.manual_seed(2)
    guidance = Guidance(network.guided_channels, guide.feature_channels, **options)
    return GuidedDepth(network, guide, guidance).eval(), guidance


def move_from_neutral(guidance: Guidance) -> None:
    """Give the pixel-adaptive convolutions weights for their neighbours, too."""
    torch.manual_seed(3)
    for convolution in guidance.convolutions.values():
        convolution.weight.data += 0.1 * torch.randn_like(convolution.weight)


@pytest.mark.parametrize('depth', DEPTHS)
@pytest.mark.parametrize('semantic', SEMANTICS)
def test_fresh_guidance_changes_nothing_and_later_depends_on_the_features(depth, semantic):
    model, guidance = guided_pair(depth, semantic)
    assert set(guidance.sources) == {16, 8, 4, 2}
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        unguided = model.depth(image)
        for guided, plain in zip(model(image).inv_depths, unguided):
            assert torch.equal(guided, plain)
        move_from_neutral(guidance)
        features = model.semantic(image).features
        shuffled = {
            stride: feature.flatten(2)[..., torch.randperm(feature[0, 0].numel())].view_as(feature)
            for stride, feature in features.items()
        }
        right = model.depth(image, guidance.bind(features))[0]
        wrong = model.depth(image, guidance.bind(shuffled))[0]
    assert not torch.allclose(right, unguided[0], rtol=1e-3)
    assert not torch.allclose(right, wrong, rtol=1e-3)


def test_a_missing_stride_takes_the_nearest_feature_and_of_two_the_finer():
    guided = dict.fromkeys((16, 8, 4, 2), 4)
    assert Guidance(guided, {4: 8, 8: 8, 16: 8, 32: 8}).sources == {16: 16, 8: 8, 4: 4, 2: 4}
    assert Guidance(guided, {4: 8, 16: 8}).sources == {16: 16, 8: 4, 4: 4, 2: 4}
    assert Guidance(guided, {16: 8}).sources == dict.fromkeys(guided, 16)


def test_it_is_the_formula_of_the_paper_on_unit_features():
    torch.manual_seed(0)
    guidance = Guidance({4: 3}, {4: 5}, channels=2).double()
    move_from_neutral(guidance)
    x, feature = torch.randn(1, 3, 4, 5).double(), torch.randn(1, 5, 4, 5).double()
    convolution = guidance.convolutions['4']
    projected = torch.einsum('gc,bchw->bghw', guidance.projections['4'].weight[..., 0, 0], feature)
    unit = projected / projected.norm(dim=1, keepdim=True)
    sigma = convolution.log_sigma.exp()
    y, column = 1, 2
    expected = convolution.bias.clone()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            difference = unit[0, :, y, column] - unit[0, :, y + dy, column + dx]
            kernel = torch.exp(-difference.square().sum() / (2 * sigma**2))
            tap = convolution.weight[:, :, 1 + dy, 1 + dx]
            expected = expected + kernel * tap @ x[0, :, y + dy, column + dx]
    guided = guidance.bind({4: feature})(4, x)[0, :, y, column]
    torch.testing.assert_close(guided, expected)


def test_the_scale_of_the_features_does_not_matter_in_half_precision_either():
    guidance = Guidance({4: 3}, {4: 5}, channels=8)
    move_from_neutral(guidance)
    x, feature = torch.randn(1, 3, 6, 6), torch.randn(1, 5, 6, 6)
    guided = guidance.bind({4: feature})(4, x)
    torch.testing.assert_close(guidance.bind({4: 1000 * feature})(4, x), guided)
    half = guidance.half().bind({4: (5000 * feature).half()})(4, x.half())
    torch.testing.assert_close(half.float(), guided, atol=2e-2, rtol=2e-2)
    empty = guidance.bind({4: torch.zeros(1, 5, 6, 6).half()})(4, x.half())
    assert torch.isfinite(empty).all()


@pytest.mark.parametrize('semantic', SEMANTICS)
def test_gradients_reach_guidance_and_depth_but_never_the_semantic_network(semantic):
    model, guidance = guided_pair('efficientnet_lite0', semantic)
    move_from_neutral(guidance)
    model.train()
    try:
        image = torch.rand(1, 3, 64, 64)
        sum(inv_depth.mean() for inv_depth in model(image).inv_depths).backward()
        for name, parameter in guidance.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        assert all(parameter.grad is None for parameter in model.semantic.parameters())
        features = {s: f.requires_grad_() for s, f in model.semantic(image).features.items()}
        model.depth(image, guidance.bind(features))[0].mean().backward()
        assert all(feature.grad is None for feature in features.values())
    finally:
        model.zero_grad(set_to_none=True)
        model.eval()


def test_the_fixed_kernel_is_an_ordinary_convolution_and_ignores_the_features():
    guidance = Guidance({8: 4}, {8: 6}, fixed_kernel=True)
    move_from_neutral(guidance)
    x = torch.randn(1, 4, 5, 7)
    convolution = guidance.convolutions['8']
    expected = F.conv2d(x, convolution.weight, convolution.bias, padding=1)
    for _ in range(2):
        guided = guidance.bind({8: torch.randn(1, 6, 5, 7)})(8, x)
        torch.testing.assert_close(guided, expected)
    trained = [name for name, p in guidance.named_parameters() if p.requires_grad]
    assert sorted(trained) == ['convolutions.8.bias', 'convolutions.8.weight']
    assert guidance.kernel_statistics({8: torch.randn(1, 6, 5, 7)}) == {8: 1.0}


def test_kernel_statistics_tell_uniform_from_varied_features_and_follow_sigma():
    torch.manual_seed(0)
    guidance = Guidance({4: 2, 2: 2}, {4: 6})
    uniform = {4: torch.ones(1, 6, 8, 8)}
    varied = {4: torch.randn(1, 6, 8, 8)}
    for value in guidance.kernel_statistics(uniform).values():
        assert value == pytest.approx(1.0)
    before = guidance.kernel_statistics(varied)
    assert set(before) == {4, 2}
    # Upsampled features vary less between neighbours.
    assert 0 < before[4] < before[2] < 1
    guidance.convolutions['4'].log_sigma.data -= 1
    after = guidance.kernel_statistics(varied)
    assert after[4] < before[4] and after[2] == pytest.approx(before[2])

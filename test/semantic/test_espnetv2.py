"""ESPNetv2 against the published weights' numbers, and its parts without them."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from semdepth_ros.errors import SemdepthError
from semdepth_ros.networks.semantic.build import build_semantic_network, load_semantic_network
from semdepth_ros.networks.semantic.espnetv2 import EspNetV2, load_espnetv2
from semdepth_ros.networks.semantic.espnetv2_parts import average_bins, branch_dilations
from semdepth_ros.networks.semantic.output import SemanticError

LEVELS = ('level1', 'level2_0', 'level3_0', 'level3.2', 'level4_0', 'level4.6')
NAMES = ('l1', 'l2', 'l3_0', 'l3', 'l4_0', 'l4')


def made_weights(network: torch.nn.Module) -> None:
    """Fill a network with numbers that depend on nothing but the names of its tensors."""
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue
        random = np.random.RandomState(zlib.crc32(name.encode()))
        value = random.standard_normal(tuple(tensor.shape))
        if tensor.ndim > 1:
            value = value * np.sqrt(1.6 / np.prod(tensor.shape[1:]))
        else:
            value = 0.1 * value + (1.0 if name.endswith(('weight', 'var')) else 0.0)
        tensor.copy_(torch.from_numpy(value))
    for module in network.modules():
        if isinstance(module, torch.nn.PReLU):
            module.weight.data -= 0.75


@pytest.mark.parametrize('scale', ['0.5', '2.0'])
@pytest.mark.parametrize('frame', ['020', '150'])
def test_published_weights_give_the_numbers_of_the_original_network(shared_data, scale, frame):
    reference = np.load(shared_data('weights/espnetv2_reference.npz'))
    network = load_espnetv2(shared_data(f'weights/espnetv2_s_{scale}_city_1024x512.pth'))
    seen = {}
    for level, name in zip(LEVELS, NAMES):
        network.base_net.get_submodule(level).register_forward_hook(
            lambda _, __, output, name=name: seen.update({name: output})
        )
    image = torch.from_numpy(reference[f'f{frame}/rgb']).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        logits, features = network(image)
    seen |= {'d1': features[16], 'd2': features[8], 'd3': features[4]}
    prefix = f's{scale}/f{frame}'
    for name, tensor in seen.items():
        value = tensor[0].numpy()
        top, left = value.shape[1] // 2 - 3, value.shape[2] // 2 - 4
        crop = value[:8, top : top + 6, left : left + 8]
        np.testing.assert_allclose(
            value.mean((1, 2)), reference[f'{prefix}/{name}/mean'], atol=2e-4
        )
        np.testing.assert_allclose(value.std((1, 2)), reference[f'{prefix}/{name}/std'], atol=2e-4)
        np.testing.assert_allclose(crop, reference[f'{prefix}/{name}/crop'], atol=2e-4)
        np.testing.assert_allclose(
            value[:8, :6, :8], reference[f'{prefix}/{name}/corner'], atol=2e-4
        )
    value = logits[0].numpy()
    np.testing.assert_allclose(value[:, ::8, ::8], reference[f'{prefix}/logits'][:19], atol=2e-4)
    corner = reference[f'{prefix}/logits_corner'][:19]
    np.testing.assert_allclose(value[:, -4:, -8:], corner, atol=2e-4)
    top_two = np.sort(value, axis=0)[-2:]
    clear = top_two[1] - top_two[0] > 1e-3
    np.testing.assert_array_equal(value.argmax(0)[clear], reference[f'{prefix}/labels'][clear])


@pytest.mark.parametrize('scale', [0.5, 1.5, 2.0])
def test_the_scale_is_read_from_the_published_file(shared_data, scale):
    path = shared_data(f'weights/espnetv2_s_{scale}_city_1024x512.pth')
    network, options = load_semantic_network('espnetv2', path)
    assert options == {'scale': scale}
    assert not network.training


@pytest.mark.parametrize(
    ('scale', 'learnable'), [(0.5, 80_342), (1.0, 234_010), (1.5, 468_362), (2.0, 789_242)]
)
def test_it_has_as_many_values_as_the_published_network(scale, learnable):
    network = EspNetV2(scale)
    assert len(network.state_dict()) == 526
    assert sum(parameter.numel() for parameter in network.parameters()) == learnable


def test_made_weights_give_the_pinned_logits():
    """The pin was taken from this code while it reproduced the published networks' numbers."""
    network = EspNetV2(0.5).eval()
    made_weights(network)
    rows = torch.linspace(0, 1, 48)[:, None].expand(48, 80)
    columns = torch.linspace(0, 1, 80)[None].expand(48, 80)
    image = torch.stack([rows, columns, (rows * columns * 40).sin() / 2 + 0.5])[None]
    with torch.no_grad():
        logits = network(image).logits
    found = logits[0, :8, [0, 23, 47], [0, 41, 79]].T
    expected = torch.tensor(PINNED)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


PINNED = [
    [-0.04422, 0.20051, -0.07786, 0.25917, 0.12547, 0.21621, -0.02582, -0.08665],
    [-0.07686, -0.08589, -0.0701, 0.75014, -0.75461, -0.05279, -0.66599, 1.02049],
    [-1.36404, -0.12792, -0.0667, -0.28613, -0.1329, -0.11853, -0.05951, -0.03166],
]


def test_features_have_their_strides_and_channels():
    network = EspNetV2(0.5).eval()
    with torch.no_grad():
        logits, features = network(torch.rand(2, 3, 64, 96))
    assert logits.shape == (2, 19, 64, 96)
    for stride, channels in network.feature_channels.items():
        assert features[stride].shape == (2, channels, 64 // stride, 96 // stride)
    assert set(features) == {2, 4, 8, 16}


@pytest.mark.parametrize(('height', 'width'), [(375, 640), (192, 1242)])
def test_a_size_that_does_not_fit_is_named(height, width):
    with pytest.raises(SemanticError, match=f'{width}x{height}.*multiples of 16'):
        EspNetV2(0.5)(torch.zeros(1, 3, height, width))


def test_branches_beyond_the_field_limit_become_small_and_sort_first():
    assert branch_dilations(9) == [1, 2, 3, 4]
    assert branch_dilations(7) == [1, 1, 2, 3]


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(5, 40),
    width=st.integers(5, 40),
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
)
def test_averaging_into_bins_is_adaptive_average_pooling(height, width, rows, columns):
    size = (min(rows, height), min(columns, width))
    x = torch.rand(1, 2, height, width, dtype=torch.float64)
    torch.testing.assert_close(average_bins(x, size), F.adaptive_avg_pool2d(x, size))


@pytest.mark.parametrize(('size', 'bins'), [((18, 60), (12, 40)), ((192, 640), (96, 320))])
def test_the_pooling_of_the_pyramid_is_adaptive_average_pooling(size, bins):
    x = torch.rand(1, 2, *size, dtype=torch.float64)
    torch.testing.assert_close(average_bins(x, bins), F.adaptive_avg_pool2d(x, bins))


def test_an_unknown_scale_is_refused():
    with pytest.raises(SemanticError, match='scale is 3'):
        EspNetV2(3)


def test_checkpoints_that_do_not_fit_are_refused_in_one_line(tmp_path):
    state = EspNetV2(0.5).state_dict()
    wrong = {
        'missing': {k: v for k, v in state.items() if k != 'bu_br_l2.0.bias'},
        'extra': state | {'more': torch.zeros(1)},
        'misshapen': state | {'bu_br_l2.0.bias': torch.zeros(3)},
        'infinite': state | {'bu_br_l2.0.bias': torch.full((64,), torch.inf)},
        'another': {'fc.weight': torch.zeros(2, 2)},
    }
    for name, content in wrong.items():
        torch.save(content, tmp_path / f'{name}.pth')
        with pytest.raises(SemdepthError) as caught:
            load_espnetv2(tmp_path / f'{name}.pth')
        assert '\n' not in str(caught.value)
    (tmp_path / 'text.pth').write_text('no tensors')
    with pytest.raises(SemdepthError):
        load_espnetv2(tmp_path / 'text.pth')


def test_a_saved_state_loads_again(tmp_path):
    network = build_semantic_network('espnetv2', scale=1.0)
    made_weights(network)
    torch.save(network.state_dict(), tmp_path / 'one.pth')
    again, options = load_semantic_network('espnetv2', tmp_path / 'one.pth')
    assert options == {'scale': 1.0}
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name

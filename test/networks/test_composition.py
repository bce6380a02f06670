from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from semdepth_ros.networks.composition import apply_composed, compose
from semdepth_ros.networks.packing import Packing, Unpacking


def two_maps(x, inner_weight, inner_bias, weight, bias):
    """Conv3d, flattening and Conv2d, one after the other."""
    inner = F.conv3d(x.unsqueeze(1), inner_weight, inner_bias, padding=1).flatten(1, 2)
    return F.conv2d(inner, weight, bias, padding=weight.shape[-1] // 2)


def arguments(kernel_size, height, width, features=3, packed=5, out_channels=4):
    generator = torch.Generator().manual_seed(kernel_size)

    def draw(*shape):
        tensor = torch.randn(shape, generator=generator, dtype=torch.float64)
        return tensor.requires_grad_()

    return (
        draw(2, packed, height, width),
        draw(features, 1, 3, 3, 3),
        draw(features),
        draw(out_channels, features * packed, kernel_size, kernel_size),
        draw(out_channels),
    )


# From sizes where the border is all there is to one with an interior.
@pytest.mark.parametrize('size', [(1, 1), (1, 4), (2, 3), (3, 2), (5, 7), (11, 10)])
@pytest.mark.parametrize('kernel_size', [3, 5, 7])
def test_the_composition_equals_the_two_maps_in_value_and_gradient(kernel_size, size):
    x, *parameters = arguments(kernel_size, *size)
    expected = two_maps(x, *parameters)
    out = apply_composed(x, compose(*parameters))
    torch.testing.assert_close(out, expected, rtol=1e-11, atol=1e-11)
    upstream = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out)
    gradients = torch.autograd.grad(out, (x, *parameters), upstream)
    references = torch.autograd.grad(expected, (x, *parameters), upstream)
    for gradient, reference in zip(gradients, references):
        torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('part', ['rows', 'columns', 'corners', 'inner_bias'])
def test_each_part_of_the_border_correction_counts(part):
    x, *parameters = arguments(5, 8, 9)
    composed = compose(*parameters)
    without = composed._replace(**{part: torch.zeros_like(getattr(composed, part))})
    difference = (apply_composed(x, without) - two_maps(x, *parameters)).abs()
    assert difference.max() > 1e-3
    if part != 'inner_bias':
        assert difference[:, :, 2:-2, 2:-2].max() < 1e-11


def packing_pair(**sizes):
    """A packing that composes and one that does not, of equal weights, in float64."""
    plain = Packing(**sizes, compose_always=False).double()
    fused = Packing(**sizes, compose_always=True).double()
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter)
    fused.load_state_dict(plain.state_dict())
    return plain, fused


def test_a_fused_packing_keeps_names_and_follows_new_weights():
    plain, fused = packing_pair(channels=16, kernel_size=5, features=4)
    fused.eval().fuse()
    x = torch.rand(1, 16, 12, 14, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(fused(x), plain(x), rtol=1e-10, atol=1e-10)
        assert fused.state_dict().keys() == plain.state_dict().keys()
        # New weights after fusing: what was composed from the old ones may not be used.
        for parameter in plain.parameters():
            parameter.add_(0.1)
        fused.load_state_dict(plain.state_dict())
        torch.testing.assert_close(fused(x), plain(x), rtol=1e-10, atol=1e-10)


def test_training_a_fused_packing_trains_its_own_parameters():
    plain, fused = packing_pair(channels=16, kernel_size=3, features=4)
    fused.eval().fuse()
    fused.train()
    x = torch.rand(2, 16, 6, 8, dtype=torch.float64)
    fused(x).square().sum().backward()
    plain(x).square().sum().backward()
    for (name, a), b in zip(fused.named_parameters(), plain.parameters()):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-9, msg=name)


def test_the_lean_unpacking_equals_the_published_one_in_value_and_gradient():
    plain = Unpacking(16, 16, 3, features=4, fused=False).double()
    lean = Unpacking(16, 16, 3, features=4, fused=True).double()
    lean.load_state_dict(plain.state_dict())
    x = torch.rand(2, 16, 3, 5, dtype=torch.float64, requires_grad=True)
    expected, out = plain(x), lean(x)
    assert out.shape == (2, 16, 6, 10)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    weights = torch.rand_like(out)
    gradients = torch.autograd.grad((out * weights).sum(), (x, *lean.parameters()))
    references = torch.autograd.grad((expected * weights).sum(), (x, *plain.parameters()))
    for gradient, reference in zip(gradients, references):
        torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-10)

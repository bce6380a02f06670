from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from semdepth_ros.networks import pixel_adaptive_lean as lean_module
from semdepth_ros.networks.pixel_adaptive import (
    PixelAdaptiveConv2d,
    mean_kernel,
    pixel_adaptive_conv2d,
    pixel_adaptive_lean,
    pixel_adaptive_shift,
    pixel_adaptive_unfold,
)

FORMS = [pixel_adaptive_unfold, pixel_adaptive_shift, pixel_adaptive_lean]


def inputs(size, batch=2, channels=3, out_channels=4, guide_channels=2, height=5, width=6):
    generator = torch.Generator().manual_seed(size)

    def draw(*shape):
        tensor = torch.randn(shape, generator=generator, dtype=torch.float64)
        return tensor.requires_grad_()

    return (
        draw(batch, channels, height, width),
        draw(batch, guide_channels, height, width),
        draw(out_channels, channels, size, size),
        draw(out_channels),
        draw(),
    )


def by_hand(value, guide, weight, bias, log_sigma):
    """The equation, term by term, in loops."""
    value, guide, weight, bias = (x.detach().numpy() for x in (value, guide, weight, bias))
    sigma = np.exp(log_sigma.item())
    batch, _, height, width = value.shape
    radius = weight.shape[-1] // 2
    out = np.zeros((batch, weight.shape[0], height, width)) + bias[None, :, None, None]
    for b, y, x, v, u in np.ndindex(batch, height, width, *weight.shape[2:]):
        j = (y + v - radius, x + u - radius)
        if not (0 <= j[0] < height and 0 <= j[1] < width):
            continue
        difference = guide[b, :, y, x] - guide[b, :, j[0], j[1]]
        kernel = np.exp(-(difference**2).sum() / (2 * sigma**2))
        out[b, :, y, x] += kernel * weight[:, :, v, u] @ value[b, :, j[0], j[1]]
    return torch.from_numpy(out)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('size', [1, 3, 5])
def test_each_form_computes_the_equation(form, size):
    arguments = inputs(size)
    torch.testing.assert_close(form(*arguments), by_hand(*arguments), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize(('height', 'width'), [(2, 3), (1, 1), (1, 4)])
def test_images_smaller_than_the_window_are_right_too(form, height, width):
    arguments = inputs(5, height=height, width=width)
    torch.testing.assert_close(form(*arguments), by_hand(*arguments), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('strip_bytes', [1, 4000, 1 << 22])
@pytest.mark.parametrize('form', [pixel_adaptive_shift, pixel_adaptive_lean])
def test_gradients_of_the_forms_equal_those_of_the_reference(form, strip_bytes, monkeypatch):
    monkeypatch.setitem(lean_module._STRIP_BYTES, 'cpu', strip_bytes)
    for size in (3, 5):
        arguments = inputs(size, height=7)
        expected = pixel_adaptive_unfold(*arguments)
        upstream = torch.linspace(-1, 1, expected.numel(), dtype=torch.float64).view_as(expected)
        gradients = torch.autograd.grad(form(*arguments), arguments, upstream)
        references = torch.autograd.grad(expected, arguments, upstream)
        for gradient, reference in zip(gradients, references):
            torch.testing.assert_close(gradient, reference, rtol=1e-11, atol=1e-11)


def test_the_lean_form_passes_gradcheck():
    arguments = inputs(3, batch=1, channels=2, out_channels=2, height=3, width=4)
    assert torch.autograd.gradcheck(pixel_adaptive_lean, arguments)


@pytest.mark.parametrize('wanted', range(5))
def test_the_lean_form_gives_each_gradient_alone(wanted):
    arguments = [x.detach() for x in inputs(3)]
    arguments[wanted].requires_grad_()
    (gradient,) = torch.autograd.grad(pixel_adaptive_lean(*arguments).sum(), arguments[wanted])
    (reference,) = torch.autograd.grad(pixel_adaptive_unfold(*arguments).sum(), arguments[wanted])
    torch.testing.assert_close(gradient, reference, rtol=1e-11, atol=1e-11)


def test_a_kernel_that_underflows_leaves_finite_gradients():
    value, guide, weight, bias, _ = inputs(3)
    log_sigma = torch.tensor(-20.0, dtype=torch.float64, requires_grad=True)
    out = pixel_adaptive_lean(value, guide, weight, bias, log_sigma)
    # K is a delta: what is left is a 1x1 convolution.
    torch.testing.assert_close(out, F.conv2d(value, weight[:, :, 1:2, 1:2], bias))
    gradients = torch.autograd.grad(out.sum(), (value, guide, log_sigma))
    assert all(torch.isfinite(g).all() for g in gradients)


def test_the_lean_form_keeps_no_window_for_backward():
    arguments = inputs(5, channels=8, out_channels=8)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()) or t, id):
        pixel_adaptive_lean(*arguments)
    assert sum(saved) == sum(x.numel() for x in arguments if x is not arguments[3])


def test_a_uniform_guide_or_a_fixed_kernel_makes_an_ordinary_convolution():
    layer = PixelAdaptiveConv2d(3, 4)
    value, guide = torch.randn(2, 3, 6, 7), torch.randn(2, 5, 6, 7)
    expected = F.conv2d(value, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(value, torch.ones_like(guide)), expected)
    assert not torch.allclose(layer(value, guide), expected, atol=1e-2)
    layer.fixed_kernel = True
    assert torch.equal(layer(value, guide), expected)


@pytest.mark.parametrize('fixed_kernel', [False, True])
def test_the_identity_start_returns_its_input_exactly(fixed_kernel):
    layer = PixelAdaptiveConv2d(24, 24, fixed_kernel=fixed_kernel)
    layer.init_identity()
    value = torch.randn(2, 24, 9, 11)
    guide = torch.randn(2, 16, 9, 11)
    assert torch.equal(layer(value, guide), value)
    assert torch.equal(
        pixel_adaptive_shift(value, guide, layer.weight, layer.bias, layer.log_sigma), value
    )


def test_bfloat16_autocast_stays_near_float32_and_trains():
    layer = PixelAdaptiveConv2d(8, 8)
    value, guide = torch.randn(1, 8, 12, 16), torch.randn(1, 4, 12, 16, requires_grad=True)
    expected = layer(value, guide)
    with torch.autocast('cpu', torch.bfloat16):
        out = layer(value, guide)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), expected, rtol=0.05, atol=0.05)
    out.float().square().mean().backward()
    for tensor in (*layer.parameters(), guide):
        assert tensor.grad is not None
        assert tensor.grad.dtype == torch.float32
        assert torch.isfinite(tensor.grad).all()


def test_the_mean_kernel_tells_a_dead_guide_from_a_living_one():
    guide = torch.randn(1, 4, 8, 8)
    sigma = torch.tensor(0.0)
    assert mean_kernel(torch.zeros(1, 4, 8, 8), sigma, 3) == 1
    assert mean_kernel(guide * 1e3, sigma, 3) == 0
    # Two columns: of their pairs, the vertical ones (K = 1) and those across (K = exp(-1/2)).
    columns = torch.tensor([0.0, 1.0]).expand(1, 1, 2, 2)
    expected = (2 * 1 + 4 * np.exp(-0.5)) / 6
    assert mean_kernel(columns, sigma, 3).item() == pytest.approx(expected)
    layer = PixelAdaptiveConv2d(1, 1, sigma=2.0)
    assert layer.mean_kernel(guide) == mean_kernel(guide, torch.tensor(np.log(2.0)), 3)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match='kernel size is 4'):
        PixelAdaptiveConv2d(1, 1, kernel_size=4)
    with pytest.raises(ValueError, match='sigma is 0'):
        PixelAdaptiveConv2d(1, 1, sigma=0)
    with pytest.raises(ValueError, match='no identity'):
        PixelAdaptiveConv2d(1, 2).init_identity()
    with pytest.raises(ValueError, match='guide is'):
        PixelAdaptiveConv2d(1, 1)(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2))


def test_export_takes_the_shift_form_and_onnxruntime_agrees(tmp_path):
    pytest.importorskip('onnxscript')
    onnx = pytest.importorskip('onnx')
    onnxruntime = pytest.importorskip('onnxruntime')
    layer = PixelAdaptiveConv2d(6, 5).eval()
    arguments = (torch.randn(1, 6, 8, 10), torch.randn(1, 4, 8, 10))
    path = tmp_path / 'pac.onnx'
    program = torch.onnx.export(layer, arguments, dynamo=True, opset_version=21, verbose=False)
    program.save(path)
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert {'Conv', 'Exp'} <= operators
    assert operators.isdisjoint({'Col2Im', 'Gather', 'GatherND', 'ScatterND', 'Loop', 'If'})
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    names = [i.name for i in session.get_inputs()]
    (out,) = session.run(None, dict(zip(names, (a.numpy() for a in arguments))))
    with torch.no_grad():
        expected = layer(*arguments)
    torch.testing.assert_close(torch.from_numpy(out), expected, rtol=1e-5, atol=1e-5)


TRITON_PARITY = """
import torch
from semdepth_ros.networks.pixel_adaptive_forms import pixel_adaptive_unfold
from semdepth_ros.networks.pixel_adaptive_triton import pixel_adaptive_triton

torch.manual_seed(0)
for size, channels, guide_channels, out_channels in ((3, 40, 20, 33), (5, 3, 2, 4)):
    arguments = [
        torch.randn(2, channels, 7, 19),
        0.3 * torch.randn(2, guide_channels, 7, 19),
        torch.randn(out_channels, channels, size, size),
        torch.randn(out_channels),
        torch.tensor(0.2),
    ]
    arguments = [a.to(DEVICE).requires_grad_() for a in arguments]
    expected = pixel_adaptive_unfold(*arguments)
    out = pixel_adaptive_triton(*arguments)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
    upstream = torch.randn_like(out)
    gradients = torch.autograd.grad(out, arguments, upstream)
    references = torch.autograd.grad(expected, arguments, upstream)
    for gradient, reference in zip(gradients, references):
        torch.testing.assert_close(gradient, reference, rtol=1e-3, atol=1e-3)
"""


@pytest.mark.skipif(importlib.util.find_spec('triton') is None, reason='triton not installed')
@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_the_triton_form_equals_the_reference(device):
    if device == 'cuda' and not torch.cuda.is_available():
        pytest.skip('no CUDA device')
    # In a process of its own: triton reads TRITON_INTERPRET when it is imported.
    environment = os.environ | ({'TRITON_INTERPRET': '1'} if device == 'cpu' else {})
    code = TRITON_PARITY.replace('DEVICE', repr(device))
    subprocess.run([sys.executable, '-c', code], env=environment, check=True, timeout=240)


def test_without_cuda_the_lean_form_is_taken():
    arguments = inputs(3)
    assert torch.equal(pixel_adaptive_conv2d(*arguments), pixel_adaptive_lean(*arguments))

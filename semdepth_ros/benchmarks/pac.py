"""`semdepth benchmark pac`: pixel-adaptive convolution against its unfold form."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from semdepth_ros.benchmarks.measure import Timing, peak_tensor_mib, take_turns
from semdepth_ros.benchmarks.report import Report, Row
from semdepth_ros.networks.pixel_adaptive import (
    pixel_adaptive_lean,
    pixel_adaptive_shift,
    pixel_adaptive_unfold,
    triton_form,
)

#: Guidance channels, as in the shipped models.
_GUIDE_CHANNELS = 16
#: Channels, height, width, kernel size: the cases of docs/benchmarks.
CASES = ((64, 96, 320, 3), (32, 192, 640, 3), (32, 192, 640, 5))
_BASELINE = 'unfold'


def measure(cases: tuple[tuple[int, int, int, int], ...] = CASES, rounds: int = 9) -> Report:
    """Return forward, forward with backward, and exported forms of each case."""
    rows = []
    for case in cases:
        inputs = _inputs(*case)
        rows += _forward_rows(_title(case), inputs, rounds)
        rows += _backward_rows(_title(case), inputs, rounds)
    if importlib.util.find_spec('onnxscript') and importlib.util.find_spec('onnxruntime'):
        rows += _exported_rows(_title(cases[0]), _inputs(*cases[0]), rounds)
    if torch.cuda.is_available() and triton_form() is not None:
        rows += _triton_rows(_title(cases[0]), _inputs(*cases[0]), rounds)
    notes = (
        f'{_GUIDE_CHANNELS} guidance channels, float32, {torch.get_num_threads()} threads.',
        'unfold: the textbook form, written by this project as the reference of its tests.',
        'MiB: peak of what torch allocates in one call, inputs apart.',
    )
    return Report('pac', tuple(rows), notes)


def _title(case: tuple[int, int, int, int]) -> str:
    channels, height, width, kernel = case
    return f'{channels} x {height}x{width}, kernel {kernel}'


def _inputs(channels: int, height: int, width: int, kernel: int) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    return (
        torch.randn(1, channels, height, width),
        0.3 * torch.randn(1, _GUIDE_CHANNELS, height, width),
        torch.randn(channels, channels, kernel, kernel) / (channels * kernel**2) ** 0.5,
        torch.zeros(channels),
        torch.tensor(0.0),
    )


def _forward_rows(title: str, inputs: tuple[Tensor, ...], rounds: int) -> list[Row]:
    forms = {
        _BASELINE: pixel_adaptive_unfold,
        'shift': pixel_adaptive_shift,
        'lean': pixel_adaptive_lean,
    }
    with torch.inference_mode():
        calls = {name: lambda form=form: form(*inputs) for name, form in forms.items()}
        timings = take_turns(calls, rounds)
        memory = {name: peak_tensor_mib(call) for name, call in calls.items()}
        reference = pixel_adaptive_unfold(*inputs)
        errors = {name: _difference(call(), reference) for name, call in calls.items()}
    return _rows(f'{title}: forward', timings, memory, errors, 2.5)


def _backward_rows(title: str, inputs: tuple[Tensor, ...], rounds: int) -> list[Row]:
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]

    def step(form: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        output = form(*leaves)
        return torch.autograd.grad(output, leaves, torch.ones_like(output))

    forms = {_BASELINE: pixel_adaptive_unfold, 'lean': pixel_adaptive_lean}
    calls = {name: lambda form=form: step(form) for name, form in forms.items()}
    timings = take_turns(calls, rounds)
    memory = {name: peak_tensor_mib(call) for name, call in calls.items()}
    reference = step(pixel_adaptive_unfold)
    errors = {
        name: max(_difference(ours, theirs) for ours, theirs in zip(call(), reference))
        for name, call in calls.items()
    }
    return _rows(f'{title}: forward and backward', timings, memory, errors, 2.0)


def _rows(
    title: str,
    timings: dict[str, Timing],
    memory: dict[str, float],
    errors: dict[str, float],
    wanted: float,
) -> list[Row]:
    rows = [Row.timed(f'{title}: unfold', timings[_BASELINE], None, memory[_BASELINE])]
    for name, timing in timings.items():
        if name == _BASELINE:
            continue
        baseline = (_BASELINE, timings[_BASELINE])
        row = Row.timed(f'{title}: {name}', timing, baseline, memory[name], errors[name])
        if name == 'lean':
            assert row.ratio is not None
            row = row.must(f'at least {wanted:g} x faster', row.ratio >= wanted)
            row = row.must('at most 0.3 x memory', memory[name] <= 0.3 * memory[_BASELINE])
        rows.append(row)
    return rows


def _difference(ours: Tensor, reference: Tensor) -> float:
    """Return the greatest difference relative to the greatest value."""
    return float((ours - reference).abs().max() / reference.abs().max().clamp(min=1e-12))


class _Form(nn.Module):
    def __init__(self, form: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.form = form
        self.weight, self.bias, self.log_sigma = (nn.Parameter(tensor) for tensor in inputs[2:])

    def forward(self, value: Tensor, guide: Tensor) -> Tensor:
        return self.form(value, guide, self.weight, self.bias, self.log_sigma)


def _exported_rows(title: str, inputs: tuple[Tensor, ...], rounds: int) -> list[Row]:
    from semdepth_ros.export.onnx_export import cpu_session, to_onnx

    feeds = {'value': inputs[0].numpy(), 'guide': inputs[1].numpy()}
    calls = {}
    for name, form in ((_BASELINE, pixel_adaptive_unfold), ('shift', pixel_adaptive_shift)):
        content = to_onnx(_Form(form, inputs).eval(), inputs[:2], tuple(feeds), ('out',))
        session = cpu_session(content)
        calls[name] = lambda session=session: session.run(None, feeds)[0]
    timings = take_turns(calls, rounds)
    error = np.abs(calls['shift']() - calls[_BASELINE]()).max() / np.abs(calls[_BASELINE]()).max()
    row = Row.timed(
        f'{title}: exported shift, ONNX Runtime',
        timings['shift'],
        ('exported unfold', timings[_BASELINE]),
        max_error=float(error),
    )
    assert row.ratio is not None
    return [
        Row.timed(f'{title}: exported unfold, ONNX Runtime', timings[_BASELINE]),
        row.must('at least 4 x faster', row.ratio >= 4),
    ]


def _triton_rows(title: str, inputs: tuple[Tensor, ...], rounds: int) -> list[Row]:
    on_gpu = [tensor.cuda() for tensor in inputs]
    fused = triton_form()
    assert fused is not None

    def call(form: Callable[..., Tensor]) -> Tensor:
        output = form(*on_gpu)
        torch.cuda.synchronize()
        return output

    with torch.inference_mode():
        calls = {
            _BASELINE: lambda: call(pixel_adaptive_unfold),
            'triton': lambda: call(fused),
        }
        timings = take_turns(calls, rounds, warm_up=5)
        error = _difference(calls['triton'](), calls[_BASELINE]())
    row = Row.timed(
        f'{title}: triton on the GPU',
        timings['triton'],
        ('unfold on the GPU', timings[_BASELINE]),
        max_error=error,
    )
    assert row.ratio is not None
    return [
        Row.timed(f'{title}: unfold on the GPU', timings[_BASELINE]),
        row.must('at least 3 x faster', row.ratio >= 3),
    ]

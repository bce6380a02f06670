"""`semdepth benchmark networks`: PackNet as published against its exact, fused form."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from semdepth_ros.benchmarks.measure import peak_tensor_mib, take_turns
from semdepth_ros.benchmarks.report import Report, Row
from semdepth_ros.networks.packnet import PackNet

#: Height and width of the inputs; the project's demands are made at the first.
SIZES = ((192, 640), (384, 640), (384, 1280))
_BASELINE = 'PackNet as published'


def measure(
    sizes: tuple[tuple[int, int], ...] = SIZES,
    rounds: int = 7,
    channels: tuple[int, int, int, int, int] = (64, 64, 128, 256, 512),
    features: int = 8,
) -> Report:
    """Return time, memory, operations and error of one forward, and of a training step.

    Args:
        sizes: height and width.
        rounds: repetitions at the first size; larger ones get half.
        channels: of PackNet's stages.
        features: of PackNet's 3-D convolutions.
    """
    torch.manual_seed(0)
    plain = PackNet(channels, features, fused=False)
    fused = PackNet(channels, features)
    fused.load_state_dict(plain.state_dict())
    rows = _step_rows(plain, fused, sizes[0], max(3, rounds // 2))
    plain.eval()
    fused.eval().fuse()
    for position, size in enumerate(sizes):
        rows += _forward_rows(
            plain, fused, size, rounds if position == 0 else max(3, rounds // 2), position == 0
        )
    notes = (
        f'Batch 1, float32, eager, {torch.get_num_threads()} threads.',
        f'{_BASELINE}: unfused Conv3d and Conv2d, written by this project, the same weights.',
        'MiB: peak of what torch allocates in one call, weights and input apart.',
        'Max error: of inverse depth, relative; operations: 2 x multiplications, counted by torch.',
    )
    return Report('networks', tuple(rows), notes)


def _forward_rows(
    plain: PackNet, fused: PackNet, size: tuple[int, int], rounds: int, demanded: bool
) -> list[Row]:
    image = torch.rand(1, 3, *size)
    with torch.inference_mode():
        calls = {'plain': lambda: plain(image), 'fused': lambda: fused(image)}
        timings = take_turns(calls, rounds)
        memory = {name: peak_tensor_mib(call) for name, call in calls.items()}
        operations = {'plain': _operations(plain, image), 'fused': _operations(fused, image)}
        error = _relative(fused(image)[0], plain(image)[0])
    title = f'{size[0]}x{size[1]} forward'
    billions = {name: count / 1e9 for name, count in operations.items()}
    row = Row.timed(
        f'{title}, fused, {billions["fused"]:.0f} GFLOP',
        timings['fused'],
        (_BASELINE, timings['plain']),
        memory['fused'],
        error,
    )
    assert row.ratio is not None
    if demanded:
        row = row.must('at least 2.2 x faster', row.ratio >= 2.2)
        row = row.must('at most 0.45 x memory', memory['fused'] <= 0.45 * memory['plain'])
        share = operations['fused'] / operations['plain']
        row = row.must('at most 0.52 x operations', share <= 0.52)
        row = row.must('error at most 1e-5', error <= 1e-5)
    return [
        Row.timed(
            f'{title}, {_BASELINE}, {billions["plain"]:.0f} GFLOP',
            timings['plain'],
            None,
            memory['plain'],
        ),
        row,
    ]


def _step_rows(plain: PackNet, fused: PackNet, size: tuple[int, int], rounds: int) -> list[Row]:
    image = torch.rand(1, 3, *size)

    def step(network: PackNet) -> list[Tensor]:
        network.zero_grad(set_to_none=True)
        loss = torch.stack([inv_depth.mean() for inv_depth in network(image)]).sum()
        loss.backward()
        return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]

    calls = {'plain': lambda: step(plain), 'fused': lambda: step(fused)}
    timings = take_turns(calls, rounds)
    memory = {name: peak_tensor_mib(call) for name, call in calls.items()}
    error = max(_relative(ours, theirs) for ours, theirs in zip(step(fused), step(plain)))
    plain.zero_grad(set_to_none=True)
    fused.zero_grad(set_to_none=True)
    title = f'{size[0]}x{size[1]} forward and backward'
    row = Row.timed(
        f'{title}, composed',
        timings['fused'],
        (_BASELINE, timings['plain']),
        memory['fused'],
        error,
    )
    assert row.ratio is not None
    row = row.must('at least 1.8 x faster', row.ratio >= 1.8)
    row = row.must('at most 0.75 x memory', memory['fused'] <= 0.75 * memory['plain'])
    return [Row.timed(f'{title}, {_BASELINE}', timings['plain'], None, memory['plain']), row]


def _operations(network: PackNet, image: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops()


def _relative(ours: Tensor, reference: Tensor) -> float:
    """Return the greatest difference relative to the greatest value."""
    return float((ours - reference).abs().max() / reference.abs().max().clamp(min=1e-30))

"""`semdepth benchmark train`: one step of the network, forward, backward and Adam."""

from __future__ import annotations

from collections.abc import Callable

import torch

from semdepth_ros.benchmarks.engines import packnet_weights
from semdepth_ros.benchmarks.measure import peak_tensor_mib, take_turns
from semdepth_ros.benchmarks.report import Report, Row
from semdepth_ros.networks.model import GuidedDepth, build_model
from semdepth_ros.networks.packing import Packing, Unpacking
from semdepth_ros.weights import LoadedWeights, load_or_untrained


def measure(
    weights: LoadedWeights | None = None, packnet: bool = True, batch: int = 4, rounds: int = 5
) -> Report:
    """Return images a second of a step of the default network and of PackNet.

    Args:
        weights: whose networks to train; by default the shipped ones.
        packnet: whether to measure PackNet 1A too, at batch 1.
        batch: images a step of the default network.
        rounds: repetitions.
    """
    weights = weights or load_or_untrained(None)
    width, height = weights.card.width, weights.card.height
    steps = {
        f'default network, batch {batch}, {width}x{height}': (
            _step(build_model(weights.card.model), (batch, 3, height, width)),
            batch,
        )
    }
    if packnet:
        shape = (1, 3, 192, 640)
        plain = build_model(packnet_weights().card.model)
        for part in plain.modules():
            if isinstance(part, Packing):
                part.compose_always = False
            elif isinstance(part, Unpacking):
                part.fused = False
        composed = build_model(packnet_weights().card.model)
        steps['PackNet 1A as published, batch 1, 640x192'] = (_step(plain, shape), 1)
        steps['PackNet 1A composed, batch 1, 640x192'] = (_step(composed, shape), 1)
    timings = take_turns({name: step for name, (step, _) in steps.items()}, rounds)
    rows = []
    baseline = 'PackNet 1A as published, batch 1, 640x192'
    for name, (step, images) in steps.items():
        rate = 1000 * images / timings[name].median_ms
        against = (baseline, timings[baseline]) if 'composed' in name else None
        row = Row.timed(
            f'{name}: {rate:.2f} images/s', timings[name], against, peak_tensor_mib(step)
        )
        if row.ratio is not None:
            row = row.must('at least 1.8 x faster', row.ratio >= 1.8)
        rows.append(row)
    device = 'the GPU' if torch.cuda.is_available() else 'the CPU (no GPU here: not measured)'
    notes = (
        f'One step on {device}, {torch.get_num_threads()} threads: forward, backward, Adam.',
        'The loss is the mean of inverse depth: losses, view synthesis and loader are apart.',
        'MiB: peak of what torch allocates in one step on the CPU, weights apart.',
    )
    return Report('train', tuple(rows), notes)


def _step(model: GuidedDepth, shape: tuple[int, int, int, int]) -> Callable[[], None]:
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    model = model.to(device).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-6)
    images = torch.rand(shape, device=device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.stack([inv_depth.mean() for inv_depth in model(images).inv_depths]).sum()
        loss.backward()
        optimizer.step()
        if device.type == 'cuda':
            torch.cuda.synchronize()

    return step

"""What a training hands over: weights with their card, figures, and the report."""

from __future__ import annotations

import dataclasses
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semdepth_ros import __version__
from semdepth_ros.weights import WeightsCard, save
from semdepth_training.config import TrainConfig
from semdepth_training.evaluation.result import Evaluation
from semdepth_training.objective import Objective
from semdepth_training.report import page
from semdepth_training.report.training import (
    Curve,
    DroppedFrame,
    Resampling,
    Sample,
    TrainingReport,
    write_training_report,
)
from semdepth_training.resampling import Judgement, below_ground, predict_depth
from semdepth_training.run_log import read_history
from semdepth_training.stages import Data, StageResult
from semdepth_training.triplets import Triplets

#: Speed must be known for this share of the image pairs before weights count as metric.
METRIC_SHARE = 0.1


def command_line(arguments: Sequence[str]) -> str:
    """Return the command as typed, absolute paths cut to their last part.

    Weights and reports are passed on: where the data lay on one machine is nobody's business.
    """
    return shlex.join(['semdepth', 'train', *map(_portable, arguments)])


def _portable(value: Any) -> Any:
    """Return a setting, or settings in settings, with the last part of every absolute path."""
    if isinstance(value, Mapping):
        return {key: _portable(item) for key, item in value.items()}
    if isinstance(value, str) and Path(value).is_absolute():
        return Path(value).name
    return value


def scale_of(config: TrainConfig, training: Triplets) -> str:
    """Return 'metric' if speed has taught the network metres, else 'up_to_scale'."""
    taught = config.loss.velocity > 0 and training.known_distances()[0] >= METRIC_SHARE
    return 'metric' if taught else 'up_to_scale'


def camera_height_of(config: TrainConfig, training: Triplets) -> float | None:
    """Return the camera's height over the ground in metres: as configured, else as the bags say.

    None where they do not say, or do not agree to 1 cm.
    """
    if config.camera_height:
        return config.camera_height
    heights = {part.drive.drive.camera_height for part in training.parts}
    known = [height for height in heights if height is not None]
    if len(known) != len(heights) or not known or max(known) - min(known) > 0.01:
        return None
    return known[0]


def write_weights(
    path: Path, stage: StageResult, config: TrainConfig, data: Data, evaluation: Evaluation | None
) -> None:
    """Write the weights file of a stage, pose network included.

    Raises:
        WeightsError: when the file cannot be written.
    """
    training = data.training
    bags = sorted({part.drive.drive.name for part in training.parts})
    provenance = {
        'stage': stage.name,
        'bags': ', '.join(bags),
        'bag hashes (sha256)': ', '.join(sorted(data.hashes)),
        'triplets': str(stage.triplets),
        'steps': str(stage.progress.step),
        'seed': str(config.seed),
        'command': command_line(sys.argv[2:]),
        'semdepth_ros': __version__,
        **{name: str(value) for name, value in page.versions().items()},
    }
    metrics = {'validation photometric error': stage.progress.best} if len(data.validation) else {}
    if evaluation is not None:
        metrics['abs_rel median-scaled'] = evaluation.median_scaled.abs_rel
        metrics['abs_rel unscaled'] = evaluation.unscaled.abs_rel
    width, height = training.size
    card = WeightsCard(
        model=stage.model,
        width=width,
        height=height,
        scale=scale_of(config, training),
        focal_length=data.focal_length,
        trained=True,
        camera_height=camera_height_of(config, training),
        licence='that of the training data applies: see provenance',
        provenance=provenance,
        metrics={name: float(value) for name, value in metrics.items() if math.isfinite(value)},
    )
    save(path, stage.objective.model, card, stage.objective.pose_network)


def write_report(
    path: Path,
    config: TrainConfig,
    data: Data,
    stages: Sequence[StageResult],
    judgement: Judgement | None,
    evaluations: Mapping[str, Evaluation],
    notes: Sequence[str],
    device: torch.device,
) -> None:
    """Write `report.html`.

    Raises:
        ReportError: when the file cannot be written.
    """
    curves, kernels = [], []
    for stage in stages:
        curves += _curves(stage)
        kernels += _kernels(stage)
    write_training_report(
        path,
        TrainingReport(
            title=f'{config.model.depth}, {len(stages)} stage' + ('s' if len(stages) > 1 else ''),
            command=command_line(sys.argv[2:]),
            config=_portable(dataclasses.asdict(config)),
            bags={
                part.drive.drive.name: part.drive.sha256
                for part in (*data.training.parts, *data.validation.parts)
            },
            curves=curves,
            kernels=kernels,
            samples=_samples(stages[-1], data.validation, device),
            resampling=judgement
            and _resampling(judgement, stages[0].objective, data.training, config, device),
            evaluations=evaluations,
            notes=notes,
        ),
    )


def _curves(stage: StageResult, points: int = 400) -> list[Curve]:
    """Return the losses of a stage, each point the mean of the steps around it, and validation."""
    history = read_history(stage.folder)
    steps = [line for line in history if 'loss' in line]
    checks = [line for line in history if 'validation' in line]
    curves = []
    for name in ('loss', 'photometric', 'velocity', 'automask', 'gradient_norm', 'lr/depth'):
        chunks = np.array_split(steps, min(points, len(steps))) if steps else []
        x = [float(np.mean([line['step'] for line in chunk])) for chunk in chunks]
        y = [float(np.mean([line[name] for line in chunk])) for chunk in chunks]
        curves.append(Curve(stage.name, x, y, panel=name))
    x = [line['step'] for line in checks]
    curves.append(Curve(stage.name, x, [c['validation'] for c in checks], panel='validation'))
    return curves


def _kernels(stage: StageResult) -> list[Curve]:
    checks = [line for line in read_history(stage.folder) if 'validation' in line]
    names = [name for name in checks[-1] if name.startswith('kernel/')] if checks else []
    return [
        Curve(f'{stage.name} {name}', [c['step'] for c in checks], [c[name] for c in checks])
        for name in names
    ]


def _samples(
    stage: StageResult, validation: Triplets, device: torch.device, count: int = 6
) -> list[Sample]:
    if not len(validation):
        return []
    samples = []
    for index in np.unique(np.linspace(0, len(validation) - 1, count).astype(int)).tolist():
        part, center = validation.locate(index)
        (image,), (depth,) = predict_depth(stage.objective, validation, [index], device)
        samples.append(Sample(f'{part.drive.drive.name}:{center}', image, depth))
    return samples


def _resampling(
    judgement: Judgement,
    objective: Objective,
    triplets: Triplets,
    config: TrainConfig,
    device: torch.device,
    pictures: int = 12,
) -> Resampling:
    dropped = []
    worst = sorted(np.flatnonzero(judgement.dropped_N), key=lambda i: -judgement.below_N[i])
    for rank, index in enumerate(map(int, worst)):
        part, center = triplets.locate(index)
        image = mask = None
        if rank < pictures:
            (image,), (depth,) = predict_depth(objective, triplets, [index], device)
            rule = config.stage_two.resampling
            mask = below_ground(depth, part.drive.fit.camera, rule, config.seed)
        below = int(judgement.below_N[index])
        dropped.append(DroppedFrame(part.drive.drive.name, center, below, image, mask))
    return Resampling(f'A frame is {judgement.rule}.', len(triplets), dropped)

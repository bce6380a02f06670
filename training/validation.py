"""The photometric error on triplets that are not trained on; the best weights are chosen by it."""

from __future__ import annotations

import numpy as np
import torch
from lightning.fabric import Fabric

from semdepth_training.device import reduce
from semdepth_training.loader import load
from semdepth_training.objective import Objective
from semdepth_training.pictures import explain
from semdepth_training.run_log import RunLog
from semdepth_training.task import Task


@torch.no_grad()
def validate(
    fabric: Fabric, objective: Objective, task: Task, log: RunLog | None, step: int
) -> float:
    """Return the mean photometric error of the validation triplets, clean images, no flip.

    The triplets are spread evenly over each drive and shared by the processes. Without validation
    triplets the error is the negative step: the latest weights count as the best.
    """
    groups = _batches_by_drive(task)
    if not groups:
        return -float(step)
    objective.eval()
    sums = torch.zeros(len(groups), 2, device=fabric.device)
    for number, indices in enumerate(groups):
        mine = indices[fabric.global_rank :: fabric.world_size]
        for batch, picked in zip(load(task.validation, mine, task.loop.workers), mine):
            on_device = batch.to(fabric.device)
            with fabric.autocast():
                values = objective.losses(objective.view(on_device), on_device)
            sums[number] += torch.stack(
                [values['photometric'] * len(picked), sums.new_tensor(len(picked))]
            )
    if log:
        kernels = kernel_statistics(objective, task, fabric)
        first = next(iter(load(task.validation, [groups[0][0][:1]], 1)))
        with fabric.autocast():
            log.picture(step, 'validation', explain(objective, first.to(fabric.device)))
    objective.train()
    sums = reduce(fabric, sums, 'sum')
    error = float(sums[:, 0].sum() / sums[:, 1].sum())
    if log:
        means = (sums[:, 0] / sums[:, 1]).tolist()
        by_drive = {
            f'validation/{part.drive.drive.name}': mean
            for part, mean in zip(task.validation.parts, means)
        }
        log.scalars(step, {'validation': error, **by_drive, **kernels})
    return error


def kernel_statistics(objective: Objective, task: Task, fabric: Fabric) -> dict[str, float]:
    """Return the mean guidance kernel of each guided level, empty for an unguided network.

    Near 0 or near 1 everywhere means that the guidance does nothing (docs/method.md, section 4).
    """
    model = objective.model
    guidance = getattr(model, 'guidance', None)
    if guidance is None:
        return {}
    indices = list(range(min(len(task.validation), task.optimizer.batch)))
    batch = next(iter(load(task.validation, [indices], task.loop.workers))).to(fabric.device)
    with fabric.autocast():
        features = model.semantic(objective.clean_images(batch)[:, 0]).features
        statistics = guidance.kernel_statistics(features)
    return {f'kernel/stride_{stride}': value for stride, value in statistics.items()}


def _batches_by_drive(task: Task) -> list[list[list[int]]]:
    """Return, for each drive, batches of triplets evenly spread over it."""
    size = task.optimizer.batch
    parts = task.validation.parts
    groups, start = [], 0
    for part in parts:
        count = len(part.centers)
        budget = max(1, task.loop.validation_batches // len(parts)) * size
        picked = start + np.unique(np.linspace(0, count - 1, min(count, budget)).astype(int))
        groups.append([picked[i : i + size].tolist() for i in range(0, len(picked), size)])
        start += count
    return groups

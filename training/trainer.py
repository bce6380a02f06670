"""The training loop of one stage, from top to bottom in the order in which things happen."""

from __future__ import annotations

import contextlib
import math
import threading

import torch
from lightning.fabric import Fabric
from torch import nn

from semdepth_ros.errors import SemdepthError
from semdepth_training import checkpoints
from semdepth_training.augmentation import draw
from semdepth_training.checkpoints import Progress
from semdepth_training.device import reduce
from semdepth_training.display import Display
from semdepth_training.loader import load
from semdepth_training.objective import Objective
from semdepth_training.run_log import RunLog
from semdepth_training.sampling import EpochSampler
from semdepth_training.task import OptimizerConfig, Task
from semdepth_training.validation import validate

#: The running mean of the loss remembers about so many steps.
SMOOTHING_STEPS = 100


class TrainingError(SemdepthError):
    """A training that cannot go on: the loss is not a number, or it runs away."""


def train(
    fabric: Fabric, objective: Objective, task: Task, resume: bool, stop: threading.Event
) -> Progress:
    """Train one stage to its end; `objective` then holds the last weights.

    Args:
        fabric: device, precision and processes; launched.
        objective: networks and losses; not yet set up by `fabric`.
        task: what to train on and how.
        resume: whether to go on from `task.last` where it exists.
        stop: once set, the run saves after the step at hand and raises KeyboardInterrupt.

    Raises:
        TrainingError: when the loss is not a number or diverges; the last good checkpoint stays.
        CheckpointError: when a checkpoint cannot be read or written.
        KeyboardInterrupt: after `stop` was set in any process.
    """
    is_first = fabric.global_rank == 0
    if is_first:
        task.folder.mkdir(parents=True, exist_ok=True)
    fabric.barrier()
    # On the device before the optimizer is made: its state then lies where the weights do.
    objective.to(fabric.device)
    optimizer = make_optimizer(objective, task.optimizer)
    progress = Progress()
    if resume and task.last.exists():
        progress = checkpoints.load(task.last, objective, optimizer, task.fingerprint)
    objective.train()
    wrapped, wrapped_optimizer = fabric.setup(objective, optimizer)

    sampler = EpochSampler(
        len(task.training), task.optimizer.batch, task.seed, fabric.global_rank, fabric.world_size
    )
    epoch_steps = task.optimizer.epoch_steps or sampler.steps_per_epoch
    steps = task.optimizer.epochs * epoch_steps
    indices = (sampler.step(step) for step in range(progress.step, steps))
    log = RunLog(task.folder, progress.step) if is_first else None
    display = Display(task.name, steps, progress.step, task.optimizer.batch, enabled=is_first)
    if progress.step == 0:
        # Where the curve starts; nothing is saved.
        validate(fabric, objective, task, log, 0)
    with contextlib.closing(load(task.training, indices, task.loop.workers)) as batches, display:
        for batch in batches:
            epoch, at = divmod(progress.step, epoch_steps)
            set_learning_rates(optimizer, task.optimizer, epoch)
            # Dropout draws from the global generator: this makes it a function of the step.
            torch.manual_seed((task.seed * 1_000_003 + progress.step) % 2**63)
            drawn = draw(task.augmentation, task.optimizer.batch, task.seed, progress.step)
            augmentation = drawn.part(*sampler.share).to(fabric.device)
            values = wrapped(batch.to(fabric.device), augmentation)
            fabric.backward(values['loss'])
            norm = clip(fabric, wrapped, optimizer, task.optimizer.clip_norm)
            means, stopping = agree(fabric, values, norm, stop.is_set())
            watch(means, progress, task)
            wrapped_optimizer.step()
            wrapped_optimizer.zero_grad(set_to_none=True)
            progress.step += 1

            display.advance(means['loss'])
            if log:
                means['lr/depth'] = optimizer.param_groups[0]['lr']
                log.scalars(progress.step, means, progress.step % task.loop.log_every == 0)
            ends_epoch = at + 1 == epoch_steps
            is_last = progress.step == steps
            if is_last or (ends_epoch and (epoch + 1) % task.loop.validate_every == 0):
                error = validate(fabric, objective, task, log, progress.step)
                if error < progress.best:
                    progress.best = error
                    if is_first:
                        checkpoints.save(
                            task.best, objective, optimizer, progress, task.fingerprint
                        )
            if stopping or ends_epoch or progress.step % task.loop.checkpoint_every == 0:
                if is_first:
                    checkpoints.save(task.last, objective, optimizer, progress, task.fingerprint)
            if stopping:
                raise KeyboardInterrupt
    if log:
        log.close()
    fabric.barrier()
    return progress


def make_optimizer(objective: Objective, config: OptimizerConfig) -> torch.optim.Adam:
    """Return Adam (0.9, 0.999) with one group for depth and guidance, one for the pose network."""
    pose = list(objective.pose_network.parameters())
    of_pose = {id(parameter) for parameter in pose}
    depth = [p for p in objective.parameters() if p.requires_grad and id(p) not in of_pose]
    groups = [{'params': depth, 'lr': config.depth_lr}, {'params': pose, 'lr': config.pose_lr}]
    return torch.optim.Adam(groups, betas=(0.9, 0.999))


def set_learning_rates(
    optimizer: torch.optim.Optimizer, config: OptimizerConfig, epoch: int
) -> None:
    """Set the learning rates of an epoch: halved every `halve_every`."""
    factor = 0.5 ** (epoch // config.halve_every)
    for group, rate in zip(optimizer.param_groups, (config.depth_lr, config.pose_lr)):
        group['lr'] = rate * factor


def clip(
    fabric: Fabric, module: nn.Module, optimizer: torch.optim.Optimizer, limit: float
) -> torch.Tensor:
    """Clip the gradient to a norm (0 leaves it) and return the norm it had."""
    norm = fabric.clip_gradients(
        module, optimizer, max_norm=limit or float('inf'), error_if_nonfinite=False
    )
    assert norm is not None  # it is, of every clipping by norm
    return norm


def agree(
    fabric: Fabric, values: dict[str, torch.Tensor], norm: torch.Tensor, stop: bool
) -> tuple[dict[str, float], bool]:
    """Return the means of the scalars over all processes, and whether any of them wants to stop."""
    names = [*values, 'gradient_norm']
    scalars = [value.detach().float() for value in (*values.values(), norm)]
    scalars.append(torch.tensor(float(stop), device=scalars[0].device))
    *means, stopping = reduce(fabric, torch.stack(scalars), 'mean').tolist()
    return dict(zip(names, means)), stopping > 0


def watch(means: dict[str, float], progress: Progress, task: Task) -> None:
    """Update the running mean of the loss.

    Raises:
        TrainingError: when loss or gradient is not a number, or the mean runs away; nothing has
            been changed by the step then.
    """
    loss, norm = means['loss'], means['gradient_norm']
    kept = f'checkpoint {task.last} is kept' if task.last.exists() else 'no checkpoint was made yet'
    if not math.isfinite(loss) or not math.isfinite(norm):
        what = f'loss is {loss}' if not math.isfinite(loss) else f'gradient norm is {norm}'
        raise TrainingError(
            f'{task.name}: {what} at step {progress.step + 1}, expected a finite number; {kept}'
        )
    old = progress.smoothed_loss if math.isfinite(progress.smoothed_loss) else loss
    progress.smoothed_loss = old + (loss - old) / SMOOTHING_STEPS
    progress.smallest_smoothed_loss = min(progress.smallest_smoothed_loss, progress.smoothed_loss)
    limit = task.optimizer.divergence * progress.smallest_smoothed_loss
    if progress.smoothed_loss > limit:
        raise TrainingError(
            f'{task.name}: the mean loss has risen to {progress.smoothed_loss:.3g} at step '
            f'{progress.step + 1}, expected at most {limit:.3g} '
            f'({task.optimizer.divergence:g} times its smallest value); {kept}'
        )

"""What one stage of a training is told: how to learn, how often to report, and on what."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from semdepth_ros.errors import SemdepthError
from semdepth_training.augmentation import AugmentationConfig
from semdepth_training.triplets import Triplets


class TaskError(SemdepthError):
    """A stage that cannot be trained as asked."""


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How the weights are learned; the defaults are the paper's.

    Attributes:
        epochs: after so many the stage ends.
        epoch_steps: steps of an epoch; 0 takes one pass over the training triplets. With a number
            the training is as long for a short recording as for a long one.
        batch: triplets of a step, over all processes.
        depth_lr: learning rate of the depth network and its guidance.
        pose_lr: learning rate of the pose network.
        halve_every: epochs after which both learning rates are halved, again and again.
        clip_norm: largest norm of the gradient; 0 does not clip.
        divergence: the run stops when the mean loss exceeds this many times its smallest value.
    """

    epochs: int = 100
    epoch_steps: int = 0
    batch: int = 32
    depth_lr: float = 2e-4
    pose_lr: float = 5e-4
    halve_every: int = 40
    clip_norm: float = 10.0
    divergence: float = 4.0

    def __post_init__(self) -> None:
        for name, least in (('epochs', 1), ('epoch_steps', 0), ('batch', 1), ('halve_every', 1)):
            if getattr(self, name) < least:
                raise TaskError(
                    f'optimizer.{name} is {getattr(self, name)}, expected at least {least}'
                )


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """How often a run reports, checks and saves.

    Attributes:
        log_every: steps between two points of the curves in TensorBoard.
        checkpoint_every: steps between two checkpoints, besides the one after each epoch.
        validate_every: epochs between two validations.
        validation_batches: batches of a validation, evenly spread over its triplets.
        workers: threads that read frames.
    """

    log_every: int = 20
    checkpoint_every: int = 500
    validate_every: int = 1
    validation_batches: int = 50
    workers: int = 2


@dataclasses.dataclass(frozen=True)
class Task:
    """All that one stage trains with.

    Attributes:
        name: what the progress bar says.
        folder: where checkpoints and curves go.
        training: triplets to learn from.
        validation: triplets to choose the best weights by; may be empty.
        optimizer: how to learn.
        augmentation: how to vary the inputs.
        loop: how often to report.
        seed: what shuffles and augments.
        fingerprint: what must not change between a run and its continuation.
    """

    name: str
    folder: Path
    training: Triplets
    validation: Triplets
    optimizer: OptimizerConfig
    augmentation: AugmentationConfig
    loop: LoopConfig
    seed: int
    fingerprint: str

    @property
    def last(self) -> Path:
        """The checkpoint of the last step that was saved."""
        return self.folder / 'last.ckpt'

    @property
    def best(self) -> Path:
        """The checkpoint with the smallest validation error."""
        return self.folder / 'best.ckpt'

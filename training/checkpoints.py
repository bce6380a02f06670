"""Checkpoints: all that a run needs to go on, written whole or not at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from semdepth_ros.errors import SemdepthError
from semdepth_ros.files import atomic_path


class CheckpointError(SemdepthError):
    """A checkpoint that cannot be written, read, or continued by this configuration."""


@dataclasses.dataclass
class Progress:
    """How far a run is; with the weights and the optimizer's state it is all that resuming needs.

    Data order and augmentation are functions of seed and step (sampling.py, augmentation.py).

    Attributes:
        step: number of optimizer steps that are done.
        best: smallest validation error so far.
        smoothed_loss: running mean of the loss, which shows divergence.
        smallest_smoothed_loss: its smallest value so far.
    """

    step: int = 0
    best: float = float('inf')
    smoothed_loss: float = float('nan')
    smallest_smoothed_loss: float = float('inf')


def trained_state(objective: nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors that training changes; a frozen semantic network is not among them."""
    frozen = set()
    for name, module in objective.named_modules():
        own = list(module.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            frozen.add(name)
    return {
        name: value
        for name, value in objective.state_dict().items()
        if name.rpartition('.')[0] not in frozen
    }


def save(
    path: Path,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    fingerprint: str,
) -> None:
    """Write a checkpoint.

    Args:
        path: the file; it appears whole or keeps its old content.
        objective: networks; only what training changes is kept.
        optimizer: its state is kept.
        progress: how far the run is.
        fingerprint: what must not change between a run and its continuation.

    Raises:
        CheckpointError: when the disk is full or the folder cannot be written.
    """
    content = {
        'objective': trained_state(objective),
        'optimizer': optimizer.state_dict(),
        'progress': dataclasses.asdict(progress),
        'fingerprint': fingerprint,
    }
    try:
        with atomic_path(path) as partial, partial.open('wb') as stream:
            torch.save(content, stream)
    except (OSError, RuntimeError) as error:
        # torch wraps a failing write in a RuntimeError of several lines.
        reason = (getattr(error, 'strerror', None) or str(error)).splitlines()[0]
        raise CheckpointError(
            f'checkpoint {path} cannot be written: {reason}; the last one is kept'
        ) from error


def load(
    path: Path,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    fingerprint: str,
) -> Progress:
    """Bring networks and optimizer to where a checkpoint left them; return how far that was.

    Raises:
        CheckpointError: for a file that is no checkpoint, or one of another configuration or data.
    """
    content = _read(path)
    if content['fingerprint'] != fingerprint:
        raise CheckpointError(
            f'checkpoint {path} comes from another configuration or other bags: '
            'resume with those of the first start, or take another --output'
        )
    load_state(objective, content['objective'], path)
    optimizer.load_state_dict(content['optimizer'])
    return Progress(**content['progress'])


def load_networks(path: Path, objective: nn.Module) -> None:
    """Bring the networks alone to where a checkpoint left them.

    Raises:
        CheckpointError: for a file that is no checkpoint, or one of other networks.
    """
    load_state(objective, _read(path)['objective'], path)


def load_state(objective: nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Load what `trained_state` gave, strictly.

    Raises:
        CheckpointError: when names or shapes differ.
    """
    expected = trained_state(objective)
    different = expected.keys() ^ state.keys()
    different |= {n for n in expected.keys() & state.keys() if expected[n].shape != state[n].shape}
    if different:
        raise CheckpointError(
            f'checkpoint {path} holds other networks: {len(different)} tensors differ, '
            f'such as {min(different)}'
        )
    objective.load_state_dict(state, strict=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        # weights_only: a checkpoint is numbers, never code.
        return torch.load(path, map_location='cpu', weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f'checkpoint {path} does not exist') from error
    except Exception as error:
        raise CheckpointError(f'checkpoint {path} cannot be read: {error}') from error

"""Which triplets make up which step: a pure function of seed and step.

No state means nothing to save: a run that is killed at any moment goes on with the very triplets
that it would have seen, and processes that share a batch agree without talking.
"""

from __future__ import annotations

import torch

from semdepth_ros.errors import SemdepthError


class SamplingError(SemdepthError):
    """A data set that cannot fill one batch, or a batch that processes cannot share."""


class EpochSampler:
    """Shuffles each pass by its own seed and cuts it into global batches; a rest is left out.

    Args:
        count: number of triplets.
        batch: triplets of a step, over all processes.
        seed: seed of the run.
        rank: number of this process.
        world: number of processes; `batch` must be a multiple of it.

    Raises:
        SamplingError: when `count` is below `batch`, or `batch` cannot be shared evenly.
    """

    def __init__(self, count: int, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        if batch % world:
            raise SamplingError(f'batch is {batch}, expected a multiple of the {world} processes')
        if count < batch:
            raise SamplingError(
                f'{count} triplets to train on, expected at least one batch of {batch}'
            )
        self.count, self.batch, self.seed = count, batch, seed
        self.rank, self.world = rank, world
        self._epoch = -1
        self._order: list[int] = []

    @property
    def steps_per_epoch(self) -> int:
        """Number of whole batches in a pass over the triplets."""
        return self.count // self.batch

    @property
    def share(self) -> tuple[int, int]:
        """Start and stop of this process's samples in the global batch."""
        size = self.batch // self.world
        return self.rank * size, (self.rank + 1) * size

    def step(self, step: int) -> list[int]:
        """Return the triplets of this process in a step, counted from 0 over all epochs."""
        epoch, at = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed((self.seed * 7_919 + epoch) % 2**63)
            self._order = torch.randperm(self.count, generator=generator).tolist()
            self._epoch = epoch
        start, stop = self.share
        return self._order[at * self.batch + start : at * self.batch + stop]

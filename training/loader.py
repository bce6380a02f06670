"""Feeds batches of uint8 triplets: threads decode ahead while the device trains.

Threads, because decoding, resizing and copying release the interpreter's lock: nothing is pickled,
no process is forked beside a running device, and the order is the sampler's.
"""

from __future__ import annotations

import collections
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch

from semdepth_training.objective import Batch


class TripletData(Protocol):
    """What the loader reads: triplets by index, from several threads at once."""

    #: Width and height of every image.
    size: tuple[int, int]

    def __len__(self) -> int:
        """Return the number of triplets."""
        ...

    def read(self, index: int, out_NHW3: np.ndarray) -> None:
        """Write target, previous and next image of a triplet into `out_NHW3`, uint8 RGB."""
        ...

    def intrinsics(self, index: int) -> tuple[float, float, float, float]:
        """Return fx, fy, cx, cy in pixels of the images."""
        ...

    def distances(self, index: int) -> tuple[float, float]:
        """Return the metres from the target to the previous and the next frame, NaN if unknown."""
        ...


def load(
    data: TripletData, batches: Iterable[Sequence[int]], workers: int, ahead: int = 4
) -> Generator[Batch, None, None]:
    """Yield the batches of triplet indices, in order, read by `workers` threads.

    Args:
        data: where the triplets are.
        batches: triplet indices of one batch after the other.
        workers: number of threads that read.
        ahead: number of batches that are read before they are asked for.
    """
    waiting: collections.deque[tuple[Sequence[int], np.ndarray, list[Future[None]]]]
    waiting = collections.deque()
    pin = torch.cuda.is_available()
    source = iter(batches)
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix='triplets') as pool:
        try:
            while True:
                while len(waiting) < ahead and (indices := next(source, None)) is not None:
                    images = np.empty((len(indices), 3, data.size[1], data.size[0], 3), np.uint8)
                    reads = [pool.submit(data.read, i, images[n]) for n, i in enumerate(indices)]
                    waiting.append((indices, images, reads))
                if not waiting:
                    return
                indices, images, reads = waiting.popleft()
                for read in reads:
                    read.result()
                yield _batch(data, indices, images, pin)
        finally:
            # Whoever stops early waits for the reads in flight alone.
            pool.shutdown(wait=True, cancel_futures=True)


def _batch(data: TripletData, indices: Sequence[int], images: np.ndarray, pin: bool) -> Batch:
    tensor = torch.from_numpy(images)
    return Batch(
        images_BNHW3=tensor.pin_memory() if pin else tensor,
        intrinsics_B4=torch.tensor([data.intrinsics(i) for i in indices], dtype=torch.float32),
        distance_B2=torch.tensor([data.distances(i) for i in indices], dtype=torch.float32),
        triplet_B=torch.tensor(list(indices)),
    )

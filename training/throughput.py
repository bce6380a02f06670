"""How many triplets a second the loader delivers: what `semdepth benchmark data` prints."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import time
from pathlib import Path

from semdepth_ros.bags.drive import Drive
from semdepth_training.frame_cache import CacheConfig, PreparedDrive
from semdepth_training.loader import load
from semdepth_training.sampling import EpochSampler
from semdepth_training.selection import SelectionConfig
from semdepth_training.triplets import Triplets, select_triplets, split


@dataclasses.dataclass(frozen=True)
class Throughput:
    """What was measured.

    Attributes:
        triplets_per_second: median over the rounds.
        spread: largest minus smallest round, triplets a second.
        workers: threads that read.
        from_cache: whether frames came from the cache of resized frames, not from the bag.
        source_size: width and height of the recorded images.
        size: width and height of the loaded images.
    """

    triplets_per_second: float
    spread: float
    workers: int
    from_cache: bool
    source_size: tuple[int, int]
    size: tuple[int, int]


def open_triplets(bag: Path, width: int, height: int, cache: CacheConfig) -> Triplets:
    """Return all triplets of a bag, prepared to be read.

    Raises:
        SemdepthError: when the bag yields none.
    """
    drive = PreparedDrive(Drive(bag), width, height, cache)
    drive.prepare()
    training, _ = split([drive], [select_triplets(drive, SelectionConfig())], [], 0.0)
    return training


def measure(
    triplets: Triplets, workers: int = 2, batch: int = 8, rounds: int = 5, batches: int = 25
) -> Throughput:
    """Return how fast shuffled uint8 triplets are delivered, as training gets them.

    Args:
        triplets: of one bag, from `open_triplets`.
        workers: threads that read.
        batch: triplets of a batch.
        rounds: repetitions; the median counts.
        batches: batches of a round, after four that fill the queue.
    """
    sampler = EpochSampler(len(triplets), batch, seed=0)
    rates = []
    for number in range(rounds):
        first = number * batches
        feed = load(triplets, (sampler.step(first + n) for n in range(batches + 8)), workers)
        # What the queue held before the clock started does not count.
        for _ in itertools.islice(feed, 4):
            pass
        start = time.perf_counter()
        delivered = sum(len(b.triplet_B) for b in itertools.islice(feed, batches))
        rates.append(delivered / (time.perf_counter() - start))
        feed.close()
    drive = triplets.parts[0].drive
    return Throughput(
        triplets_per_second=statistics.median(rates),
        spread=max(rates) - min(rates),
        workers=workers,
        from_cache=drive.is_cached,
        source_size=drive.drive.camera.size,
        size=triplets.size,
    )

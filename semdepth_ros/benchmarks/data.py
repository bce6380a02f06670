"""`semdepth benchmark data`: triplets a second that the training loader delivers from a bag."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path

from semdepth_ros.benchmarks.report import Report, Row

WORKERS = (1, 2, 4, 8)


def measure(
    bag: Path,
    workers: tuple[int, ...] = WORKERS,
    size: tuple[int, int] = (640, 192),
    rounds: int = 5,
    batches: int = 25,
) -> Report:
    """Return triplets a second, decoded from the bag and from the cache of resized frames.

    Args:
        bag: any bag that can be trained on.
        workers: numbers of loader threads.
        size: width and height of the loaded images.
        rounds: repetitions.
        batches: of eight triplets, a round.
    """
    # By name: the core imports nothing of training.
    throughput = importlib.import_module('semdepth_training.throughput')
    frame_cache = importlib.import_module('semdepth_training.frame_cache')
    rows: list[Row] = []
    first: float | None = None
    with tempfile.TemporaryDirectory() as folder:
        for cached in (False, True):
            config = frame_cache.CacheConfig('always' if cached else 'never', folder=folder)
            triplets = throughput.open_triplets(bag, *size, config)
            for count in workers:
                result = throughput.measure(triplets, count, rounds=rounds, batches=batches)
                rate = result.triplets_per_second
                first = first or rate
                source = 'cache of resized frames' if result.from_cache else 'bag'
                rows.append(
                    Row(
                        f'from the {source}, {count} worker(s): {rate:.0f} triplets/s '
                        f'(spread {result.spread:.0f})',
                        None if rate == first else f'bag, {workers[0]} worker(s)',
                        None if rate == first else rate / first,
                        1000 / rate,
                    )
                )
            source_size = 'x'.join(map(str, result.source_size))
    notes = (
        f'Shuffled uint8 triplets of {size[0]}x{size[1]}, images of {source_size}, batches of 8.',
        'Median ms: a triplet. Augmentation is done by the device, not by the loader.',
    )
    return Report('data', tuple(rows), notes)

"""Time and memory of things that do the same work, one after the other in one process.

A shared machine drifts; a ratio of two runs side by side does not. So candidates take turns, and
each ratio is the median of the ratios of neighbouring runs.
"""

from __future__ import annotations

import dataclasses
import statistics
import threading
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

_MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Timing:
    """How long one candidate took.

    Attributes:
        seconds: of each round.
    """

    seconds: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """Median in milliseconds."""
        return 1000 * statistics.median(self.seconds)

    @property
    def spread_ms(self) -> tuple[float, float]:
        """First and last decile in milliseconds."""
        ordered = sorted(self.seconds)
        tenth = len(ordered) // 10
        return 1000 * ordered[tenth], 1000 * ordered[-1 - tenth]

    def ratio_of(self, baseline: Timing) -> float:
        """How many times faster this is than the baseline: median over rounds of paired ratios."""
        pairs = zip(baseline.seconds, self.seconds)
        return statistics.median(slow / fast for slow, fast in pairs)


def take_turns(
    candidates: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1
) -> dict[str, Timing]:
    """Return the timing of each candidate, run `rounds` times in turn.

    Each round starts with another candidate, so that none always follows the same neighbour.
    """
    names = list(candidates)
    for _ in range(warm_up):
        for name in names:
            candidates[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            candidates[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def peak_tensor_mib(function: Callable[[], object]) -> float:
    """Return the peak of the memory that torch allocates on the CPU while `function` runs, MiB."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        function()
    held = peak = 0
    assert profile.profiler is not None and profile.profiler.kineto_results is not None
    events = profile.profiler.kineto_results.events()
    for event in sorted(events, key=lambda entry: entry.start_ns()):
        if event.name() == '[memory]':
            held += event.nbytes()
            peak = max(peak, held)
    return peak / _MIB


def peak_array_mib(function: Callable[[], object]) -> float:
    """Return the peak of the memory that numpy and OpenCV allocate while `function` runs, MiB."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / _MIB
    finally:
        tracemalloc.stop()


def added_process_mib(function: Callable[[], object]) -> float | None:
    """Return by how much the process grows at most while `function` runs, MiB; None off Linux.

    For runtimes that allocate out of sight; sampled, so a shorter peak may be missed.
    """
    status = Path('/proc/self/statm')
    if not status.exists():
        return None

    def resident() -> int:
        return int(status.read_text().split()[1]) * 4096

    before = peak = resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        function()
    finally:
        done.set()
        watcher.join()
    return (max(peak, resident()) - before) / _MIB

"""What a long run says about a process: does its memory grow, and are its frames fresh?"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from semdepth_ros.benchmarks.report import machine
from semdepth_ros.files import write_atomically

#: Samples are averaged in so many blocks before a line is fitted: neighbouring samples of a process
#: are alike, and a fit that takes them for independent claims a bound that is too narrow.
BLOCKS = 20
#: Student's t for 95 % on one side and BLOCKS - 2 degrees of freedom.
_T_95 = 1.734
#: What the memory may grow at most, MiB an hour, and the minutes from which on it is judged:
#: in a shorter run the noise of an hour's growth is larger than this.
MAX_SLOPE = 4.0
JUDGED_FROM_MINUTES = 55.0


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a process held at one moment.

    Attributes:
        seconds: since the first image.
        resident_mib: memory without what is shared with other processes' files and segments.
        descriptors: open files and sockets.
        threads: number of them.
    """

    seconds: float
    resident_mib: float
    descriptors: int
    threads: int


def usage(pid: int, seconds: float) -> Usage:
    """Return what a process holds now; Linux only.

    Raises:
        OSError: when there is no such process any more.
    """
    process = Path('/proc') / str(pid)
    status = dict(
        line.split(':', 1) for line in (process / 'status').read_text().splitlines() if ':' in line
    )
    # RssShmem is the shared memory of DDS, whose pages appear as its ring is first written to.
    private = sum(int(status[name].split()[0]) for name in ('RssAnon', 'RssFile'))
    descriptors = len(list((process / 'fd').iterdir()))
    return Usage(seconds, private / 1024, descriptors, int(status['Threads']))


def slope_per_hour(seconds: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Return the slope of a straight line through samples, per hour, and its upper 95 % bound.

    Args:
        seconds: when the samples were taken, ascending, at least `BLOCKS` of them.
        values: the samples.
    """
    hours = np.array([block.mean() / 3600 for block in np.array_split(np.array(seconds), BLOCKS)])
    means = np.array([block.mean() for block in np.array_split(np.array(values), BLOCKS)])
    hours -= hours.mean()
    spread = float(hours @ hours)
    slope = float(hours @ means) / spread
    residuals = means - means.mean() - slope * hours
    error = math.sqrt(float(residuals @ residuals) / (BLOCKS - 2) / spread)
    return slope, slope + _T_95 * error


@dataclasses.dataclass(frozen=True)
class SoakRow:
    """One figure; `met` is None where nothing is demanded."""

    name: str
    value: float
    target: str | None = None
    met: bool | None = None


@dataclasses.dataclass(frozen=True)
class SoakReport:
    """The figures of a soak.

    Attributes:
        rows: figures.
        notes: what a reader needs to judge them, one sentence each.
        samples: what the process held, once a second.
        counts: where the frames went, as the node counts them.
    """

    rows: tuple[SoakRow, ...]
    notes: tuple[str, ...]
    samples: tuple[Usage, ...]
    counts: Mapping[str, int]
    benchmark: str = 'soak'

    def table(self) -> str:
        """Return the figures as a Markdown table, the notes above it."""
        cells = [('figure', 'value', 'target', 'met')]
        for row in self.rows:
            met = {None: '', True: 'yes', False: 'NO'}[row.met]
            cells.append((row.name, f'{row.value:.6g}', row.target or '', met))
        widths = [max(len(line[column]) for line in cells) for column in range(4)]
        lines = ['| ' + ' | '.join(map(str.ljust, line, widths)) + ' |' for line in cells]
        rule = '|' + '|'.join('-' * (width + 2) for width in widths) + '|'
        return '\n'.join([*(f'- {note}' for note in self.notes), '', lines[0], rule, *lines[1:]])

    def write_json(self, path: Path) -> None:
        """Write everything; the file is whole or not there."""
        content = dataclasses.asdict(self) | {'machine': machine()}
        write_atomically(path, (json.dumps(content, indent=1) + '\n').encode())


def judge(
    samples: Sequence[Usage],
    ages: Sequence[float],
    sent: int,
    stale: int,
    counts: Mapping[str, int],
    warm_up: float,
) -> SoakReport:
    """Return the report of a run.

    Args:
        samples: of the node's process, about one a second.
        ages: seconds from the publication of an image to the receipt of its depth.
        sent: images that were published.
        stale: outputs that were made of another image than their stamp says, or came twice or
            after a newer one.
        counts: where the frames went, as the node counts them.
        warm_up: seconds at the beginning that are left out of all slopes.
    """
    warm = [sample for sample in samples if sample.seconds >= warm_up]
    minutes = samples[-1].seconds / 60
    seconds = [sample.seconds for sample in warm]
    slope, bound = slope_per_hour(seconds, [sample.resident_mib for sample in warm])
    ages_ms = np.array(ages) * 1000
    on_the_way = counts['received'] - sum(v for n, v in counts.items() if n != 'received')
    is_judged = minutes >= JUDGED_FROM_MINUTES
    descriptors = [sample.descriptors for sample in warm]
    threads = [sample.threads for sample in warm]
    rows = (
        SoakRow('minutes', minutes),
        SoakRow('images sent', sent),
        SoakRow('images lost on the way to the node', sent - counts['received']),
        SoakRow('images replaced by a newer one', counts['replaced']),
        SoakRow('depth images received', len(ages)),
        SoakRow('stale frames', stale, 'none', stale == 0),
        SoakRow('frames in no count', on_the_way, 'at most 2', 0 <= on_the_way <= 2),
        SoakRow('age p50 [ms]', float(np.percentile(ages_ms, 50))),
        SoakRow('age p99 [ms]', float(np.percentile(ages_ms, 99))),
        SoakRow('memory after warm-up [MiB]', warm[0].resident_mib),
        SoakRow('memory at the end [MiB]', warm[-1].resident_mib),
        SoakRow('memory slope [MiB/h]', slope),
        SoakRow(
            'memory slope, upper 95 % bound [MiB/h]',
            bound,
            f'at most {MAX_SLOPE:g} in a run of an hour' if is_judged else None,
            bound <= MAX_SLOPE if is_judged else None,
        ),
        SoakRow('descriptors, most after warm-up', max(descriptors)),
        SoakRow(
            'descriptors, end less warm-up',
            descriptors[-1] - descriptors[0],
            'at most 2',
            descriptors[-1] - descriptors[0] <= 2,
        ),
        SoakRow(
            'threads, end less warm-up',
            threads[-1] - threads[0],
            'none',
            threads[-1] <= threads[0],
        ),
    )
    notes = (
        f'Slopes leave out the first {warm_up:.0f} s and are fitted to {BLOCKS} block means.',
        'Age: from publish() of the image to the receipt of its depth, monotonic clock.',
        'Counts of the node: ' + ', '.join(f'{name} {value}' for name, value in counts.items()),
    )
    return SoakReport(rows, notes, tuple(samples), counts)

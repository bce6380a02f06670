"""What a benchmark says: rows, the table for people, the JSON for machines."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
from importlib import metadata
from pathlib import Path

from semdepth_ros import __version__
from semdepth_ros.benchmarks.measure import Timing
from semdepth_ros.files import write_atomically

#: Packages whose version changes the figures.
_PACKAGES = (
    'torch', 'numpy', 'opencv-python-headless', 'numba', 'onnxruntime', 'openvino', 'nncf',
    'tensorrt', 'triton', 'simplejpeg', 'ros-kilted-rclpy',
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Row:
    """One measured thing.

    Attributes:
        name: of the thing.
        baseline: what `ratio` and `max_error` compare with; None for a baseline itself.
        ratio: how many times faster than the baseline; None without one.
        median_ms: time of one call; None where only something else was measured.
        low_ms: first decile.
        high_ms: last decile.
        memory_mib: peak memory of one call, as the benchmark says; None if not measured.
        max_error: greatest difference from the baseline's result, as the benchmark says.
        target: what the project demands: a limit on the row, in words.
        met: whether the row meets it; None without a target.
    """

    name: str
    baseline: str | None = None
    ratio: float | None = None
    median_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    memory_mib: float | None = None
    max_error: float | None = None
    target: str | None = None
    met: bool | None = None

    @classmethod
    def timed(
        cls,
        name: str,
        timing: Timing,
        baseline: tuple[str, Timing] | None = None,
        memory_mib: float | None = None,
        max_error: float | None = None,
    ) -> Row:
        """Return a row of a timing, with its ratio to a baseline's name and timing."""
        low, high = timing.spread_ms
        ratio = None if baseline is None else timing.ratio_of(baseline[1])
        named = None if baseline is None else baseline[0]
        return cls(name, named, ratio, timing.median_ms, low, high, memory_mib, max_error)

    def must(self, target: str, met: bool) -> Row:
        """Return the row with a further target."""
        texts = [text for text in (self.target, target) if text]
        return dataclasses.replace(self, target=', '.join(texts), met=met and self.met is not False)


@dataclasses.dataclass(frozen=True)
class Report:
    """Rows of one benchmark and what they were measured on.

    Attributes:
        benchmark: its name.
        rows: measured things.
        notes: what a reader needs to judge the figures, one sentence each.
    """

    benchmark: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def table(self) -> str:
        """Return the rows as an aligned Markdown table, the notes above it."""
        head = ('name', 'baseline', 'times faster', 'median ms', '10 to 90 %', 'MiB', 'max error',
                'target', 'met')  # fmt: skip
        cells = [head, *(_cells(row) for row in self.rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
        lines = ['| ' + ' | '.join(map(str.ljust, line, widths)) + ' |' for line in cells]
        rule = '|' + '|'.join('-' * (width + 2) for width in widths) + '|'
        return '\n'.join([*(f'- {note}' for note in self.notes), '', lines[0], rule, *lines[1:]])

    def write_json(self, path: Path) -> None:
        """Write rows, notes and machine; the file is whole or not there."""
        content = {
            'benchmark': self.benchmark,
            'machine': machine(),
            'notes': self.notes,
            'rows': [dataclasses.asdict(row) for row in self.rows],
        }
        write_atomically(path, (json.dumps(content, indent=1) + '\n').encode())


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> dict[str, object]:
    """Return processor, accelerator, load, threads and versions."""
    # Late: a benchmark without torch has no use for it.
    import torch

    versions = {'semdepth_ros': __version__, 'python': platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else 'none: not measured'
    return {
        'processor': _processor(),
        'cores': cores(),
        'torch_threads': torch.get_num_threads(),
        'load': round(os.getloadavg()[0], 1),
        'gpu': gpu,
        'time': time.strftime('%Y-%m-%d', time.gmtime()),
        'versions': versions,
    }


def _processor() -> str:
    cpuinfo = Path('/proc/cpuinfo')
    fields = {}
    if cpuinfo.exists():
        lines = cpuinfo.read_text().split('\n\n')[0].splitlines()
        pairs = (line.partition(':') for line in lines)
        fields = {name.strip(): value.strip() for name, _, value in pairs}
    flags = fields.get('flags', '').split()
    wanted = ('avx2', 'avx512f', 'avx512_bf16', 'avx512_vnni', 'amx_bf16', 'amx_int8')
    name = fields.get('model name', platform.processor() or platform.machine())
    return f'{name} ({", ".join(flag for flag in wanted if flag in flags) or "no vector units"})'


def _cells(row: Row) -> tuple[str, ...]:
    spread = '' if row.low_ms is None else f'{_figure(row.low_ms)} to {_figure(row.high_ms)}'
    met = {None: '', True: 'yes', False: 'NO'}[row.met]
    return (
        row.name,
        row.baseline or '',
        '' if row.ratio is None else f'{row.ratio:.2f}',
        _figure(row.median_ms),
        spread,
        _figure(row.memory_mib),
        '' if row.max_error is None else f'{row.max_error:.1e}',
        row.target or '',
        met,
    )


def _figure(value: float | None) -> str:
    return '' if value is None else f'{value:.2f}' if value < 100 else f'{value:.0f}'

"""`semdepth benchmark`: speed and memory on this machine, each against its stated baseline."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: name -> (module with `measure`, what it measures). Imported only when asked for: the node's needs
#: rclpy, and that of the data loader belongs to training.
BENCHMARKS = {
    'networks': (
        'semdepth_ros.benchmarks.networks',
        'PackNet as published against its exact fusion',
    ),
    'pac': ('semdepth_ros.benchmarks.pac', 'pixel-adaptive convolution against its unfold form'),
    'engines': ('semdepth_ros.benchmarks.engines', 'every engine here against eager torch'),
    'cloud': ('semdepth_ros.benchmarks.cloud', 'cloud, message fill, preprocessing against memcpy'),
    'node': ('semdepth_ros.ros.benchmark', "the node's own share of a 720p frame (needs rclpy)"),
    'data': ('semdepth_ros.benchmarks.data', 'triplets a second of the training loader'),
    'train': ('semdepth_ros.benchmarks.train', 'one training step of the networks'),
    'soak': ('semdepth_ros.ros.soak', 'an hour at 30 Hz: memory, ages, stale frames (rclpy)'),
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    width = max(map(len, BENCHMARKS))
    parser = argparse.ArgumentParser(
        prog='semdepth benchmark',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='benchmarks:\n'
        + '\n'.join(f'  {name:<{width}}  {text}' for name, (_, text) in BENCHMARKS.items()),
    )
    parser.add_argument('name', choices=BENCHMARKS, metavar='NAME', help='one of those below')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write rows and machine here too')
    parser.add_argument(
        '--check', action='store_true', help='end with 1 if a row misses what it is measured for'
    )
    parser.add_argument(
        '--weights', type=Path, help='for engines, train and soak; default: the shipped'
    )
    parser.add_argument('--minutes', type=float, help='for soak: how long; default: 60')
    parser.add_argument('--bag', type=Path, help='for data: the bag to load')
    return parser


def main(argv: Sequence[str]) -> int:
    """Measure, print the table; return 1 with `--check` if a demand is not met."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.weights is not None and args.name not in ('engines', 'train', 'soak'):
        parser.error('--weights is for engines, train and soak')
    if args.minutes is not None and args.name != 'soak':
        parser.error('--minutes is for soak')
    if (args.bag is not None) != (args.name == 'data'):
        parser.error('--bag is for data, which needs it')
    import torch

    from semdepth_ros.benchmarks.report import cores, machine

    # Stated, not left to what torch guesses from the load of the moment.
    torch.set_num_threads(cores())

    arguments: dict[str, Any] = {}
    if args.weights is not None:
        from semdepth_ros.weights import load

        arguments['weights'] = load(args.weights)
    if args.bag is not None:
        arguments['bag'] = args.bag
    if args.minutes is not None:
        arguments['minutes'] = args.minutes
    report = _module(args.name).measure(**arguments)
    print(f'benchmark {report.benchmark}')
    for name, value in machine().items():
        print(f'- {name}: {value}')
    print(report.table())
    if args.json is not None:
        report.write_json(args.json)
    missed = [row for row in report.rows if row.met is False]
    if args.check:
        for row in missed:
            print(f'missed: {row.name}: {row.target}')
    return int(args.check and bool(missed))


def _module(name: str) -> Any:
    from semdepth_ros.errors import SemdepthError

    try:
        return importlib.import_module(BENCHMARKS[name][0])
    except ImportError as error:
        raise SemdepthError(
            f'benchmark {name}: {error.name} is not installed, expected its extra, see setup.py'
        ) from error

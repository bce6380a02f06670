"""`python -m semdepth_training.ablation`: what guidance and stage two change (docs/ablation.md).

Trains {unguided, guided, guided with its kernel fixed to 1} with several seeds, each in two stages
on the same bags with the same budget, and scores every stage on groups of bags that none has seen.
`--control` adds a stage two that drops as many frames at random. An interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from semdepth_ros.classes import CLASS_NAMES, VEHICLES
from semdepth_ros.files import write_atomically

#: Overrides of the configuration; everything else is the same for all.
VARIANTS: dict[str, tuple[str, ...]] = {
    'unguided': (
        *('--model.semantic', 'null', '--model.semantic_options', '{}'),
        *('--model.guidance', 'null', '--pretrained.semantic', ''),
    ),
    'fixed kernel': ('--model.guidance.fixed_kernel', 'true'),
    'guided': (),
}
RANDOM = 'stage_two_random'
STAGES = {'stage_one': 'one', 'stage_two': 'two', RANDOM: 'two, dropped at random'}
#: What `figures` makes of the JSON of `semdepth evaluate`, in the order of the table.
COLUMNS = ('pixels', 'classes', 'vehicles', 'infinite depth', 'boundary F1')


def main(argv: Sequence[str] | None = None) -> int:
    """Train and score what is missing in the output folder, then print the table; return 0."""
    parser = argparse.ArgumentParser(prog='semdepth_training.ablation', description=__doc__)
    parser.add_argument('--config', type=Path, required=True, help='of the guided network')
    parser.add_argument('--bags', nargs='+', required=True, help='to train on')
    parser.add_argument(
        '--test',
        nargs='+',
        action='append',
        required=True,
        metavar=('NAME', 'BAG'),
        help='a group of bags to score, NAME BAG...; may be given several times',
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--variants', nargs='+', choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument(
        '--frames',
        nargs=2,
        action='append',
        default=[],
        metavar=('NAME', 'FIRST:LAST'),
        help='score a group on these frames of its bags alone',
    )
    parser.add_argument('--control', action='store_true', help='train the random control as well')
    parser.add_argument('--jobs', type=int, default=1, help='trainings at a time')
    parser.add_argument('--output', type=Path, required=True)
    arguments = parser.parse_args(argv)
    groups = {name: bags for name, *bags in arguments.test}
    frames = dict(arguments.frames)
    if unknown := frames.keys() - groups.keys():
        parser.error(f'--frames: no group of --test is named {", ".join(sorted(unknown))}')
    stages = [name for name in STAGES if arguments.control or name != RANDOM]

    def run(seed: int, variant: str) -> list[dict[str, Any]]:
        folder = arguments.output / f'{variant.replace(" ", "_")}_{seed}'
        overrides = (*VARIANTS[variant], '--stage_two.control_random', str(arguments.control))
        _train(folder, arguments.config, arguments.bags, seed, overrides)
        return [
            {
                'variant': variant,
                'seed': seed,
                'stage': stage,
                **_score(folder / stage, group, bags, frames.get(group)),
            }
            for stage in stages
            for group, bags in groups.items()
        ]

    rows: list[dict[str, Any]] = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        pairs = [(seed, variant) for seed in arguments.seeds for variant in arguments.variants]
        for found in pool.map(run, *zip(*pairs)):
            rows += found
            # After every run: a table of what there is.
            write_atomically(arguments.output / 'rows.json', json.dumps(rows, indent=1).encode())
            text = '\n\n'.join(
                f'{group}\n\n{show(rows, group)}'
                for group in groups
                for show in (table, differences, by_class)
            )
            write_atomically(arguments.output / 'table.md', (text + '\n').encode())
    print(text)
    return 0


def _train(
    folder: Path, config: Path, bags: Sequence[str], seed: int, overrides: Iterable[str]
) -> None:
    if (folder / 'weights.safetensors').exists():
        return
    command = ['train', '--config', str(config), '--bags', *bags, '--output', str(folder)]
    command += ['--seed', str(seed), '--stage_two.enabled', 'true', '--resume', *overrides]
    _semdepth(command)


def _score(stage: Path, group: str, bags: Sequence[str], frames: str | None) -> dict[str, Any]:
    """Return the figures of a stage on a group of bags, from disk where they are there."""
    file = stage / f'{group}.json'
    if not file.exists():
        command = ['evaluate', '--weights', str(stage / 'weights.safetensors'), '--bags', *bags]
        command += ['--frames', frames] if frames else []
        _semdepth([*command, '--engine', 'torch', '--precision', 'float32', '--json', str(file)])
    return {'group': group, **figures(json.loads(file.read_text()))}


def _semdepth(arguments: Sequence[str]) -> None:
    subprocess.run([sys.executable, '-m', 'semdepth_ros.cli', *arguments], check=True)


def figures(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the table shows of an evaluation's JSON; Abs Rel is median-scaled."""
    by_class = {name: entry['abs_rel'] for name, entry in evaluation['per_class'].items()}
    vehicles = [by_class[CLASS_NAMES[k]] for k in VEHICLES if CLASS_NAMES[k] in by_class]
    return {
        'pixels': evaluation['median_scaled']['abs_rel'],
        # Where the truth has no labels, and the network gives none.
        'classes': statistics.mean(by_class.values()) if by_class else None,
        'vehicles': statistics.mean(vehicles) if vehicles else None,
        'infinite depth': evaluation['infinite_depth_rate'],
        'boundary F1': evaluation['boundaries'] and evaluation['boundaries']['f1'],
        'per_class': by_class,
    }


def table(rows: Sequence[Mapping[str, Any]], group: str) -> str:
    """Return mean and spread (standard deviation) over the seeds as a Markdown table."""
    lines = [
        '| network | stage | seeds | ' + ' | '.join(COLUMNS) + ' |',
        '|---|---|---|' + '---|' * len(COLUMNS),
    ]
    for variant, stage, same in _cells(rows, group):
        cells = []
        for column in COLUMNS:
            values = [row[column] for row in same if row[column] is not None]
            cells.append(_mean_and_spread(values))
        lines.append(f'| {variant} | {STAGES[stage]} | {len(same)} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def differences(rows: Sequence[Mapping[str, Any]], group: str) -> str:
    """Return what the guided network has more than each other of its seed and stage, as Markdown.

    Networks of one seed see the same batches: what all of them gain by a lucky seed cancels.
    """
    lines = [
        '| guided less | stage | seeds | ' + ' | '.join(COLUMNS) + ' |',
        '|---|---|---|' + '---|' * len(COLUMNS),
    ]
    guided = {(r['stage'], r['seed']): r for v, _, same in _cells(rows, group) if v == 'guided'
              for r in same}  # fmt: skip
    for variant, stage, same in _cells(rows, group):
        pairs = [(guided[key], row) for row in same if (key := (stage, row['seed'])) in guided]
        if variant == 'guided' or not pairs:
            continue
        cells = []
        for column in COLUMNS:
            values = [ours[column] - row[column] for ours, row in pairs
                      if ours[column] is not None and row[column] is not None]  # fmt: skip
            cells.append(_mean_and_spread(values, '+'))
        lines.append(f'| {variant} | {STAGES[stage]} | {len(pairs)} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def by_class(rows: Sequence[Mapping[str, Any]], group: str) -> str:
    """Return Abs Rel by class, mean and spread over the seeds, as Markdown; a column a network."""
    cells = list(_cells(rows, group))
    heads = [f'{variant}, {STAGES[stage]}' for variant, stage, _ in cells]
    lines = ['| class | ' + ' | '.join(heads) + ' |', '|---|' + '---|' * len(heads)]
    for name in CLASS_NAMES:
        found = [[r['per_class'][name] for r in same if name in r['per_class']]
                 for _, _, same in cells]  # fmt: skip
        if any(found):
            lines.append(f'| {name} | ' + ' | '.join(map(_mean_and_spread, found)) + ' |')
    return '\n'.join(lines)


def _cells(
    rows: Sequence[Mapping[str, Any]], group: str
) -> Iterator[tuple[str, str, list[Mapping[str, Any]]]]:
    for variant in VARIANTS:
        for stage in STAGES:
            same = [
                row
                for row in rows
                if (row['variant'], row['stage'], row['group']) == (variant, stage, group)
            ]
            if same:
                yield variant, stage, same


def _mean_and_spread(values: Sequence[float], sign: str = '') -> str:
    if not values:
        return '–'
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f'{statistics.mean(values):{sign}.3f} ± {spread:.3f}'


if __name__ == '__main__':
    sys.exit(main())

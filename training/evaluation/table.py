"""The evaluation as a table for the terminal."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table

from semdepth_training.evaluation.metrics import METRICS, DepthMetrics
from semdepth_training.evaluation.result import MODES
from semdepth_training.evaluation.run import EvaluationRun


def print_run(run: EvaluationRun, console: Console) -> None:
    """Print the metrics of model, baselines and peer in each mode, and those of each class."""
    evaluation = run.evaluation
    rows = {'this model': evaluation, **run.baselines}
    if run.peer is not None:
        rows[run.peer_name] = run.peer
    table = Table(title=f'{run.weights}: {len(evaluation.scores)} frames', title_justify='left')
    _columns(table, '', 'mode')
    for mode, words in MODES.items():
        for name, entry in rows.items():
            if mode in entry.modes:
                table.add_row(name, words, *_cells(entry.modes[mode].metrics))
        table.add_section()
    console.print(table)
    console.print(f'{evaluation.protocol}; means over frames.')
    console.print(f'Baselines: {run.baseline_source}.')

    quality = Table(title='Beyond the seven metrics', title_justify='left')
    for name in ('', 'pred/true', 'spread', 'infinite depth', 'boundary P / R / F1', 'flicker'):
        quality.add_column(name, justify='right' if name else 'left')
    quality.add_column('coverage', justify='right')
    for name, entry in rows.items():
        edges = entry.boundaries
        quality.add_row(
            name,
            _number(entry.scale.median),
            _number(entry.scale.spread),
            _number(entry.infinite_depth_rate),
            ' / '.join(map(_number, (edges.precision, edges.recall, edges.f1))) if edges else '–',
            _number(math.nan if entry.flicker is None else entry.flicker),
            _number(entry.coverage),
        )
    console.print(quality)

    mode = evaluation.modes['median_scaled']
    if mode.per_class:
        classes = Table(
            title=f'By class: {MODES["median_scaled"]}; labels: {evaluation.label_source}',
            title_justify='left',
        )
        _columns(classes, 'class', 'pixels')
        for name, of_class in mode.per_class.items():
            classes.add_row(name, f'{of_class.pixels}', *_cells(of_class.metrics))
        classes.add_section()
        classes.add_row('class average', '', *_cells(mode.class_average))
        classes.add_row('pixel average (all)', '', *_cells(mode.pixel_average))
        console.print(classes)
    for words in run.notes:
        console.print(f'note: {words}')


def _columns(table: Table, *first: str) -> None:
    for name in first:
        table.add_column(name)
    for name in METRICS:
        table.add_column(name, justify='right')


def _cells(metrics: DepthMetrics) -> list[str]:
    return [_number(getattr(metrics, name)) for name in METRICS]


def _number(value: float) -> str:
    return '–' if math.isnan(value) else f'{value:.3f}'

"""The evaluation report: the table, the classes, and the frames that went best and worst."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from semdepth_ros.coloring import color_depth
from semdepth_training.evaluation.metrics import METRICS
from semdepth_training.evaluation.result import MODES, Evaluation, FramePicture
from semdepth_training.report import page
from semdepth_training.report.charts import bar_chart

if TYPE_CHECKING:
    from semdepth_training.evaluation.run import EvaluationRun

#: Relative error that gets the hottest colour.
WORST_ERROR = 0.5

_HEADER = ('Abs Rel', 'Sq Rel', 'RMSE', 'RMSE log', 'δ<1.25', 'δ<1.25²', 'δ<1.25³')


def write_evaluation_report(path: Path, run: EvaluationRun) -> None:
    """Write the report of `semdepth evaluate` as one HTML file.

    Raises:
        page.ReportError: when the file cannot be written.
    """
    rows = {'this model': run.evaluation, **run.baselines}
    if run.peer is not None:
        rows[f'peer {run.peer_name}'] = run.peer
    parts = [
        page.note(f'{run.weights} on {", ".join(run.bags)}: {len(run.evaluation.scores)} frames.'),
        page.heading('Depth'),
        metrics_table(rows),
        page.note(f'{run.evaluation.protocol}. Metrics are means over frames.'),
        page.note(f'Baselines: {run.baseline_source}.'),
        *(page.note(words) for words in run.notes),
        page.heading('Beyond the seven metrics'),
        quality_table(rows),
        page.heading('Semantic classes'),
        class_section(run.evaluation),
        *picture_sections(run.evaluation),
        page.heading('How it was made'),
        page.preformatted(run.command),
        page.definitions(run.versions),
    ]
    page.write_page(path, f'Depth evaluation of {run.weights}', parts)


def metrics_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Return the seven metrics of each evaluation in each of its modes, the modes named."""
    rows = [
        (name, MODES[mode], *(getattr(result.metrics, metric) for metric in METRICS))
        for mode in MODES
        for name, evaluation in evaluations.items()
        if (result := evaluation.modes.get(mode))
    ]
    first = next(iter(evaluations))
    strong = [number for number, row in enumerate(rows) if row[0] == first]
    return page.table(('', 'mode', *_HEADER), rows, strong)


def quality_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Return what the seven metrics do not see: scale, holes, boundaries, flicker, coverage."""
    header = (
        '', 'pred / true', 'spread', 'infinite depth', 'boundary P', 'boundary R', 'boundary F1',
        'flicker', 'coverage',
    )  # fmt: skip
    rows = []
    for name, evaluation in evaluations.items():
        edges = evaluation.boundaries
        boundary = (edges.precision, edges.recall, edges.f1) if edges else (None, None, None)
        rows.append(
            (
                name,
                evaluation.scale.median,
                evaluation.scale.spread,
                evaluation.infinite_depth_rate,
                *boundary,
                evaluation.flicker,
                evaluation.coverage,
            )
        )
    return page.table(header, rows, [0]) + page.note(
        'pred / true: median over frames of median prediction over median truth, and its relative '
        'standard deviation. Infinite depth: share of vehicle pixels below the horizon that are '
        'predicted beyond 3 times the truth, median-scaled. Boundaries need dense truth, flicker '
        'needs poses: a dash means that there is none.'
    )


def class_section(evaluation: Evaluation) -> str:
    """Return the metrics of each semantic class, median-scaled, with both averages."""
    mode = evaluation.modes['median_scaled']
    if not mode.per_class:
        return page.note('Neither the truth nor the network says which class a pixel has.')
    rows: list[tuple] = [
        (name, entry.pixels, *(getattr(entry.metrics, metric) for metric in METRICS))
        for name, entry in mode.per_class.items()
    ]
    pixels = sum(entry.pixels for entry in mode.per_class.values())
    for name, metrics in (
        ('class average', mode.class_average),
        ('pixel average (all pixels)', mode.pixel_average),
    ):
        rows.append((name, pixels, *(getattr(metrics, metric) for metric in METRICS)))
    names = list(mode.per_class)
    values = [mode.per_class[name].metrics.abs_rel for name in names]
    return (
        page.table(('class', 'pixels', *_HEADER), rows, (len(rows) - 2, len(rows) - 1))
        + page.note(
            f'Median-scaled, no flip; pooled over pixels; labels: {evaluation.label_source}'
        )
        + page.grid([page.chart(bar_chart('Abs Rel by class', names, values, 'median-scaled'))])
    )


def picture_sections(evaluation: Evaluation, name: str = '') -> list[str]:
    """Return the best and the worst frames with their error maps; `name` goes before the titles."""
    parts = []
    for title, pictures in (('best', evaluation.best), ('worst', evaluation.worst)):
        if not pictures:
            continue
        parts.append(page.heading(f'{name}: {title} frames' if name else f'The {title} frames'))
        for entry in pictures:
            score = entry.score
            parts.append(
                page.heading(
                    f'{score.name}: Abs Rel {score.abs_rel:.3f}, pred / true {score.ratio:.3f}', 3
                )
            )
            parts.append(page.grid(_frame_figures(entry)))
    return parts


def _frame_figures(entry: FramePicture) -> list[str]:
    return [
        page.picture(entry.image_HW3, 'image', photo=True),
        page.picture(
            color_depth(entry.depth_HW), 'prediction, median-scaled, 1 m red to 80 m blue'
        ),
        page.picture(truth_picture(entry.truth_HW), 'truth'),
        page.picture(
            error_picture(entry.image_HW3, entry.error_HW),
            f'relative error of scored pixels: blue 0, red {WORST_ERROR:.0%} and more',
        ),
    ]


def truth_picture(truth_HW: np.ndarray) -> np.ndarray:
    """Return truth as uint8 RGB; single LiDAR points are widened, the nearest wins."""
    truth_HW = np.where(truth_HW > 0, truth_HW, np.nan).astype(np.float32)
    if np.isnan(truth_HW).mean() > 0.5:
        inv_depth = cv2.dilate(np.nan_to_num(1 / truth_HW), np.ones((3, 3), np.uint8))
        return color_depth(np.where(inv_depth > 0, 1 / np.maximum(inv_depth, 1e-6), np.nan))
    return color_depth(truth_HW)


def error_picture(image_HW3: np.ndarray, error_HW: np.ndarray) -> np.ndarray:
    """Return the relative error as colours over the darkened image, uint8 RGB."""
    scored = np.isfinite(error_HW)
    # Single LiDAR points are widened; dense errors stay as they are.
    kernel = np.ones((3, 3) if scored.mean() < 0.3 else (1, 1), np.uint8)
    known = cv2.dilate(scored.astype(np.uint8), kernel)
    error = cv2.dilate(np.where(scored, error_HW, 0).astype(np.float32), kernel)
    level = (np.clip(error / WORST_ERROR, 0, 1) * 255).astype(np.uint8)
    colors = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    return np.where(known[..., None] > 0, colors, image_HW3 // 3)

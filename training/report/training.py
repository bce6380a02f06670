"""The training report: what a run did and what came of it, in one file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semdepth_ros.coloring import color_depth, color_labels
from semdepth_training.evaluation.result import Evaluation
from semdepth_training.report import page
from semdepth_training.report.charts import Curve, line_chart
from semdepth_training.report.evaluation import (
    class_section,
    metrics_table,
    picture_sections,
    quality_table,
)

__all__ = [
    'Curve',
    'DroppedFrame',
    'Resampling',
    'Sample',
    'TrainingReport',
    'write_training_report',
]


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """What the network makes of an image.

    Attributes:
        caption: which frame, at which step.
        image_HW3: uint8 RGB.
        depth_HW: float32, in any unit.
        label_HW: uint8 train ids of the same view, or None.
    """

    caption: str
    image_HW3: np.ndarray
    depth_HW: np.ndarray
    label_HW: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class DroppedFrame:
    """A frame that stage two does not see.

    Attributes:
        bag: name of the bag.
        frame: index of the frame in it.
        below: pixels below the ground plane.
        image_HW3: uint8 RGB, or None: a few pictures say enough.
        below_HW: which pixels lie below, bool, at the size of the image; or None.
    """

    bag: str
    frame: int
    below: int
    image_HW3: np.ndarray | None = None
    below_HW: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Resampling:
    """What stage two was spared.

    Attributes:
        rule: the rule with its numbers, one sentence.
        frames: frames before.
        dropped: those that went.
    """

    rule: str
    frames: int
    dropped: Sequence[DroppedFrame]


@dataclasses.dataclass(frozen=True)
class TrainingReport:
    """Everything that the report shows.

    Attributes:
        title: such as 'packnet_semantic, two stages'.
        command: as typed.
        config: the settings in force; may be nested.
        bags: path as given, and what identifies its content.
        curves: losses, learning rates, validation errors.
        kernels: mean kernel value of each guided level over the steps, 0 to 1.
        samples: predictions worth a look.
        resampling: what went before stage two; None for a run with one stage.
        evaluations: by name, such as 'stage one'.
        notes: sentences worth saying.
        versions: of the software; by default of this process.
    """

    title: str
    command: str
    config: Mapping[str, Any]
    bags: Mapping[str, str]
    curves: Sequence[Curve]
    kernels: Sequence[Curve] = ()
    samples: Sequence[Sample] = ()
    resampling: Resampling | None = None
    evaluations: Mapping[str, Evaluation] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()
    versions: Mapping[str, str] = dataclasses.field(default_factory=page.versions)


def write_training_report(path: Path, report: TrainingReport) -> None:
    """Write the report of a training run as one HTML file.

    Raises:
        page.ReportError: when the file cannot be written.
    """
    parts = [
        *(page.note(words) for words in report.notes),
        page.heading('Curves'),
        _curves(report.curves, 'No step was logged.'),
        page.heading('Guidance'),
        _kernels(report.kernels),
        page.heading('Samples'),
        _samples(report.samples),
        page.heading('Resampling'),
        _resampling(report.resampling),
        page.heading('Evaluation'),
        _evaluations(report.evaluations),
        page.heading('How it was made'),
        page.preformatted(report.command),
        page.heading('Bags', 3),
        page.definitions(report.bags),
        page.heading('Versions', 3),
        page.definitions(report.versions),
        page.heading('Configuration', 3),
        page.definitions(report.config),
    ]
    page.write_page(path, report.title, parts)


def _curves(curves: Sequence[Curve], otherwise: str) -> str:
    panels: dict[str, list[Curve]] = {}
    for curve in curves:
        if len(curve.x):
            panels.setdefault(curve.panel, []).append(curve)
    if not panels:
        return page.note(otherwise)
    return page.grid(page.chart(line_chart(name, lines)) for name, lines in panels.items())


def _kernels(kernels: Sequence[Curve]) -> str:
    if not any(len(curve.x) for curve in kernels):
        return page.note('The network is not guided, so there are no kernels.')
    return _curves(
        [dataclasses.replace(curve, panel='mean kernel value') for curve in kernels], ''
    ) + page.note(
        'Mean of the pixel-adaptive kernel over pixels and neighbours. Near 1 everywhere the '
        'guidance does nothing, near 0 everywhere it cuts every neighbour off.'
    )


def _samples(samples: Sequence[Sample]) -> str:
    if not samples:
        return page.note('None were kept.')
    parts = []
    for sample in samples:
        figures = [
            page.picture(sample.image_HW3, 'image', photo=True),
            page.picture(_relative(sample.depth_HW), 'depth: red near, blue far'),
        ]
        if sample.label_HW is not None:
            figures.append(page.picture(color_labels(sample.label_HW), 'labels'))
        parts.append(page.heading(sample.caption, 3) + page.grid(figures, small=True))
    return ''.join(parts)


def _relative(depth_HW: np.ndarray) -> np.ndarray:
    """Return depth as uint8 RGB with its median in the middle: it may have any unit."""
    median = np.median(depth_HW[np.isfinite(depth_HW)]) if np.isfinite(depth_HW).any() else 1.0
    return color_depth(depth_HW * (10 / median))


def _resampling(resampling: Resampling | None) -> str:
    if resampling is None:
        return page.note('This run has one stage: no frame was dropped.')
    dropped = resampling.dropped
    share = len(dropped) / resampling.frames if resampling.frames else 0.0
    words = f'{resampling.rule} {len(dropped)} of {resampling.frames} frames ({share:.1%}) went.'
    figures = [
        page.picture(
            _marked(frame), f'{frame.bag}:{frame.frame}, {frame.below} pixels below', photo=True
        )
        for frame in dropped
        if frame.image_HW3 is not None
    ]
    rows = [(f'{frame.bag}:{frame.frame}', frame.below) for frame in dropped]
    listing = (
        '<details><summary>All dropped frames</summary>'
        + page.table(('frame', 'pixels below the ground'), rows)
        + '</details>'
    )
    return page.note(words) + page.grid(figures, small=True) + (listing if rows else '')


def _marked(frame: DroppedFrame) -> np.ndarray:
    assert frame.image_HW3 is not None
    if frame.below_HW is None:
        return frame.image_HW3
    image = frame.image_HW3.copy()
    image[frame.below_HW] = (255, 0, 128)
    return image


def _evaluations(evaluations: Mapping[str, Evaluation]) -> str:
    if not evaluations:
        return page.note('No bag had a truth to evaluate against.')
    parts = [metrics_table(evaluations), quality_table(evaluations)]
    for name, evaluation in evaluations.items():
        parts.append(page.note(f'{name}: {evaluation.protocol}, {len(evaluation.scores)} frames.'))
    for name, evaluation in evaluations.items():
        parts.append(page.heading(f'{name}: semantic classes', 3) + class_section(evaluation))
        parts.extend(picture_sections(evaluation, name))
    return ''.join(parts)

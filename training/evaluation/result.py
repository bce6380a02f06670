"""What an evaluation found, and how it is written as JSON."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from semdepth_training.evaluation.boundaries import BoundaryCounts
from semdepth_training.evaluation.metrics import DepthMetrics, Protocol

#: The four modes of the published evaluations, each always named.
MODES = {
    'median_scaled': 'median-scaled, no flip',
    'unscaled': 'unscaled, no flip',
    'median_scaled_flip': 'median-scaled, flip',
    'unscaled_flip': 'unscaled, flip',
}


@dataclasses.dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one semantic class, pooled over all its pixels."""

    metrics: DepthMetrics
    pixels: int


@dataclasses.dataclass(frozen=True)
class ModeResult:
    """What one of the four modes found.

    Attributes:
        metrics: mean over frames of each frame's metrics, the figure that papers print.
        pixel_average: metrics over all pixels of all frames, pooled.
        class_average: mean over classes of their metrics; NaN without labels.
        per_class: by class name, the classes that were seen.
    """

    metrics: DepthMetrics
    pixel_average: DepthMetrics
    class_average: DepthMetrics
    per_class: dict[str, ClassMetrics]


@dataclasses.dataclass(frozen=True)
class Scale:
    """How far predictions are from metres.

    Attributes:
        median: median over frames of median prediction over median truth; 1 is metric.
        spread: standard deviation over frames of that ratio, over its median; 0 is steady.
    """

    median: float
    spread: float

    @classmethod
    def of_ratios(cls, ratios: list[float]) -> Scale:
        """Return the scale of each frame's median prediction over median truth."""
        if not ratios:
            return cls(math.nan, math.nan)
        median = float(np.median(ratios))
        return cls(median, float(np.std(ratios)) / median)


@dataclasses.dataclass(frozen=True)
class FrameScore:
    """One frame.

    Attributes:
        name: such as `kitti_sfnd:12`.
        abs_rel: median-scaled.
        ratio: median prediction over median truth.
        infinite_share: share of all pixels of the truth that are vehicles of infinite depth.
    """

    name: str
    abs_rel: float
    ratio: float
    infinite_share: float


@dataclasses.dataclass(frozen=True, eq=False)
class FramePicture:
    """A frame worth looking at; every array has the size of the image.

    Attributes:
        score: name and Abs Rel of the frame.
        image_HW3: uint8 RGB.
        depth_HW: median-scaled prediction, metres.
        truth_HW: true depth, metres; NaN or 0 where unknown.
        error_HW: |prediction - truth| / truth where scored, NaN elsewhere.
    """

    score: FrameScore
    image_HW3: np.ndarray
    depth_HW: np.ndarray
    truth_HW: np.ndarray
    error_HW: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything that was measured on a set of frames; method section 8.

    Attributes:
        protocol: crop, cap, resize.
        modes: by key of `MODES`; the flip modes only where a flipped prediction was given.
        scores: of every scored frame, in the order in which they came.
        coverage: share of scored truth pixels with a finite prediction above 0.
        label_source: 'truth', 'network' or 'none': what says which class a pixel has.
        infinite_depth_rate: share of true vehicle pixels below the horizon whose median-scaled
            depth exceeds 3 times the truth; NaN where there is no such pixel.
        vehicle_pixels: how many such pixels there are.
        boundaries: counts of depth boundaries; None where the truth is sparse.
        flicker: median over frame pairs; None where no poses are known.
        scale: of the predictions without flip.
        best: pictures of the frames with the lowest Abs Rel, best first.
        worst: pictures of those with the highest, worst first.
    """

    protocol: Protocol
    modes: dict[str, ModeResult]
    scores: list[FrameScore]
    coverage: float
    label_source: str
    infinite_depth_rate: float
    vehicle_pixels: int
    boundaries: BoundaryCounts | None
    flicker: float | None
    scale: Scale
    best: list[FramePicture] = dataclasses.field(default_factory=list)
    worst: list[FramePicture] = dataclasses.field(default_factory=list)

    @property
    def median_scaled(self) -> DepthMetrics:
        """Metrics with per-image median scaling, without flip; mean over frames."""
        return self.modes['median_scaled'].metrics

    @property
    def unscaled(self) -> DepthMetrics:
        """Metrics of the depth as it is, without flip; mean over frames."""
        return self.modes['unscaled'].metrics

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`; what could not be measured is None."""
        modes = {
            name: {'mode': MODES[name], **self._mode_json(mode)}
            for name, mode in self.modes.items()
        }
        first = modes['median_scaled']
        edges = self.boundaries
        return _none_for_nan(
            {
                'protocol': {**dataclasses.asdict(self.protocol), 'words': str(self.protocol)},
                'frames': len(self.scores),
                'coverage': self.coverage,
                **modes,
                'per_class': first['per_class'],
                'pixel_average': first['pixel_average'],
                'class_average': first['class_average'],
                'label_source': self.label_source,
                'infinite_depth_rate': self.infinite_depth_rate,
                'vehicle_pixels': self.vehicle_pixels,
                'boundaries': edges
                and {
                    'precision': edges.precision,
                    'recall': edges.recall,
                    'f1': edges.f1,
                    **dataclasses.asdict(edges),
                },
                'flicker': self.flicker,
                'scale': dataclasses.asdict(self.scale),
                'per_frame': [dataclasses.asdict(score) for score in self.scores],
            }
        )

    def _mode_json(self, mode: ModeResult) -> dict[str, Any]:
        return {
            **dataclasses.asdict(mode.metrics),
            'frames': len(self.scores),
            'coverage': self.coverage,
            'per_class': {
                name: {**dataclasses.asdict(of_class.metrics), 'pixels': of_class.pixels}
                for name, of_class in mode.per_class.items()
            },
            'pixel_average': dataclasses.asdict(mode.pixel_average),
            'class_average': dataclasses.asdict(mode.class_average),
        }


def _none_for_nan(value: Any) -> Any:
    """Return the value with None for NaN: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _none_for_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_none_for_nan(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

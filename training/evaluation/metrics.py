"""The depth metrics of the KITTI Eigen protocol, over all pixels and per semantic class.

Method section 8. Everything is a plain function on numpy arrays. Errors are kept as *sums over
pixels*, so that one frame, one class, or a whole drive pooled are the same computation.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Literal

import cv2
import numpy as np

from semdepth_ros.errors import SemdepthError

#: Garg crop as shares of the height (first, last row) and width (first, last column).
GARG_CROP = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
#: Predictions are clipped from below, as every published evaluation does; metres.
MIN_DEPTH = 1e-3

Resize = Literal['bilinear', 'nearest']


class MetricsError(SemdepthError):
    """Depth and truth that cannot be compared."""


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What is scored, and how the prediction is brought onto the truth.

    Attributes:
        garg_crop: score only inside the Garg crop.
        max_depth: truth beyond it is not scored, predictions are clipped to it; metres.
        resize: how the prediction is resized to the size of the truth.
    """

    garg_crop: bool = True
    max_depth: float = 80.0
    resize: Resize = 'bilinear'

    def __post_init__(self) -> None:
        if not (math.isfinite(self.max_depth) and self.max_depth > MIN_DEPTH):
            raise MetricsError(
                f'maximum depth is {self.max_depth}, expected a number of metres above {MIN_DEPTH}'
            )
        if self.resize not in ('bilinear', 'nearest'):
            raise MetricsError(f'resize is {self.resize!r}, expected bilinear or nearest')

    def mask(self, truth_HW: np.ndarray) -> np.ndarray:
        """Return which truth pixels are scored, (H, W) bool: all valid ones in crop and cap."""
        with np.errstate(invalid='ignore'):
            mask = (truth_HW > 0) & (truth_HW <= self.max_depth)
        if self.garg_crop:
            mask &= garg_mask(*truth_HW.shape)
        return mask

    def __str__(self) -> str:
        crop = 'Garg crop' if self.garg_crop else 'no crop'
        return (
            f'{crop}, depth in (0, {self.max_depth:g}] m, prediction resized to the truth: '
            f'{self.resize}'
        )


@dataclasses.dataclass(frozen=True)
class DepthMetrics:
    """The seven numbers of depth evaluation; NaN where nothing was scored.

    `abs_rel`, `rmse_log` and the shares `a1`, `a2`, `a3` (ratio below 1.25, 1.25^2, 1.25^3) have no
    unit, `sq_rel` and `rmse` are metres.
    """

    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    a1: float
    a2: float
    a3: float

    @classmethod
    def mean(cls, metrics: Iterable[DepthMetrics]) -> DepthMetrics:
        """Return the mean of each metric, over frames or over classes; NaN entries are left out."""
        rows = np.array([dataclasses.astuple(m) for m in metrics], np.float64).reshape(-1, 7)
        rows = rows[np.isfinite(rows).all(axis=1)]
        return cls(*(rows.mean(axis=0) if len(rows) else np.full(7, np.nan)).tolist())


#: The names of the seven metrics, in the order in which papers print them.
METRICS = tuple(field.name for field in dataclasses.fields(DepthMetrics))

#: Columns of an array of error sums: the seven summands, then the number of pixels.
SUMS = 8


def garg_mask(height: int, width: int) -> np.ndarray:
    """Return the Garg crop of an image, (H, W) bool."""
    top, bottom = int(GARG_CROP[0] * height), int(GARG_CROP[1] * height)
    left, right = int(GARG_CROP[2] * width), int(GARG_CROP[3] * width)
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def resize_depth(depth_HW: np.ndarray, width: int, height: int, resize: Resize) -> np.ndarray:
    """Return depth resized, float32, by the half-pixel rule.

    Bilinear interpolation runs on inverse depth, which is what networks predict and what is linear
    on planes; infinite depth is inverse depth 0 and needs no special case.
    """
    depth_HW = np.ascontiguousarray(depth_HW, np.float32)
    if depth_HW.shape == (height, width):
        return depth_HW
    if resize == 'nearest':
        return cv2.resize(depth_HW, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    with np.errstate(divide='ignore'):
        inv_depth = cv2.resize(1 / depth_HW, (width, height), interpolation=cv2.INTER_LINEAR)
        return 1 / inv_depth


def median_ratio(depth_N: np.ndarray, truth_N: np.ndarray) -> float:
    """Return median truth over median finite prediction: the factor of median scaling.

    Args:
        depth_N: predicted depth at the scored pixels.
        truth_N: true depth there, metres.

    Returns:
        The factor; 1 where no pixel is scored or no prediction is finite and above 0.
    """
    depth_N = depth_N[np.isfinite(depth_N)]
    if not len(depth_N):
        return 1.0
    median = float(np.median(depth_N))
    return float(np.median(truth_N)) / median if median > 0 else 1.0


def cap_depth(depth: np.ndarray, max_depth: float) -> np.ndarray:
    """Return depth as it is scored: in [0.001, `max_depth`]; what is not finite counts as far.

    So that a filter which removes hard pixels earns nothing by it.
    """
    depth = np.where(np.isfinite(depth), depth, max_depth)
    return np.clip(depth, MIN_DEPTH, max_depth)


def error_sums(depth_N: np.ndarray, truth_N: np.ndarray) -> np.ndarray:
    """Return the summed errors of N pixels, float64 (8,); sums of several sets may be added."""
    return _pixel_errors(depth_N, truth_N).sum(axis=1)


def class_error_sums(depth_N: np.ndarray, truth_N: np.ndarray, label_N: np.ndarray) -> np.ndarray:
    """Return the summed errors of N pixels by label, float64 (256, 8); label is uint8."""
    errors = _pixel_errors(depth_N, truth_N)
    return np.stack([np.bincount(label_N, column, 256) for column in errors], axis=1)


def metrics_of(sums: np.ndarray) -> DepthMetrics:
    """Return the metrics of summed errors (8,); all NaN for no pixels."""
    pixels = sums[-1]
    if pixels == 0:
        return DepthMetrics(*[math.nan] * 7)
    abs_rel, sq_rel, squared, squared_log, a1, a2, a3 = (sums[:-1] / pixels).tolist()
    return DepthMetrics(abs_rel, sq_rel, squared**0.5, squared_log**0.5, a1, a2, a3)


def _pixel_errors(depth_N: np.ndarray, truth_N: np.ndarray) -> np.ndarray:
    depth, truth = depth_N.astype(np.float64), truth_N.astype(np.float64)
    if depth.shape != truth.shape or depth.ndim != 1:
        raise MetricsError(
            f'depth {depth.shape} and truth {truth.shape} differ, expected one value a pixel each'
        )
    difference = np.abs(depth - truth)
    ratio = np.maximum(depth / truth, truth / depth)
    return np.stack(
        [
            difference / truth,
            difference**2 / truth,
            difference**2,
            np.log(depth / truth) ** 2,
            ratio < 1.25,
            ratio < 1.25**2,
            ratio < 1.25**3,
            np.ones_like(depth),
        ]
    )

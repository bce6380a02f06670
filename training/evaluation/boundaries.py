"""Fine detail: are depth boundaries where the truth has them? Needs dense, exact truth.

Method section 8: a boundary lies where neighbouring depths have a ratio over 1.25; one of the
prediction and one of the truth match within 2 pixels.
"""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np

RATIO = 1.25
TOLERANCE = 2.0


@dataclasses.dataclass(frozen=True)
class BoundaryCounts:
    """Boundary pixels: `predicted` and how many are `correct`; `true` and how many are `found`."""

    predicted: int = 0
    correct: int = 0
    true: int = 0
    found: int = 0

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        return BoundaryCounts(
            self.predicted + other.predicted,
            self.correct + other.correct,
            self.true + other.true,
            self.found + other.found,
        )

    @property
    def precision(self) -> float:
        """Share of predicted boundary pixels that are true; NaN where none is predicted."""
        return self.correct / self.predicted if self.predicted else math.nan

    @property
    def recall(self) -> float:
        """Share of true boundary pixels that were found; NaN where there is none."""
        return self.found / self.true if self.true else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where boundaries exist and none matches."""
        if not (self.predicted or self.true):
            return math.nan
        precision = self.precision if self.predicted else 0.0
        recall = self.recall if self.true else 0.0
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def depth_boundaries(depth_HW: np.ndarray) -> np.ndarray:
    """Return the pixels whose right or lower neighbour differs by the ratio, (H, W) bool.

    A pixel beside an invalid one (NaN) is no boundary. Depth is clipped by the caller, so that
    differences in the infinite do not count.
    """
    edge = np.zeros(depth_HW.shape, bool)
    with np.errstate(invalid='ignore', divide='ignore'):
        for a, b, target in (
            (depth_HW[:, :-1], depth_HW[:, 1:], edge[:, :-1]),
            (depth_HW[:-1], depth_HW[1:], edge[:-1]),
        ):
            ratio = a / b
            target |= (ratio > RATIO) | (ratio < 1 / RATIO)
    return edge


def count_boundaries(
    depth_HW: np.ndarray, truth_HW: np.ndarray, mask_HW: np.ndarray, max_depth: float
) -> BoundaryCounts:
    """Return how the boundaries of a prediction match those of the truth.

    Args:
        depth_HW: median-scaled prediction in metres, resized *nearest* (bilinear resizing would
            spread one boundary over several pixels, each below the ratio).
        truth_HW: true depth; +Inf is sky, NaN unknown.
        mask_HW: where boundaries count (the crop), bool.
        max_depth: both are clipped to it, so sky against a house is a boundary like any other.
    """
    known = ~np.isnan(truth_HW) & (truth_HW > 0) & mask_HW
    truth = np.where(known, np.minimum(truth_HW, max_depth), np.nan)
    depth = np.where(known, np.minimum(np.nan_to_num(depth_HW, nan=max_depth), max_depth), np.nan)
    predicted, true = depth_boundaries(depth), depth_boundaries(truth)
    return BoundaryCounts(
        predicted=int(predicted.sum()),
        correct=int((predicted & _near(true)).sum()),
        true=int(true.sum()),
        found=int((true & _near(predicted)).sum()),
    )


def _near(edge_HW: np.ndarray) -> np.ndarray:
    if not edge_HW.any():
        return np.zeros_like(edge_HW)
    distance = cv2.distanceTransform(
        (~edge_HW).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    return distance <= TOLERANCE

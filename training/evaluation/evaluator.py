"""Scores one frame after the other and adds up what an evaluation says of them."""

from __future__ import annotations

import bisect
import math

import cv2
import numpy as np

from semdepth_ros.classes import CLASS_NAMES, VEHICLES
from semdepth_training.evaluation.boundaries import BoundaryCounts, count_boundaries
from semdepth_training.evaluation.flicker import flicker
from semdepth_training.evaluation.frames import EvaluationFrame, RawDepth, with_labels
from semdepth_training.evaluation.metrics import (
    SUMS,
    DepthMetrics,
    MetricsError,
    Protocol,
    cap_depth,
    class_error_sums,
    error_sums,
    garg_mask,
    median_ratio,
    metrics_of,
)
from semdepth_training.evaluation.result import (
    MODES,
    ClassMetrics,
    Evaluation,
    FramePicture,
    FrameScore,
    ModeResult,
    Scale,
)

#: A prediction of this many times the truth is a hole that a planner would drive into.
INFINITE_RATIO = 3.0

#: Boundaries are measured where at least this share of the truth is known: LiDAR has none.
DENSE_SHARE = 0.5


class Evaluator:
    """Takes frames and predictions one by one; method section 8.

    Frames of one drive come in the order of time. A frame whose truth has no pixel to score is
    passed over and not counted.

    Args:
        protocol: crop, cap and resize.
        pictures: how many of the best and of the worst frames keep their pictures.
    """

    def __init__(self, protocol: Protocol | None = None, pictures: int = 0) -> None:
        self.protocol = protocol or Protocol()
        self._pictures = pictures
        self._modes: dict[str, _ModeTotals] = {}
        self._scores: list[FrameScore] = []
        self._predicted = self._scored = 0
        self._label_sources: set[str] = set()
        self._vehicles = self._infinite = 0
        self._boundaries: BoundaryCounts | None = None
        self._flickers: list[float] = []
        self._previous: tuple[EvaluationFrame, np.ndarray, float] | None = None
        self._best: list[FramePicture] = []
        self._worst: list[FramePicture] = []

    def add(
        self, frame: EvaluationFrame, raw: RawDepth, flipped: RawDepth | None = None
    ) -> FrameScore | None:
        """Score a frame; return its score, or None where the truth has nothing to score.

        Args:
            frame: image and truth.
            raw: the prediction for its image.
            flipped: the prediction for its mirrored image, mirrored back: for the flip modes.
        """
        mask = self.protocol.mask(frame.truth_HW)
        if not mask.any():
            return None
        truth = frame.truth_HW[mask]
        frame = with_labels(frame, raw)
        label_HW = frame.label_HW
        self._label_sources.add('none' if label_HW is None else frame.label_source)
        labels = None if label_HW is None else label_HW[mask]

        depth_HW = raw.depth_on(frame, self.protocol.resize)
        depth = depth_HW[mask]
        factor = median_ratio(depth, truth)
        metrics = self._add_mode('median_scaled', depth * factor, truth, labels)
        self._add_mode('unscaled', depth, truth, labels)
        if flipped is not None:
            fused = raw.fused_with(flipped).depth_on(frame, self.protocol.resize)[mask]
            ratio = median_ratio(fused, truth)
            self._add_mode('median_scaled_flip', fused * ratio, truth, labels)
            self._add_mode('unscaled_flip', fused, truth, labels)

        with np.errstate(invalid='ignore'):
            self._predicted += int((np.isfinite(depth) & (depth > 0)).sum())
        self._scored += len(depth)
        infinite = self._count_infinite(frame, depth_HW * factor)
        score = FrameScore(frame.name, metrics.abs_rel, 1 / factor, infinite / depth_HW.size)
        self._scores.append(score)
        self._count_boundaries(frame, raw, factor)
        self._add_flicker(frame, depth_HW, factor)
        self._keep_picture(frame, score, depth_HW * factor, mask)
        return score

    def result(self) -> Evaluation:
        """Return what was found.

        Raises:
            MetricsError: when no frame was scored.
        """
        if not self._scores:
            raise MetricsError(
                f'no frame has a truth pixel to score ({self.protocol}), expected at least one'
            )
        return Evaluation(
            protocol=self.protocol,
            modes={name: self._modes[name].result() for name in MODES if name in self._modes},
            scores=self._scores,
            coverage=self._predicted / self._scored,
            label_source='+'.join(sorted(self._label_sources)),
            infinite_depth_rate=self._infinite / self._vehicles if self._vehicles else math.nan,
            vehicle_pixels=self._vehicles,
            boundaries=self._boundaries,
            flicker=float(np.median(self._flickers)) if self._flickers else None,
            scale=Scale.of_ratios([score.ratio for score in self._scores]),
            best=self._best,
            worst=self._worst,
        )

    def _add_mode(
        self, name: str, depth: np.ndarray, truth: np.ndarray, labels: np.ndarray | None
    ) -> DepthMetrics:
        capped = cap_depth(depth, self.protocol.max_depth)
        return self._modes.setdefault(name, _ModeTotals()).add(capped, truth, labels)

    def _count_infinite(self, frame: EvaluationFrame, depth_HW: np.ndarray) -> int:
        """Count vehicle pixels below the horizon, of the whole image and not of the crop alone.

        Returns the number of those in the frame that are infinitely deep.
        """
        if frame.label_HW is None:
            return 0
        horizon = max(0, math.ceil(frame.truth_camera.cy))
        truth, depth = frame.truth_HW[horizon:], depth_HW[horizon:]
        with np.errstate(invalid='ignore'):
            vehicle = (truth > 0) & (truth <= self.protocol.max_depth)
            vehicle &= np.isin(frame.label_HW[horizon:], VEHICLES)
            # A depth that is not a number is as bad as an infinite one.
            fine = depth[vehicle] <= INFINITE_RATIO * truth[vehicle]
        infinite = int((~fine).sum())
        self._vehicles += len(fine)
        self._infinite += infinite
        return infinite

    def _count_boundaries(self, frame: EvaluationFrame, raw: RawDepth, factor: float) -> None:
        truth_HW = frame.truth_HW
        with np.errstate(invalid='ignore'):
            if (truth_HW > 0).mean() < DENSE_SHARE:
                return
        inside = np.ones(truth_HW.shape, bool)
        if self.protocol.garg_crop:
            inside = garg_mask(*truth_HW.shape)
        counts = count_boundaries(
            raw.depth_on(frame, 'nearest') * factor, truth_HW, inside, self.protocol.max_depth
        )
        self._boundaries = counts if self._boundaries is None else self._boundaries + counts

    def _add_flicker(self, frame: EvaluationFrame, depth_HW: np.ndarray, factor: float) -> None:
        previous, self._previous = self._previous, (frame, depth_HW, factor)
        if previous is None or previous[0].drive != frame.drive or frame.T_world_camera is None:
            return
        before, before_HW, before_factor = previous
        if before.T_world_camera is None or before_HW.shape != depth_HW.shape:
            return
        # One factor for both frames: a scale that jumps between them is flicker, too.
        metres = math.sqrt(factor * before_factor)
        value = flicker(
            depth_HW * metres,
            before_HW * metres,
            frame.truth_HW,
            before.truth_HW,
            frame.label_HW,
            frame.truth_camera,
            np.linalg.inv(before.T_world_camera) @ frame.T_world_camera,
            self.protocol.max_depth,
        )
        if value is not None:
            self._flickers.append(value)

    def _keep_picture(
        self,
        frame: EvaluationFrame,
        score: FrameScore,
        depth_HW: np.ndarray,
        mask: np.ndarray,
    ) -> None:
        if not self._pictures:
            return
        error_HW = np.full(mask.shape, np.nan, np.float32)
        capped = cap_depth(depth_HW[mask], self.protocol.max_depth)
        error_HW[mask] = np.abs(capped - frame.truth_HW[mask]) / frame.truth_HW[mask]
        height, width = frame.truth_HW.shape
        image_HW3 = frame.image_HW3
        if image_HW3.shape[:2] != (height, width):
            image_HW3 = cv2.resize(image_HW3, (width, height), interpolation=cv2.INTER_AREA)
        picture = FramePicture(score, image_HW3, depth_HW, frame.truth_HW, error_HW)
        bisect.insort(self._best, picture, key=lambda kept: kept.score.abs_rel)
        bisect.insort(self._worst, picture, key=lambda kept: -kept.score.abs_rel)
        del self._best[self._pictures :], self._worst[self._pictures :]


class _ModeTotals:
    """The sums of one mode."""

    def __init__(self) -> None:
        self._frames: list[DepthMetrics] = []
        self._pooled = np.zeros(SUMS)
        self._classes = np.zeros((256, SUMS))

    def add(self, depth: np.ndarray, truth: np.ndarray, labels: np.ndarray | None) -> DepthMetrics:
        if labels is None:
            sums = error_sums(depth, truth)
        else:
            by_class = class_error_sums(depth, truth, labels)
            sums = by_class.sum(axis=0)
            self._classes += by_class
        self._pooled += sums
        self._frames.append(metrics_of(sums))
        return self._frames[-1]

    def result(self) -> ModeResult:
        per_class = {
            name: ClassMetrics(metrics_of(sums), int(sums[-1]))
            for name, sums in zip(CLASS_NAMES, self._classes)
            if sums[-1]
        }
        return ModeResult(
            metrics=DepthMetrics.mean(self._frames),
            pixel_average=metrics_of(self._pooled),
            class_average=DepthMetrics.mean(entry.metrics for entry in per_class.values()),
            per_class=per_class,
        )

"""What the true depth in training's own bags says of a stage, and of the frames that were dropped.

Nothing is learned from it: it is there for rendered streets and for drives with a LiDAR.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from semdepth_ros.bags.errors import BagError
from semdepth_training.evaluation.drives import evaluation_frame
from semdepth_training.evaluation.evaluator import Evaluator
from semdepth_training.evaluation.frames import RawDepth
from semdepth_training.evaluation.metrics import MetricsError
from semdepth_training.evaluation.result import Evaluation
from semdepth_training.evaluation.truth import BagTruth
from semdepth_training.objective import Objective
from semdepth_training.resampling import (
    REFERENCE_AREA,
    Judgement,
    ResamplingConfig,
    predict_depth,
)
from semdepth_training.triplets import Part, Triplets

#: Frames with truth that the evaluation at the end of a training looks at.
EVALUATION_FRAMES = 100


def evaluate_stage(
    objective: Objective, validation: Triplets, device: torch.device
) -> Evaluation | None:
    """Return the evaluation on validation frames with depth truth in their bags; None without any.

    At most `EVALUATION_FRAMES` frames, evenly spread, scored as `semdepth evaluate` does.
    """
    with_truth = Triplets([p for p in validation.parts if p.drive.drive.has_truth])
    count = min(EVALUATION_FRAMES, len(with_truth))
    picked = np.unique(np.linspace(0, len(with_truth) - 1, count).astype(int)).tolist()
    return evaluate_triplets(objective, with_truth, picked, device, pictures=2)


def evaluate_triplets(
    objective: Objective,
    triplets: Triplets,
    indices: Sequence[int],
    device: torch.device,
    pictures: int = 0,
) -> Evaluation | None:
    """Return the evaluation on the middle frames of triplets whose bags have a truth.

    None where no pixel has one.
    """
    evaluator = Evaluator(pictures=pictures)
    truths = {part.drive: BagTruth(part.drive.drive) for part in triplets.parts}
    for index in indices:
        part, center = triplets.locate(index)
        _, (depth,) = predict_depth(objective, triplets, [index], device)
        try:
            frame = evaluation_frame(part.drive.drive, truths[part.drive], center)
        except BagError:
            # A truth that cannot be read must not cost the weights of a training that is over.
            continue
        if frame is not None:
            inner = depth[part.drive.fit.inner]
            evaluator.add(frame, RawDepth(inner, None, part.drive.fit.window))
    try:
        return evaluator.result()
    except MetricsError:
        return None


@dataclasses.dataclass(frozen=True)
class DropAgreement:
    """How the dropped frames agree with those whose vehicles are infinitely deep in truth.

    Attributes:
        frames: frames with true depth and labels, of which alone this speaks.
        infinite: those of them where more vehicle pixels are infinitely deep than the rule of
            resampling allows under the ground.
        dropped: those of them that were dropped.
        both: those that are both.
    """

    frames: int
    infinite: int
    dropped: int
    both: int

    @property
    def precision(self) -> float:
        """Share of the dropped frames that are infinitely deep; NaN when none was dropped."""
        return self.both / self.dropped if self.dropped else float('nan')

    @property
    def recall(self) -> float:
        """Share of the infinitely deep frames that were dropped; NaN when there are none."""
        return self.both / self.infinite if self.infinite else float('nan')

    def __str__(self) -> str:
        return (
            f'of {self.frames} training frames with a truth {self.infinite} have infinite depth on '
            f'vehicles, {self.dropped} were dropped, {self.both} are both: precision '
            f'{self.precision:.2f}, recall {self.recall:.2f}'
        )


def drop_agreement(
    judgement: Judgement,
    objective: Objective,
    triplets: Triplets,
    config: ResamplingConfig,
    device: torch.device,
) -> DropAgreement | None:
    """Return how far resampling found what it is there to find; None without true labels.

    Args:
        judgement: what was dropped.
        objective: the networks of stage one.
        triplets: those that stage one was trained on.
        config: the rule; the same number of pixels is allowed to be infinitely deep.
        device: of the networks.
    """
    labelled = [_has_labels(part) for part in triplets.parts]
    known = np.repeat(labelled, [len(part.centers) for part in triplets.parts])
    with_labels = triplets.subset(known)
    evaluation = evaluate_triplets(objective, with_labels, range(len(with_labels)), device)
    if evaluation is None:
        return None
    parts = map(triplets.locate, np.flatnonzero(judgement.dropped_N & known).tolist())
    dropped = {f'{part.drive.drive.name}:{center}' for part, center in parts}
    allowed = config.max_below_ground / REFERENCE_AREA
    infinite = {score.name for score in evaluation.scores if score.infinite_share > allowed}
    both = len(dropped & infinite)
    return DropAgreement(len(evaluation.scores), len(infinite), len(dropped), both)


def _has_labels(part: Part) -> bool:
    drive = part.drive.drive
    return drive.has_truth and BagTruth(drive).has_labels

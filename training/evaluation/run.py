"""A whole evaluation: the model, what it has to beat, and a peer, on the same pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from semdepth_training.evaluation.baselines import DepthMean
from semdepth_training.evaluation.evaluator import Evaluator
from semdepth_training.evaluation.frames import EvaluationFrame, RawDepth, with_labels
from semdepth_training.evaluation.metrics import Protocol
from semdepth_training.evaluation.result import Evaluation

#: What the evaluation asks for a frame: its raw depth and, or None, that of the mirrored image.
Predict = Callable[[EvaluationFrame], tuple[RawDepth, RawDepth | None]]

#: Pictures of the best and of the worst frames that a report shows.
PICTURES = 3


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationRun:
    """Figures and where they come from.

    Attributes:
        evaluation: of the model.
        baselines: of depth that does not look at the image, by name.
        baseline_source: what the baselines were computed from, in words.
        peer: of a published network, or None.
        peer_name: its file.
        weights: name of the weights file.
        bags: names of the bags.
        command: as typed.
        versions: of the software.
        notes: sentences that a reader should know.
    """

    evaluation: Evaluation
    baselines: Mapping[str, Evaluation]
    baseline_source: str
    peer: Evaluation | None
    peer_name: str
    weights: str
    bags: list[str]
    command: str
    versions: Mapping[str, str]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`: those of the model, and the rest by name."""
        return {
            'weights': self.weights,
            'bags': self.bags,
            **self.evaluation.to_json(),
            'baselines': {
                name.replace(' ', '_').replace('-', '_'): baseline.to_json()
                for name, baseline in self.baselines.items()
            },
            'baseline_source': self.baseline_source,
            'peer': self.peer and {'file': self.peer_name, **self.peer.to_json()},
            'command': self.command,
            'versions': dict(self.versions),
            'notes': self.notes,
        }


def evaluate(
    frames: Iterable[EvaluationFrame],
    predict: Predict,
    mean: DepthMean,
    peer: Predict | None = None,
    protocol: Protocol | None = None,
) -> tuple[Evaluation, dict[str, Evaluation], Evaluation | None]:
    """Return the evaluation of a model, of the three baselines and of a peer.

    Args:
        frames: what is scored, in the order of time.
        predict: the model.
        mean: depth of the training drives.
        peer: another model, or None.
        protocol: crop, cap and resize.

    Raises:
        MetricsError: when no frame has a truth to score.
        BaselineError: when the mean has seen no depth.
    """
    fixed = {
        'constant depth': mean.constant(),
        'per-row mean': mean.per_row(),
        'mean depth map': mean.depth_map(),
    }
    model = Evaluator(protocol, PICTURES)
    baselines = {name: Evaluator(protocol) for name in fixed}
    other = Evaluator(protocol)
    for frame in frames:
        raw, flipped = predict(frame)
        model.add(frame, raw, flipped)
        # Everybody is scored by the same classes: those of the truth, else those of the model.
        frame = with_labels(frame, raw)
        for name, depth in fixed.items():
            baselines[name].add(frame, depth)
        if peer is not None:
            other.add(frame, *peer(frame))
    return (
        model.result(),
        {name: evaluator.result() for name, evaluator in baselines.items()},
        other.result() if peer is not None else None,
    )

"""The two stages, in the order of the paper (docs/method.md, section 6)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from lightning.fabric import Fabric

from semdepth_ros.networks.model import ModelConfig
from semdepth_training import checkpoints
from semdepth_training.build import build_objective
from semdepth_training.checkpoints import Progress
from semdepth_training.config import TrainConfig
from semdepth_training.device import prepare_module
from semdepth_training.objective import Objective
from semdepth_training.resampling import (
    Judgement,
    check_maturity,
    control,
    judge,
    write_dropped,
)
from semdepth_training.task import Task
from semdepth_training.trainer import train
from semdepth_training.triplets import Triplets


@dataclasses.dataclass(frozen=True)
class StageResult:
    """What a stage leaves.

    Attributes:
        name: 'stage_one', 'stage_two' or 'stage_two_random'.
        folder: its checkpoints and curves.
        objective: networks with the stage's best weights, in evaluation mode.
        model: the configuration that builds the networks again.
        progress: how far it went.
        triplets: number of triplets that it was trained on.
    """

    name: str
    folder: Path
    objective: Objective
    model: ModelConfig
    progress: Progress
    triplets: int


@dataclasses.dataclass(frozen=True)
class Data:
    """What all stages share.

    Attributes:
        training: triplets to learn from.
        validation: triplets to choose the best weights by.
        focal_length: that the network's inverse depth belongs to, pixels.
        distance: mean distance between the frames of a triplet, metres; NaN where unknown.
        hashes: SHA-256 of each bag.
    """

    training: Triplets
    validation: Triplets
    focal_length: float
    distance: float
    hashes: Sequence[str]


class Stages:
    """Trains one stage after the other in a folder.

    Args:
        fabric: device, precision and processes; launched.
        config: of the training.
        data: what to train on.
        output: folder; each stage has its own in it.
        resume: go on where an earlier run in the same folder stopped.
        stop: once set, the run saves and raises KeyboardInterrupt.
        say: takes a line for the user; called in the first process alone.

    Attributes:
        results: every stage that was trained so far.
        judgement: what was dropped between the stages; None before, and with one stage alone.
    """

    def __init__(
        self,
        fabric: Fabric,
        config: TrainConfig,
        data: Data,
        output: Path,
        resume: bool,
        stop: threading.Event,
        say: Callable[[str], None],
    ) -> None:
        self._fabric, self._config, self._data = fabric, config, data
        self._output, self._resume, self._stop = output, resume, stop
        self._say = say if fabric.global_rank == 0 else lambda line: None
        self.results: list[StageResult] = []
        self.judgement: Judgement | None = None

    def run(self) -> None:
        """Train every stage.

        Raises:
            TrainingError: when a loss is not a number or diverges.
            ResamplingError: when stage one is too immature to say which frames to drop; `results`
                and `judgement` then hold it and what it would have dropped.
        """
        two = self._config.stage_two
        training = self._data.training
        first = self._train('stage_one', training, self._config.optimizer.epochs, None)
        if not two.enabled:
            return
        self.judgement = self._judge(first)
        check_maturity(self.judgement, two.resampling)
        epochs = two.epochs or self._config.optimizer.epochs
        start = first if two.start == 'finetune' else None
        self._train('stage_two', training.subset(~self.judgement.dropped_N), epochs, start)
        if two.control_random:
            dropped = control(self.judgement, self._config.seed)
            self._train('stage_two_random', training.subset(~dropped), epochs, start)

    def _train(
        self, name: str, training: Triplets, epochs: int, start: StageResult | None
    ) -> StageResult:
        objective, model_config = build_objective(
            self._config, self._data.focal_length, self._data.distance
        )
        if start is not None:
            objective.load_state_dict(start.objective.state_dict())
        if self._config.device.compile_losses:
            objective.compile_losses()
        module = prepare_module(self._fabric, objective, self._config.device)
        assert isinstance(module, Objective)
        task = Task(
            name=name,
            folder=self._output / name,
            training=training,
            validation=self._data.validation,
            optimizer=dataclasses.replace(self._config.optimizer, epochs=epochs),
            augmentation=self._config.augmentation,
            loop=self._config.loop,
            seed=self._config.seed,
            fingerprint=self._fingerprint(name, training),
        )
        self._say(f'{name}: {len(training)} triplets, {epochs} epochs')
        progress = train(self._fabric, module, task, self._resume, self._stop)
        checkpoints.load_networks(task.best, module)
        module.eval()
        result = StageResult(name, task.folder, module, model_config, progress, len(training))
        self.results.append(result)
        return result

    def _judge(self, first: StageResult) -> Judgement:
        config, data = self._config.stage_two.resampling, self._data
        self._say(f'predicting the depth of {len(data.training)} training frames')
        judgement = judge(self._fabric, first.objective, data.training, config, self._config.seed)
        dropped = int(judgement.dropped_N.sum())
        self._say(f'{dropped} of {len(data.training)} frames {judgement.rule}')
        if self._fabric.global_rank == 0:
            write_dropped(
                self._output / 'resampling',
                judgement,
                first.objective,
                data.training,
                config,
                self._config.seed,
                self._fabric.device,
            )
        return judgement

    def _fingerprint(self, name: str, training: Triplets) -> str:
        """Return what must not change between a run and its continuation."""
        config = dataclasses.asdict(self._config)
        # What does not change the numbers, or may: how fast, how often, and how long.
        for key in ('device', 'loop', 'stage_two'):
            del config[key]
        del config['data']['cache'], config['optimizer']['epochs']
        centers = [
            hashlib.sha256(part.centers.astype('<i8').tobytes()).hexdigest()
            for part in training.parts
        ]
        text = json.dumps([name, config, sorted(self._data.hashes), centers], default=str)
        return hashlib.sha256(text.encode()).hexdigest()

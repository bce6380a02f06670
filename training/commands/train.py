"""`semdepth train`: from recorded drives to weights that the node runs."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from lightning.fabric import Fabric

from semdepth_ros.bags.drive import Drive, Topics, open_drives
from semdepth_ros.errors import SemdepthError
from semdepth_ros.files import write_atomically
from semdepth_ros.weights import read_card
from semdepth_ros.weights.default import named_weights
from semdepth_training.config import TrainConfig, parse
from semdepth_training.device import launch
from semdepth_training.frame_cache import PreparedDrive, content_hash
from semdepth_training.interruption import stop_requests
from semdepth_training.outcome import (
    METRIC_SHARE,
    scale_of,
    write_report,
    write_weights,
)
from semdepth_training.resampling import ResamplingError
from semdepth_training.stage_evaluation import drop_agreement, evaluate_stage
from semdepth_training.stages import Data, Stages
from semdepth_training.triplets import select_triplets, split

#: Less of the image than this share is worth a word to the user.
MOSTLY_SEEN = 0.97


class TrainCommandError(SemdepthError):
    """An output folder that must not be written to."""


def main(argv: Sequence[str]) -> int:
    """Run `semdepth train`; return 0.

    Raises:
        SemdepthError: for everything that a user can set right.
    """
    config, arguments = parse(argv)
    fabric = launch(config.device)
    output = Path(arguments.output)
    with stop_requests() as stop:
        _claim(output, config, arguments.resume, fabric)
        data, notes = prepare_data(fabric, config, arguments.bags)
        for note in notes:
            _say(fabric, note)
        stages = Stages(
            fabric, config, data, output, arguments.resume, stop, lambda line: _say(fabric, line)
        )
        immature = None
        try:
            stages.run()
        except ResamplingError as error:
            # What stage one has learned is the user's all the same.
            immature = error
        results, judgement = stages.results, stages.judgement
    if fabric.global_rank == 0:
        device = fabric.device
        evaluations = {}
        for stage in results:
            evaluation = evaluate_stage(stage.objective, data.validation, device)
            if evaluation is not None:
                evaluations[stage.name] = evaluation
                _say(
                    fabric,
                    f'{stage.name}: Abs Rel {evaluation.median_scaled.abs_rel:.3f} median-scaled, '
                    f'{evaluation.unscaled.abs_rel:.3f} unscaled, on validation frames',
                )
            write_weights(stage.folder / 'weights.safetensors', stage, config, data, evaluation)
        agreement = judgement and drop_agreement(
            judgement, results[0].objective, data.training, config.stage_two.resampling, device
        )
        if agreement:
            notes.append(f'resampling: {agreement}')
            _say(fabric, notes[-1])
        # The control run is there to be compared, not to be shipped.
        final = next(s for s in reversed(results) if not s.name.endswith('random'))
        weights = output / 'weights.safetensors'
        write_weights(weights, final, config, data, evaluations.get(final.name))
        write_report(
            output / 'report.html', config, data, results, judgement, evaluations, notes, device
        )
        _say(fabric, f'weights: {weights}; report: {output / "report.html"}')
    fabric.barrier()
    if immature is not None:
        raise immature
    return 0


def prepare_data(
    fabric: Fabric, config: TrainConfig, bags: Sequence[str]
) -> tuple[Data, list[str]]:
    """Return the triplets of the bags, and sentences that the user should read.

    The processes share the bags for the one pass through each; then all read what was found.

    Raises:
        BagError: for a bag that cannot be trained on.
        TripletError: when no triplets are left.
    """
    wanted = Topics(
        image=config.data.image_topic or None,
        camera_info=config.data.camera_info_topic or None,
        odometry=config.data.odometry_topic or None,
    )
    drives = open_drives(bags, wanted)
    mine = range(fabric.global_rank, len(drives), fabric.world_size)
    hashes = _gather(fabric, {i: content_hash(Path(drives[i].path)) for i in mine})
    prepared = [
        PreparedDrive(drive, config.data.width, config.data.height, config.data.cache, hashes[i])
        for i, drive in enumerate(drives)
    ]
    for i in mine:
        _say(fabric, f'reading {drives[i].name}: {len(drives[i])} frames')
        prepared[i].prepare()
    fabric.barrier()
    for drive in prepared:
        drive.prepare()
    selections = [select_triplets(drive, config.data.selection) for drive in prepared]
    training, validation = split(
        prepared, selections, config.data.validation_bags, config.data.validation_share
    )
    notes = [f'{d.drive.name}: {s}' for d, s in zip(prepared, selections)]
    notes += _notes(config, drives, prepared)
    if scale_of(config, training) != 'metric':
        known = training.known_distances()[0]
        notes.append(
            f'depth is up to scale: speed is known for {known:.0%} of the image pairs and weighs '
            f'{config.loss.velocity:g} (metric depth needs {METRIC_SHARE:.0%} and a weight above 0)'
        )
    focal_length = training.focal_length()
    if config.pretrained.weights:
        # What the given network says of depth belongs to the camera that it has learned from.
        focal_length = read_card(named_weights(config.pretrained.weights)).focal_length
    _, distance = training.known_distances()
    hashes_of = [drive.sha256 for drive in prepared]
    return Data(training, validation, focal_length, distance, hashes_of), notes


def _notes(
    config: TrainConfig, drives: Sequence[Drive], prepared: Sequence[PreparedDrive]
) -> list[str]:
    notes = [f'{drive.name}: {problem}' for drive in drives for problem in drive.problems]
    for drive in prepared:
        fit, source = drive.fit, drive.fit.source
        if fit.seen < MOSTLY_SEEN:
            notes.append(
                f'{drive.drive.name}: the network sees {fit.seen:.0%} of the image: of '
                f'{source.width}x{source.height} the middle {fit.width}x{fit.height}, in the shape '
                f'of data.width and data.height ({fit.camera.width}x{fit.camera.height})'
            )
    lengths = {round(drive.fit.camera.fx, 1) for drive in prepared}
    if len(lengths) > 1:
        notes.append(
            f'cameras of focal lengths {", ".join(map(str, sorted(lengths)))} pixels are trained '
            "together: depth is multiplied by each one's over their median"
        )
    given = config.pretrained
    comes_with_weights = bool(given.weights) and given.parts == 'all'
    if config.model.guidance is not None and not (given.semantic or comes_with_weights):
        notes.append('the semantic network has random weights: pretrained.semantic names none')
    return notes


def _claim(output: Path, config: TrainConfig, resume: bool, fabric: Fabric) -> None:
    """Make the output folder and note the configuration in it.

    Raises:
        TrainCommandError: when it holds an earlier run that is not to be resumed.
    """
    if not resume and any(output.glob('stage_*/last.ckpt')):
        raise TrainCommandError(
            f'output {output} holds an earlier training: add --resume to go on with it, or take '
            'another folder'
        )
    fabric.barrier()
    if fabric.global_rank == 0:
        try:
            text = yaml.safe_dump(dataclasses.asdict(config), sort_keys=False)
            write_atomically(output / 'config.yaml', text.encode())
        except OSError as error:
            raise TrainCommandError(
                f'output {output} cannot be written: {error.strerror}'
            ) from error


def _gather(fabric: Fabric, own: dict[int, str]) -> dict[int, str]:
    """Return what all processes have found, by number."""
    if fabric.world_size == 1:
        return own
    parts: list[dict[int, str]] = [{}] * fabric.world_size
    torch.distributed.all_gather_object(parts, own)
    return {number: value for part in parts for number, value in part.items()}


def _say(fabric: Fabric, line: str) -> None:
    if fabric.global_rank == 0:
        print(line, file=sys.stderr, flush=True)

"""`semdepth evaluate`: depth against LiDAR, depth images or PNG files (method section 8)."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semdepth_ros.preprocessing import FIT_MODES

if TYPE_CHECKING:
    from semdepth_training.evaluation.run import EvaluationRun

_EPILOG = """\
truth: by default the depth image topic of the bag, else its PointCloud2 through /tf_static. A
folder holds 16-bit PNG files (metres times 256, 0 unknown) named by frame number or stamp.

Scored is the raw depth, before the filters for sky, range and edges: every valid truth pixel
counts, and depth that is not finite counts as the cap. Each of the four modes (median-scaled or
not, flip post-processing or not) is named in every table.

baselines: what a constant depth, the mean depth of each row and the mean depth map would score.
They come from --train-bags (their truth, else what these weights predict on them), otherwise from
the evaluated truth itself, which favours the baselines.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        prog='semdepth evaluate',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EPILOG,
    )
    parser.add_argument('--bags', type=Path, nargs='+', required=True, metavar='BAG')
    parser.add_argument('--weights', type=Path, required=True, metavar='FILE')
    parser.add_argument('--truth', metavar='TOPIC', help='topic, or folder of PNG files')
    parser.add_argument('--frames', metavar='A:B', help='frames of each bag, half open')
    parser.add_argument('--peer', type=Path, metavar='FILE.tflite', help='a network to compare')
    parser.add_argument('--train-bags', type=Path, nargs='+', metavar='BAG', default=[])
    parser.add_argument('--json', type=Path, metavar='FILE', help='write every figure')
    parser.add_argument('--report', type=Path, metavar='FILE.html', help='tables and pictures')
    parser.add_argument('--flip', action='store_true', help='measure the two flip modes as well')
    parser.add_argument('--no-garg', action='store_true', help='score the whole image, no crop')
    parser.add_argument('--max-depth', type=float, default=80.0, help='cap in metres (80)')
    parser.add_argument('--resize', choices=('bilinear', 'nearest'), default='bilinear')
    parser.add_argument('--image', metavar='TOPIC', help='image topic, for a bag that has several')
    parser.add_argument('--engine', default='auto', help='auto, torch, openvino, onnxruntime, ...')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:N')
    parser.add_argument('--precision', default='auto', help='auto, float32, bfloat16, float16')
    parser.add_argument('--fit', choices=FIT_MODES, default='crop')
    return parser


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; return 0."""
    args = build_parser().parse_args(argv)
    # Late, so that --help and wrong arguments answer before torch is imported.
    from rich.console import Console

    from semdepth_training.evaluation.table import print_run
    from semdepth_training.report.page import write_text

    run = measure(args, 'semdepth evaluate ' + shlex.join(argv))
    # A pipe has no width of its own, and a cut table is no use there.
    console = Console() if sys.stdout.isatty() else Console(width=132)
    print_run(run, console)
    if args.json:
        write_text(args.json, json.dumps(run.to_json(), indent=2) + '\n')
    if args.report:
        from semdepth_training.report.evaluation import write_evaluation_report

        write_evaluation_report(args.report, run)
    return 0


def measure(args: argparse.Namespace, command: str) -> EvaluationRun:
    """Return what the arguments ask for.

    Raises:
        SemdepthError: for bags, truth, weights or arguments that do not serve.
    """
    from semdepth_ros.bags.drive import Topics, open_drives
    from semdepth_ros.preprocessing import fit
    from semdepth_ros.progress import track
    from semdepth_training.evaluation.drives import DriveFrames, frame_range
    from semdepth_training.evaluation.metrics import Protocol
    from semdepth_training.evaluation.peer import Peer
    from semdepth_training.evaluation.predictor import Predictor
    from semdepth_training.evaluation.run import EvaluationRun, evaluate
    from semdepth_training.evaluation.training_mean import training_mean
    from semdepth_training.evaluation.truth import open_truth
    from semdepth_training.report.page import versions

    protocol = Protocol(not args.no_garg, args.max_depth, args.resize)
    frames = frame_range(args.frames) if args.frames else None
    folder = Path(args.truth) if args.truth and Path(args.truth).is_dir() else None
    topics = Topics(image=args.image, truth=None if folder else args.truth)
    drives = open_drives(args.bags, topics)
    selected = DriveFrames(drives, [open_truth(drive, folder) for drive in drives], frames)
    peer = Peer(args.peer) if args.peer else None
    predictor = Predictor(
        args.weights,
        engine=args.engine,
        device=args.device,
        precision=args.precision,
        fit_mode=args.fit,
        report=_say,
    )
    mean, source = training_mean(
        open_drives(args.train_bags, Topics()) if args.train_bags else [],
        selected,
        lambda image, camera: predictor.predict(image, camera)[0],
        args.max_depth,
    )
    evaluation, baselines, of_peer = evaluate(
        track(selected, len(selected), 'evaluate'),
        lambda frame: predictor.predict(frame.image_HW3, frame.camera, args.flip),
        mean,
        peer and (lambda frame: (peer.predict(frame.image_HW3), None)),
        protocol,
    )
    notes = [f'engine: {predictor.engine_name()}']
    predictor.close()
    if predictor.card.scale != 'metric':
        notes.append('the weights are up to scale: their unscaled figures are no metres')
    if not predictor.card.trained:
        notes.append('the weights are untrained')
    if selected.problems:
        notes.append(f'{len(selected.problems)} frames left out, first: {selected.problems[0]}')
    unscored = len(selected) - len(selected.problems) - len(evaluation.scores)
    if unscored:
        notes.append(f'{unscored} frames have no truth pixel to score')
    for drive in drives:
        notes.extend(drive.problems)
        seen = fit(drive.rectified, predictor.card.width, predictor.card.height, args.fit).seen
        if round(seen, 2) < 1:
            notes.append(
                f'{drive.name}: the network sees {seen:.0%} of the image; the rest counts as '
                'infinitely far, in the infinite depth of vehicles, too'
            )
    return EvaluationRun(
        evaluation=evaluation,
        baselines=baselines,
        baseline_source=source,
        peer=of_peer,
        peer_name=args.peer.name if args.peer else '',
        weights=args.weights.name,
        bags=[drive.name for drive in drives],
        command=command,
        versions=versions(),
        notes=notes,
    )


def _say(text: str) -> None:
    print(f'semdepth evaluate: {text}', file=sys.stderr)

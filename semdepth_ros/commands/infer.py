"""`semdepth infer`: depth, labels and clouds of images, a video or a bag, as the node sees them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from semdepth_ros.errors import SemdepthError
from semdepth_ros.inference.pictures import KINDS
from semdepth_ros.pipeline import OUTPUT_SIZES, OutputSettings
from semdepth_ros.preprocessing import FIT_MODES


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        prog='semdepth infer',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='files of a folder output:\n'
        + '\n'.join(f'  {kind:<9} {text}' for kind, text in KINDS.items()),
    )
    parser.add_argument('input', type=Path, help='image, folder of images, video or bag')
    parser.add_argument(
        '--output', required=True, help='folder for pictures, or a bag (a name ending in .bag/)'
    )
    parser.add_argument('--format', choices=('auto', 'folder', 'bag'), default='auto')
    parser.add_argument('--weights', type=Path, help='weights file; default: the shipped one')
    parser.add_argument('--engine', default='auto', help='auto, torch, openvino, onnxruntime, ...')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:N')
    parser.add_argument('--precision', default='auto', help='auto, float32, bfloat16, float16')
    parser.add_argument('--fit', choices=FIT_MODES, default='crop')
    parser.add_argument('--topic', help='image topic, for a bag that has several')
    parser.add_argument('--camera-info', type=Path, help='calibration YAML for images and videos')
    parser.add_argument(
        '--camera-height', type=float, help='take the scale from this height above ground, metres'
    )
    parser.add_argument('--output-size', choices=OUTPUT_SIZES, default='network')
    parser.add_argument('--stride', type=int, default=1, help='every n-th pixel of every output')
    parser.add_argument('--min-depth', type=float, default=OutputSettings.min_depth, help='metres')
    parser.add_argument('--max-depth', type=float, default=OutputSettings.max_depth, help='metres')
    parser.add_argument(
        '--kinds', default=','.join(KINDS), help='what to write to a folder (default: all of them)'
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Process every frame; return 0, 1 if some could not be read, 130 after Ctrl-C."""
    args = build_parser().parse_args(argv)
    settings = OutputSettings(
        output_size=args.output_size,
        stride=args.stride,
        min_depth=args.min_depth,
        max_depth=args.max_depth,
    )
    # Late, so that --help and wrong arguments answer before torch is imported.
    from semdepth_ros.inference.bag_output import BagOutput
    from semdepth_ros.inference.pictures import PictureOutput
    from semdepth_ros.inference.processor import Processor
    from semdepth_ros.inference.sources import BagSource, open_source
    from semdepth_ros.progress import track

    source = open_source(args.input, args.camera_info, args.topic)
    drive = source.drive if isinstance(source, BagSource) else None
    to_bag = args.format == 'bag' or (
        args.format == 'auto' and args.output.rstrip('/').endswith('.bag')
    )
    path = Path(args.output)
    output = BagOutput(path, drive) if to_bag else PictureOutput(path, _kinds(args.kinds))
    problems: list[str] = list(drive.problems) if drive else []
    done, status = 0, 0
    with output:
        processor = Processor(
            args.weights,
            engine=args.engine,
            device=args.device,
            precision=args.precision,
            fit_mode=args.fit,
            settings=settings,
            camera_height=args.camera_height,
            report=_say,
        )
        try:
            for frame in track(source, len(source), 'infer'):
                if isinstance(frame, SemdepthError):
                    problems.append(str(frame))
                    continue
                output.write(frame, processor(frame))
                done += 1
        except KeyboardInterrupt:
            _say('stopped: what is done is kept')
            status = 130
    for problem in problems[:20]:
        _say(f'skipped: {problem}')
    if len(problems) > 20:
        _say(f'skipped: and {len(problems) - 20} more')
    _say(f'{done} frames done, {len(problems)} problems, written to {path}')
    return status or int(bool(problems) or not done)


def _kinds(text: str) -> tuple[str, ...]:
    return tuple(kind.strip() for kind in text.split(',') if kind.strip())


def _say(text: str) -> None:
    print(f'semdepth infer: {text}', file=sys.stderr)

"""`semdepth bag`: what is in a recording, and can it be trained on?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(prog='semdepth bag', description=__doc__)
    actions = parser.add_subparsers(dest='action', metavar='ACTION')
    inspect = actions.add_parser(
        'inspect',
        help='measure recordings and say whether they can be trained on',
        description='Measure recordings (rosbag2 folders, .mcap, .db3, ROS 1 .bag) and say whether '
        'they can be trained on, with reasons. Topics are found by type unless they are named.',
        epilog='exit code: 0 all are trainable, 1 at least one is not, 2 an error',
    )
    inspect.add_argument('bags', nargs='+', type=Path, metavar='BAG')
    inspect.add_argument('--json', type=Path, metavar='FILE', help='write everything measured')
    inspect.add_argument(
        '--sheet',
        type=Path,
        metavar='FILE',
        help='write a picture sheet (PNG; with --json: beside that file by default)',
    )
    for name, what in (
        ('image', 'Image or CompressedImage'),
        ('camera-info', 'CameraInfo'),
        ('odometry', 'Odometry, TwistStamped, or /tf'),
        ('truth', 'depth Image or PointCloud2'),
    ):
        inspect.add_argument(f'--{name}', metavar='TOPIC', help=f'topic of type {what}')
    inspect.add_argument(
        '--rectified',
        choices=('auto', 'yes', 'no'),
        default='auto',
        help='whether the images are rectified; auto: if the name of their topic says so',
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Inspect bags; return 0 if all of them can be trained on, else 1."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.action is None:
        parser.print_help()
        return 0
    # Late, so that --help answers at once.
    from semdepth_ros.bags.drive import Topics
    from semdepth_training.inspection.inspection import inspect
    from semdepth_training.inspection.output import describe, write_json, write_sheet

    topics = Topics(args.image, args.camera_info, args.odometry, args.truth)
    rectified = {'auto': None, 'yes': True, 'no': False}[args.rectified]
    inspections = []
    for bag in args.bags:
        inspection = inspect(bag, topics, rectified, _progress(bag.name))
        print(describe(inspection))
        inspections.append(inspection)
    if args.json is not None:
        write_json(args.json, inspections)
    sheet = args.sheet or (args.json.with_suffix('.png') if args.json is not None else None)
    if sheet is not None:
        write_sheet(sheet, inspections)
    return 0 if all(inspection.is_trainable for inspection in inspections) else 1


def _progress(name: str) -> Callable[[int, int], None]:
    """Return what draws a line of progress, where somebody looks at it."""
    if not sys.stderr.isatty():
        return lambda done, total: None

    def draw(done: int, total: int) -> None:
        print(f'\r{name}: frame {done} of {total}\x1b[K', end='', file=sys.stderr)
        if done == total:
            print('\r\x1b[K', end='', file=sys.stderr)

    return draw

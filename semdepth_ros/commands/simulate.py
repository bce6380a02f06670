"""`semdepth simulate`: render a drive through a street world, with exact depth, to a bag."""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from semdepth_ros.camera import DISTORTION_COEFFICIENTS, Camera
from semdepth_ros.simulation.config import SimulationError, StreetConfig, default_camera

#: What lenses of each kind typically have.
_TYPICAL = {
    'plumb_bob': (-0.30, 0.10, 0.0005, -0.0005, -0.015),
    'rational_polynomial': (-0.25, 0.05, 0.0005, -0.0005, 0.01, 0.05, 0.02, 0.002),
    'equidistant': (-0.03, 0.01, -0.005, 0.001),
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    config = StreetConfig()
    parser = argparse.ArgumentParser(
        prog='semdepth simulate',
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add('--output', type=Path, required=True, metavar='BAG', help='new bag (a folder)')
    add('--seed', type=int, default=config.seed, help='chooses the street')
    add('--frames', type=int, default=config.frames, help='length of the drive')
    add('--size', default='640x192', metavar='WxH', help='of the image in pixels')
    add('--focal', type=float, metavar='PIXELS', help='focal length (default: 0.58 of the width)')
    add('--rate', type=float, default=config.rate, metavar='HZ', help='frames per second')
    add('--speed', type=float, metavar='M/S', help='mean speed while driving (default: by seed)')
    add(
        '--distortion',
        metavar='MODEL[:K1,K2,...]',
        help=f'lens distortion, one of {", ".join(DISTORTION_COEFFICIENTS)}, with coefficients or '
        'with typical ones; the truth is of the rectified image',
    )
    add('--storage', choices=('mcap', 'sqlite3'), default='mcap', help='format of the bag')
    add('--raw', action='store_true', help='uncompressed images instead of jpeg')
    add('--traffic', type=float, default=config.traffic, help='density of vehicles, 0 to 1')
    add(
        '--convoy',
        type=float,
        default=config.convoy,
        help="share of the way, 0 to 1, on which cars ahead keep exactly the camera's speed",
    )
    add('--convoy-cars', type=int, default=config.convoy_cars, help='how many cars drive so')
    add(
        '--queue',
        type=int,
        default=config.queue,
        help="how many vehicles stand in the camera's lane, a few metres before the drive's end",
    )
    add('--jam', action='store_true', help='all other vehicles stand, and none drives ahead')
    add('--standstill', type=float, default=config.standstill, help='share of the time, 0 to 0.8')
    add('--camera-height', type=float, metavar='M', help='above the road (default: by seed)')
    return parser


def main(argv: Sequence[str]) -> int:
    """Write the bag; return 0, or 130 after Ctrl-C, which leaves a shorter bag or none."""
    args = build_parser().parse_args(argv)
    config = StreetConfig(
        seed=args.seed,
        frames=args.frames,
        rate=args.rate,
        camera=_camera(args.size, args.focal, args.distortion),
        speed=args.speed,
        queue=args.queue,
        jam=args.jam,
        standstill=args.standstill,
        traffic=args.traffic,
        convoy=args.convoy,
        convoy_cars=args.convoy_cars,
        camera_height=args.camera_height,
    )
    # Late, so that --help and wrong arguments answer before rosbags is imported.
    from semdepth_ros.progress import track
    from semdepth_ros.simulation.bag import write_street_bag
    from semdepth_ros.simulation.drive import StreetDrive

    done = 0

    def counted() -> Iterator[int]:
        nonlocal done
        for index in track(range(config.frames), config.frames, 'simulate'):
            yield index
            done = index + 1

    try:
        write_street_bag(args.output, StreetDrive(config), counted(), args.storage, args.raw)
    except KeyboardInterrupt:
        kept = f'{done} frames are kept in {args.output}' if args.output.exists() else 'no bag'
        print(f'semdepth simulate: stopped: {kept}', file=sys.stderr)
        return 130
    print(f'semdepth simulate: {done} frames written to {args.output}', file=sys.stderr)
    return 0


def _camera(size: str, focal: float | None, distortion: str | None) -> Camera:
    match = re.fullmatch(r'(\d+)x(\d+)', size)
    if match is None:
        raise SimulationError(f'--size is {size!r}, expected WIDTHxHEIGHT such as 640x192')
    camera = default_camera(int(match[1]), int(match[2]), focal)
    if distortion is None:
        return camera
    model, _, numbers = distortion.partition(':')
    if model not in _TYPICAL:
        raise SimulationError(
            f'--distortion is {distortion!r}, expected one of {", ".join(_TYPICAL)}, '
            'with a colon and coefficients if wanted'
        )
    try:
        values = tuple(map(float, numbers.split(','))) if numbers else _TYPICAL[model]
    except ValueError:
        values = ()
    if len(values) not in DISTORTION_COEFFICIENTS[model][1:]:
        raise SimulationError(
            f'--distortion has coefficients {numbers!r}, expected '
            + ' or '.join(map(str, DISTORTION_COEFFICIENTS[model][1:]))
            + f' numbers for {model}'
        )
    return dataclasses.replace(camera, distortion_model=model, distortion=values)

"""`python -m semdepth_ros.demo`: what `make demo` runs once everything is installed."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from semdepth_ros.bags.drive import Drive
from semdepth_ros.demo.check import Recording, check_recording, depth_error
from semdepth_ros.demo.processes import DemoError, play_through_node
from semdepth_ros.demo.sheet import sheet
from semdepth_ros.errors import SemdepthError
from semdepth_ros.files import write_atomically
from semdepth_ros.inference.pictures import png_bytes
from semdepth_ros.simulation import StreetConfig, StreetDrive
from semdepth_ros.simulation.bag import write_street_bag
from semdepth_ros.weights import load_or_untrained

#: Moments of the drive that the sheet shows.
_MOMENTS = (0.1, 0.4, 0.65, 0.9)

#: Configuration in a checkout; an installed package finds it through ament instead.
_CONFIG = Path(__file__).resolve().parents[2] / 'config'


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; return 0 if everything that the node published is as it promises."""
    parser = argparse.ArgumentParser(prog='make demo', description=__doc__)
    parser.add_argument('--output', type=Path, default=Path('demo'), help='folder to write')
    parser.add_argument('--bag', type=Path, help='drive to play; default: a rendered street')
    parser.add_argument('--weights', type=Path, help='weights file; default: the shipped one')
    parser.add_argument(
        '--frames', type=int, default=200, help='of the rendered street, 10 a second'
    )
    args = parser.parse_args(argv)
    try:
        return _run(args.output, args.bag, args.weights, args.frames)
    except SemdepthError as error:
        print(f'demo: error: {error}', file=sys.stderr)
        return 2


def _run(output: Path, bag: Path | None, weights: Path | None, frames: int) -> int:
    recording_path, street = output / 'recording', output / 'street'
    for old in (recording_path, street):
        # Only what an earlier demo wrote: a bag, known by its metadata.
        if (old / 'metadata.yaml').exists():
            shutil.rmtree(old)
    if bag is None:
        print(f'rendering {frames} frames of a street')
        bag = street
        write_street_bag(bag, StreetDrive(StreetConfig(seed=7, frames=frames)))
    drive = Drive(bag)
    card = load_or_untrained(weights).card
    print(f'playing {bag} through depth_node in real time ({len(drive)} frames)')
    config = _CONFIG if _CONFIG.is_dir() else None
    play_through_node(drive, recording_path, output / 'log', weights, config)

    recording = Recording(recording_path)
    stamps = recording.stamps
    if not stamps:
        raise DemoError(f'no frame was published whole, see {output / "log" / "node.log"}')
    wrong = check_recording(drive, recording)
    index_of = {int(stamp): index for index, stamp in enumerate(drive.stamps)}
    moments = [stamps[int(moment * (len(stamps) - 1))] for moment in _MOMENTS]
    pictures = [(drive.image(index_of[s]), recording.frame(s)) for s in moments]
    write_atomically(output / 'sheet.png', png_bytes(sheet(pictures)))
    table = _table(drive, recording, card.trained)
    write_atomically(output / 'table.md', table.encode())
    print(f'\n{table}')
    print(f'wrote {output / "sheet.png"}, {output / "table.md"} and the bag {recording_path}')
    for sentence in wrong[:10]:
        print(f'WRONG: {sentence}', file=sys.stderr)
    return 1 if wrong else 0


def _table(drive: Drive, recording: Recording, trained: bool) -> str:
    values = recording.diagnostics()
    stamps = recording.depth_stamps
    seconds = max(1e-9, (stamps[-1] - stamps[0]) * 1e-9)
    lost = len(drive) - int(values['received'])
    rows = {
        'images played': str(len(drive)),
        'images received': f'{values["received"]} ({lost} lost in transport)',
        'frames published': values['published'],
        'frames replaced by a newer one': values['replaced'],
        'frames failed': values['failed'],
        'rate of depth images': f'{(len(stamps) - 1) / seconds:.1f} Hz',
        'age at publication, p50': f'{values.get("age p50 [ms]", "–")} ms',
        'age at publication, p99': f'{values.get("age p99 [ms]", "–")} ms',
        'scale': values.get('scale source', '–'),
    }
    error = depth_error(drive, recording, print)
    if error is not None:
        note = '' if trained else ' (untrained weights: it means nothing)'
        rows['Abs Rel to truth, as published'] = f'{error.unscaled:.3f}{note}'
        rows['Abs Rel to truth, median-scaled'] = f'{error.median_scaled:.3f}{note}'
    lines = ['| what | value |', '|---|---|']
    lines += [f'| {name} | {value} |' for name, value in rows.items()]
    if not trained:
        lines += ['', 'The weights are untrained: depth and labels mean nothing yet.']
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    sys.exit(main())

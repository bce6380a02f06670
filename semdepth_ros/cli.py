"""`semdepth`: one command for the offline side, from the recording to the weights.

Each subcommand is a module with `main(argv) -> int | None`, imported only when it is called, so
that `semdepth --help` answers at once.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from semdepth_ros import __version__
from semdepth_ros.errors import SemdepthError

#: name -> (module, what it does)
COMMANDS = {
    'infer': ('semdepth_ros.commands.infer', 'depth, labels and clouds of images, videos or a bag'),
    'bag': ('semdepth_training.commands.bag', 'inspect a bag: can it be trained on?'),
    'train': ('semdepth_training.commands.train', 'learn depth from bags, in two stages'),
    'evaluate': ('semdepth_training.commands.evaluate', 'measure depth against LiDAR or truth'),
    'distill': (
        'semdepth_training.commands.distill',
        'teach a small semantic network what larger ones see',
    ),
    'export': ('semdepth_ros.commands.export', 'write ONNX files and TensorRT engines'),
    'weights': ('semdepth_ros.commands.weights', 'show weights files, import PackNet checkpoints'),
    'simulate': (
        'semdepth_ros.commands.simulate',
        'render a street drive with exact depth',
    ),
    'benchmark': ('semdepth_ros.commands.benchmark', 'measure speed and memory against a baseline'),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return 0, 2 for a user's error, 130 after Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ('-h', '--help'):
        print(_help())
        return 0
    if argv[0] == '--version':
        print(f'semdepth {__version__}')
        return 0
    if argv[0] not in COMMANDS:
        print(f'semdepth: error: unknown command {argv[0]!r}\n\n{_help()}', file=sys.stderr)
        return 2
    try:
        return importlib.import_module(COMMANDS[argv[0]][0]).main(argv[1:]) or 0
    except SemdepthError as error:
        print(f'semdepth: error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('semdepth: stopped', file=sys.stderr)
        return 130


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f'  {name:<{width}}  {text}' for name, (_, text) in COMMANDS.items()]
    return '\n'.join(
        [
            'usage: semdepth COMMAND [ARGUMENTS]',
            '',
            'Metric depth and semantic labels from one camera, learned from your own rosbags.',
            '',
            *lines,
            '',
            '`semdepth COMMAND --help` describes a command.',
        ]
    )


if __name__ == '__main__':
    sys.exit(main())

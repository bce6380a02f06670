"""`python fuzz TARGET [--runs N] [--seconds S]`: hostile inputs, made by atheris from small files.

Ends with an error at the first crash, at an input that takes more than five seconds, or when the
process grows beyond one GiB over what it needs before the first input; the input is kept in
fuzz/findings/. `make fuzz` runs every target.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=['semdepth_ros']):
    from targets import TARGETS

import corpus

HANG_SECONDS = 5
MEMORY_MIB = 1024


def main() -> None:
    """Fuzz one target; atheris ends the process."""
    parser = argparse.ArgumentParser('fuzz', description=__doc__)
    parser.add_argument('target', choices=TARGETS)
    parser.add_argument('--runs', type=int, default=20_000, help='inputs')
    parser.add_argument('--seed', type=int, default=1, help='the same seed makes the same inputs')
    arguments = parser.parse_args()
    findings = Path(__file__).parent / 'findings'
    findings.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus.write(arguments.target, Path(folder))
        # What torch and the test files take is there before the first input.
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        options = [
            f'-runs={arguments.runs}',
            f'-seed={arguments.seed}',
            f'-timeout={HANG_SECONDS}',
            f'-rss_limit_mb={base + MEMORY_MIB}',
            '-max_len=65536',
            '-verbosity=0',
            '-print_final_stats=1',
            f'-artifact_prefix={findings}/{arguments.target}-',
            folder,
        ]
        atheris.Setup([sys.argv[0], *options], TARGETS[arguments.target])
        atheris.Fuzz()


if __name__ == '__main__':
    main()

"""The README tells the truth: its tables are the code's, and its commands run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from semdepth_ros import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / 'README.md').read_text()


def blocks():
    return re.findall(r'```bash\n(.*?)```', README, re.DOTALL)


def commands(*names):
    """Lines of the README that begin with one of these programs, comments and variables aside."""
    lines = [line.split('  #')[0].strip() for block in blocks() for line in block.splitlines()]
    return [line for line in lines if line.split(' ')[0] in names]


def semdepth(line, folder):
    arguments = shlex.split(line)[1:]
    environment = dict(os.environ, OMP_NUM_THREADS='2')
    return subprocess.run(
        [sys.executable, '-m', 'semdepth_ros.cli', *arguments],
        capture_output=True, text=True, cwd=folder, env=environment,
    )  # fmt: skip


def test_tables_are_those_of_the_code():
    from semdepth_ros.ros.tables import with_tables

    assert with_tables(README) == README, 'run: python -m semdepth_ros.ros.tables README.md'


def test_every_command_exists_and_every_option_is_known():
    lines = commands('semdepth')
    assert len(lines) >= 8
    for line in lines:
        words = shlex.split(line)
        assert words[1] in cli.COMMANDS, line
    for name in sorted({tuple(shlex.split(line)[1:3]) for line in lines}):
        command = [name[0]] if name[0] not in ('bag', 'weights') else list(name)
        text = semdepth(shlex.join(['semdepth', *command, '--help']), ROOT).stdout
        used = {w for ln in lines if shlex.split(ln)[1:3] == list(name) for w in ln.split()}
        for option in (word for word in used if word.startswith('--')):
            assert option in text, f'{name}: {option}'


def test_make_targets_exist():
    makefile = (ROOT / 'Makefile').read_text()
    for line in commands('make'):
        assert re.search(rf'^{line.split()[1]}:', makefile, re.MULTILINE), line


@pytest.fixture(scope='module')
def offline(tmp_path_factory):
    """A folder in which the README's first offline commands were run, in order."""
    folder = tmp_path_factory.mktemp('readme')
    ran = [line for line in commands('semdepth') if re.match(r'semdepth (simulate|infer) ', line)]
    for line in ran:
        result = semdepth(line, folder)
        assert result.returncode == 0, f'{line}\n{result.stderr}'
    return folder, ran


def test_the_offline_commands_of_the_readme_run(offline):
    folder, ran = offline
    assert len(ran) == 3
    assert len(list((folder / 'pictures/picture').iterdir())) == 20
    assert (folder / 'street_depth.bag/metadata.yaml').exists()


def test_links_and_pictures_exist():
    for target in re.findall(r'\]\(([^)#]+)\)', README):
        assert (ROOT / target).exists(), target

"""`semdepth`: answers at once, and turns errors into one line."""

import subprocess
import sys

import pytest

from semdepth_ros import cli
from semdepth_ros.errors import SemdepthError


def run(*arguments):
    return subprocess.run(
        [sys.executable, '-m', 'semdepth_ros.cli', *arguments], capture_output=True, text=True
    )


def test_help_lists_every_command_and_imports_nothing_heavy():
    code = (
        'import sys; from semdepth_ros.cli import main; main(["--help"]);'
        'heavy = {"torch", "cv2", "numpy", "rclpy", "lightning", "rosbags"} & set(sys.modules);'
        'sys.exit(f"imported {heavy}" if heavy else 0)'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for name in cli.COMMANDS:
        assert f'  {name} ' in result.stdout


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_every_command_describes_itself(name):
    result = run(name, '--help')
    assert result.returncode == 0, result.stderr
    assert 'usage:' in result.stdout


def test_an_unknown_command_is_one_error_and_the_help():
    result = run('deepth')
    assert result.returncode == 2
    assert "unknown command 'deepth'" in result.stderr


def test_a_users_error_is_one_line_without_traceback(monkeypatch, capsys):
    def fail(argv):
        raise SemdepthError('weights file x.bin is no safetensors file')

    module = type(sys)('failing')
    module.main = fail
    monkeypatch.setitem(sys.modules, 'failing', module)
    monkeypatch.setitem(cli.COMMANDS, 'fail', ('failing', ''))
    assert cli.main(['fail']) == 2
    assert capsys.readouterr().err == (
        'semdepth: error: weights file x.bin is no safetensors file\n'
    )


def test_a_real_error_reaches_the_user_as_one_line(tmp_path):
    result = run('infer', str(tmp_path / 'missing.png'), '--output', str(tmp_path / 'out'))
    assert result.returncode == 2
    assert result.stderr.count('\n') == 1
    assert 'missing.png does not exist' in result.stderr

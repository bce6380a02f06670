"""`semdepth export`: what cannot be is refused before minutes of work."""

import pytest

from semdepth_ros.cli import main


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--output', 'x.pt'], r'x.pt, expected a name ending in .onnx or .engine'),
        (['--output', 'x.onnx', '--precision', 'int8'], 'expected --calibrate BAG for int8'),
        (['--output', 'x.onnx', '--calibrate', 'bag'], 'expected --calibrate BAG for int8'),
        (['--output', 'x.onnx', '--size', '640'], 'expected WIDTHxHEIGHT'),
        (['--output', 'x.onnx', '--size', '100x64'], '100x64, expected multiples of 32'),
        (['--output', 'x.onnx', '--batch', '0'], 'batch is 0'),
        (['--output', 'x.onnx', '--weights', 'absent.safetensors'], 'absent.safetensors'),
    ],
)
def test_wrong_arguments_end_with_one_sentence(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['export', *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith('semdepth: error: ')
    assert list(tmp_path.iterdir()) == []


def test_an_engine_file_without_tensorrt_or_gpu_is_refused_at_once(capsys, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    assert main(['export', '--output', str(tmp_path / 'x.engine')]) == 2
    error = capsys.readouterr().err
    assert 'tensorrt is not installed' in error or 'finds no CUDA device' in error

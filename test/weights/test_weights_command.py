"""`semdepth weights`, as users call it."""

from __future__ import annotations

import json

import pytest
import torch

from semdepth_ros import cli
from semdepth_ros.networks.depth import build_depth_network
from semdepth_ros.networks.pose import PoseNet
from semdepth_ros.networks.semantic.espnetv2 import EspNetV2
from semdepth_ros.weights import load


@pytest.fixture(scope='module')
def espnetv2(tmp_path_factory):
    torch.manual_seed(7)
    path = tmp_path_factory.mktemp('semantic') / 'espnetv2.pth'
    torch.save(EspNetV2(1.0).state_dict(), path)
    return path


@pytest.fixture(scope='module')
def assembled(espnetv2, tmp_path_factory):
    path = tmp_path_factory.mktemp('assembled') / 'model.safetensors'
    networks = [
        '--depth',
        'resnet18',
        '--semantic',
        'espnetv2',
        '--semantic-weights',
        str(espnetv2),
    ]
    arguments = ['weights', 'assemble', *networks, '--size', '128x64', '--output', str(path)]
    assert cli.main(arguments) == 0
    return path


def test_assemble_keeps_the_semantic_weights_and_says_that_depth_is_untrained(assembled, espnetv2):
    loaded = load(assembled)
    assert not loaded.card.trained and loaded.card.scale == 'up_to_scale'
    assert (loaded.card.width, loaded.card.height) == (128, 64)
    assert loaded.card.model.semantic_options == {'scale': 1.0}
    assert loaded.card.provenance['semantic'] == 'espnetv2 espnetv2.pth'
    assert str(espnetv2.parent) not in loaded.card.to_json()
    for name, value in torch.load(espnetv2, weights_only=True).items():
        assert torch.equal(loaded.model.semantic.state_dict()[name], value), name


def test_show_prints_what_a_user_asks(assembled, capsys):
    assert cli.main(['weights', 'show', str(assembled)]) == 0
    shown = capsys.readouterr().out
    for text in ('resnet18', 'espnetv2', 'scale=1.0', '128x64', '234,010', 'depth means nothing'):
        assert text in shown
    assert cli.main(['weights', 'show', '--json', str(assembled)]) == 0
    assert json.loads(capsys.readouterr().out)['model']['depth'] == 'resnet18'


def test_annotate_keeps_the_weights_and_adds_to_the_card(assembled, tmp_path):
    path = tmp_path / 'noted.safetensors'
    command = ['weights', 'annotate', str(assembled), '--output', str(path), '--half']
    command += ['--licence', 'mine alone', '--note', 'commit=abc=1', '--metric', 'abs_rel=0.125']
    assert cli.main(command) == 0
    before, after = load(assembled), load(path)
    assert after.card.licence == 'mine alone'
    assert after.card.provenance == {**before.card.provenance, 'commit': 'abc=1'}
    assert after.card.metrics == {'abs_rel': 0.125}
    assert after.card.model == before.card.model
    assert path.stat().st_size < 0.6 * assembled.stat().st_size
    for name, value in before.model.state_dict().items():
        assert torch.allclose(after.model.state_dict()[name], value, rtol=1e-3, atol=1e-6), name


def test_annotate_keeps_a_file_in_half_precision_as_small_as_it_is(assembled, tmp_path):
    first, second = tmp_path / 'first.safetensors', tmp_path / 'second.safetensors'
    command = ['weights', 'annotate', '--note', 'commit=abc']
    assert cli.main([*command, str(assembled), '--output', str(first), '--half']) == 0
    assert cli.main([*command, str(first), '--output', str(second)]) == 0
    assert second.read_bytes() == first.read_bytes()


@pytest.mark.parametrize(
    ('option', 'said'),
    [
        (['--note', 'commit'], "--note is 'commit', expected NAME=VALUE"),
        (['--metric', 'abs_rel=low'], "--metric abs_rel is 'low', expected a number"),
        (['--metric', 'abs_rel=nan'], 'abs_rel'),
    ],
)
def test_annotate_refuses_what_is_no_note_or_figure(option, said, assembled, tmp_path, capsys):
    path = tmp_path / 'noted.safetensors'
    command = ['weights', 'annotate', str(assembled), '--output', str(path), *option]
    assert cli.main(command) == 2
    error = capsys.readouterr().err
    assert said in error and error.count('\n') == 1
    assert not path.exists()


def test_an_official_checkpoint_is_imported_and_can_be_guided(tmp_path, espnetv2, capsys):
    with torch.device('meta'):
        depth, pose = build_depth_network('packnet_slim'), PoseNet()
    state = {}
    for prefix, network in (('model.depth_net.', depth), ('model.pose_net.', pose)):
        for number, (name, tensor) in enumerate(network.state_dict().items()):
            # A power of two is the same in float16.
            state[prefix + name] = torch.tensor(2.0 ** -(number % 10)).expand(tensor.shape)
    checkpoint, output = tmp_path / 'PackNet01_slim.ckpt', tmp_path / 'packnet.safetensors'
    torch.save({'state_dict': state}, checkpoint)
    guide = ['--guided-by', 'espnetv2', '--semantic-weights', str(espnetv2)]
    files = [str(checkpoint), '--output', str(output)]
    code = cli.main(['weights', 'import', *files, '--half', '--metric', *guide])
    count = sum(tensor.numel() for tensor in depth.state_dict().values())
    assert code == 0 and f'packnet_slim, {count:,}' in capsys.readouterr().out
    loaded = load(output)
    assert loaded.card.trained and loaded.card.scale == 'metric' and loaded.card.has_pose
    assert 'PackNet01_slim.ckpt' in loaded.card.provenance['origin']
    assert str(tmp_path) not in loaded.card.to_json()
    for prefix, network in (
        ('model.depth_net.', loaded.model.depth),
        ('model.pose_net.', loaded.pose),
    ):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, state[prefix + name]), name
    assert loaded.model.guidance is not None


@pytest.mark.parametrize(
    'arguments',
    [
        ['show', 'absent.safetensors'],
        ['import', 'absent.ckpt', '--output', 'a.safetensors'],
        ['assemble', '--depth', 'vgg', '--output', 'a.safetensors'],
        ['assemble', '--depth', 'resnet18', '--semantic', 'vgg', '--output', 'a.safetensors'],
        ['assemble', '--depth', 'resnet18', '--size', '640', '--output', 'a.safetensors'],
        ['assemble', '--depth', 'resnet18', '--size', '641x192', '--output', 'a.safetensors'],
        ['assemble', '--depth', 'resnet18', '--focal-length', '0', '--output', 'a.safetensors'],
        ['assemble', '--depth', 'resnet18', '--output', 'a.onnx'],
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(['weights', *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith('semdepth: error: ') and error.count('\n') == 1
    assert not list(tmp_path.iterdir())

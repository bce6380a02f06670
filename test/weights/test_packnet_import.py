"""Official PackNet-SfM checkpoints, with the configuration object that they pickle."""

from __future__ import annotations

import json
import os
import sys
import types
import zipfile
import zlib

import pytest
import torch

from semdepth_ros.networks.depth import build_depth_network
from semdepth_ros.networks.pose import PoseNet
from semdepth_ros.weights import WeightsError
from semdepth_ros.weights.packnet_import import fill, pose_network, read_packnet_checkpoint


def value_of(name: str) -> float:
    """Return a number that belongs to a tensor's name alone."""
    return zlib.crc32(name.encode()) / 2**32


def tensors_of(network: torch.nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    """Return constant tensors of a network's names and shapes, which take no room in a file."""
    return {
        prefix + name: torch.tensor(value_of(prefix + name)).expand(tensor.shape)
        for name, tensor in network.state_dict().items()
    }


def official_state(name: str = 'packnet') -> dict[str, torch.Tensor]:
    with torch.device('meta'):
        depth, pose = build_depth_network(name), PoseNet()
    return tensors_of(depth, 'model.depth_net.') | tensors_of(pose, 'model.pose_net.')


@pytest.fixture
def yacs_config(monkeypatch):
    """Give a configuration object that pickles as those of the official release do."""
    module = types.ModuleType('yacs.config')

    class CfgNode(dict):
        pass

    CfgNode.__module__, CfgNode.__qualname__ = 'yacs.config', 'CfgNode'
    module.CfgNode = CfgNode
    monkeypatch.setitem(sys.modules, 'yacs', types.ModuleType('yacs'))
    monkeypatch.setitem(sys.modules, 'yacs.config', module)
    node = CfgNode(name='PackNet01', model=CfgNode(depth_net=CfgNode(version='1A', dropout=0.0)))
    node.__dict__['__immutable__'] = True
    return node


def official_checkpoint(path, config, state=None):
    """Write a checkpoint as the official trainer does."""
    torch.save(
        {'config': config, 'epoch': 3, 'state_dict': state or official_state(), 'optimizer': {}},
        path,
    )
    return path


@pytest.fixture
def checkpoint(tmp_path, yacs_config, monkeypatch):
    path = official_checkpoint(tmp_path / 'official.ckpt', yacs_config)
    monkeypatch.delitem(sys.modules, 'yacs.config')
    return path


def test_a_checkpoint_with_a_pickled_configuration_is_read(checkpoint):
    variant, depth, pose = read_packnet_checkpoint(checkpoint)
    assert variant == 'packnet'
    assert sum(tensor.numel() for tensor in depth.values()) == 128_294_020
    assert sum(tensor.numel() for tensor in pose.values()) == 1_592_684
    for name, tensor in depth.items():
        assert tensor.flatten()[0] == pytest.approx(value_of('model.depth_net.' + name))


def test_the_names_and_shapes_are_those_of_the_official_release(shared_data, checkpoint):
    shapes = json.loads(shared_data('weights/packnet_reference_shapes.json').read_text())
    _, depth, pose = read_packnet_checkpoint(checkpoint)
    assert {name: list(tensor.shape) for name, tensor in depth.items()} == shapes['packnet_1A']
    assert {name: list(tensor.shape) for name, tensor in pose.items()} == shapes['posenet']


def test_the_slim_variant_is_recognised_and_pose_may_be_absent(tmp_path, yacs_config):
    state = official_state('packnet_slim')
    state = {name: value for name, value in state.items() if 'pose_net' not in name}
    path = official_checkpoint(tmp_path / 'slim.ckpt', yacs_config, state)
    variant, _, pose = read_packnet_checkpoint(path)
    assert variant == 'packnet_slim' and pose is None


def test_the_stand_in_is_allowed_only_while_reading(checkpoint):
    # Without order: torch keeps them in a set.
    before = set(torch.serialization.get_safe_globals())
    read_packnet_checkpoint(checkpoint)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(Exception, match='yacs'):
        torch.load(checkpoint, weights_only=True)


def test_the_pose_network_gets_its_numbers(checkpoint):
    _, _, pose = read_packnet_checkpoint(checkpoint)
    network = pose_network(pose, 'official.ckpt')
    for name, tensor in network.state_dict().items():
        assert (tensor == tensor.new_tensor(value_of('model.pose_net.' + name))).all(), name


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda s: s.pop('conv7.1.bias'), 'lacks tensor conv7.1.bias'),
        (lambda s: s.update(more=torch.zeros(1)), 'has the unknown tensor more'),
        (lambda s: s.update({'conv7.1.bias': torch.zeros(7)}), 'shape (7,), expected (256,)'),
        (lambda s: s.update({'conv7.1.bias': torch.full((256,), torch.nan)}), 'holds NaN'),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(checkpoint, change, message):
    _, _, pose = read_packnet_checkpoint(checkpoint)
    change(pose)
    with pytest.raises(WeightsError) as caught:
        fill(PoseNet(), pose, 'official.ckpt')
    assert message in str(caught.value) and 'official.ckpt' in str(caught.value)


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_malicious_pickle_is_refused_in_one_line_and_not_run(tmp_path, yacs_config):
    mark = tmp_path / 'it-ran'
    command = f'touch {mark}'
    yacs_config['hidden'] = Malicious(command)
    for number, content in enumerate((Malicious(command), yacs_config)):
        path = official_checkpoint(tmp_path / f'{number}.ckpt', content)
        with pytest.raises(WeightsError) as caught:
            read_packnet_checkpoint(path)
        assert 'refused' in str(caught.value) and '\n' not in str(caught.value)
    assert not mark.exists()


def test_what_is_no_packnet_checkpoint_is_refused_in_one_line(tmp_path):
    torch.save({'state_dict': {'model.depth_net.encoder.weight': torch.zeros(3)}}, tmp_path / 'a')
    torch.save([1, 2], tmp_path / 'b')
    torch.save({'state_dict': 3}, tmp_path / 'c')
    (tmp_path / 'd').write_bytes(b'no checkpoint')
    (tmp_path / 'e').write_bytes((tmp_path / 'a').read_bytes()[:400])
    with zipfile.ZipFile(tmp_path / 'f', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/data.pkl', b'\0' * 10_000_000)
    for path in [*sorted(tmp_path.iterdir()), tmp_path / 'absent', tmp_path]:
        with pytest.raises(WeightsError) as caught:
            read_packnet_checkpoint(path)
        assert path.name in str(caught.value) and '\n' not in str(caught.value)

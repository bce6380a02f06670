"""Weights, cards, configurations and bags written by somebody who means harm."""

import json
import pickle
import struct

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.reader import Bag
from semdepth_ros.errors import SemdepthError
from semdepth_ros.networks.model import GuidanceConfig, ModelConfig
from semdepth_ros.weights import WeightsCard, WeightsError, load, read_card
from semdepth_training import checkpoints
from semdepth_training.checkpoints import CheckpointError
from semdepth_training.config import TrainConfig, parse

MANY = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CARD = WeightsCard(
    ModelConfig('resnet18', {}, 'espnetv2', {'scale': 0.5}, GuidanceConfig(channels=4)),
    96,
    64,
    scale='metric',
    focal_length=50.0,
    trained=False,
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30)),
    lambda children: st.one_of(
        st.lists(children, max_size=4), st.dictionaries(st.text(max_size=10), children, max_size=4)
    ),
    max_leaves=12,
)


@MANY
@given(content=JSON, keys=st.lists(st.sampled_from(list(json.loads(CARD.to_json()))), max_size=3))
def test_any_json_is_a_card_or_one_sentence(content, keys):
    """Guard: `WeightsCard.from_json` and `__post_init__` (weights/card.py)."""
    card = json.loads(CARD.to_json())
    for key in keys:
        card[key] = content
    for text in (json.dumps(card), json.dumps(content)):
        try:
            found = WeightsCard.from_json(text)
        except SemdepthError as error:
            assert '\n' not in str(error)
        else:
            assert WeightsCard.from_json(found.to_json()) == found


@pytest.mark.parametrize('path', ['/etc/passwd', '../../secret.pth', '~/.ssh/id_rsa', 'file:///x'])
@pytest.mark.parametrize('key', ['depth', 'semantic'])
def test_a_card_with_a_path_outside_is_refused_and_the_path_not_opened(tmp_path, path, key):
    """Guard: `ModelConfig` (networks/model_config.py) knows networks by name alone; nothing of a
    card reaches `open`."""
    content = json.loads(CARD.to_json())
    content['model'][key] = path
    target = write_safetensors(tmp_path / 'evil.safetensors', {'semdepth_card': content})
    with pytest.raises(SemdepthError) as caught:
        load(target)
    assert '\n' not in str(caught.value)
    assert 'root:' not in str(caught.value)


def test_options_of_a_network_cannot_name_a_file(tmp_path):
    """Guard: `check_keys` (networks/model_config.py), which refuses options that no network has."""
    for key, options in {
        'depth_options': {'weights': '/etc/passwd'},
        'semantic_options': {'checkpoint': '/etc/passwd'},
    }.items():
        content = json.loads(CARD.to_json())
        content['model'][key] = options
        target = write_safetensors(tmp_path / 'evil.safetensors', {'semdepth_card': content})
        with pytest.raises(WeightsError):
            load(target)


def write_safetensors(path, metadata, tensors=None):
    header = {'__metadata__': {k: json.dumps(v) for k, v in metadata.items()}, **(tensors or {})}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack('<Q', len(text)) + text)
    return path


@pytest.mark.parametrize(
    'tensors',
    [
        {'depth.x': {'dtype': 'F32', 'shape': [2**40, 2**20], 'data_offsets': [0, 2**62]}},
        {'depth.x': {'dtype': 'F32', 'shape': [-1], 'data_offsets': [0, 4]}},
        {'depth.x': {'dtype': 'F32', 'shape': [1], 'data_offsets': [2**63, 4]}},
    ],
)
def test_a_weights_file_that_lies_about_its_lengths_is_refused(tmp_path, tensors):
    """Guard: `_check_shapes` (weights/files.py) before anything is allocated."""
    content = json.loads(CARD.to_json())
    target = write_safetensors(tmp_path / 'evil.safetensors', {'semdepth_card': content}, tensors)
    with pytest.raises(WeightsError):
        load(target)
    assert read_card(target) == CARD


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def test_a_checkpoint_with_a_pickle_inside_is_refused_and_not_run(tmp_path):
    """Guard: `weights_only=True` in `_read` (training/checkpoints.py)."""
    import torch

    harm = tmp_path / 'harm'
    for name, write in {
        'plain.ckpt': lambda path: path.write_bytes(pickle.dumps(Bomb(harm))),
        'torch.ckpt': lambda path: torch.save({'objective': Bomb(harm)}, path),
    }.items():
        write(tmp_path / name)
        with pytest.raises(CheckpointError, match='cannot be read'):
            checkpoints.load_networks(tmp_path / name, torch.nn.Linear(1, 1))
        assert not harm.exists()


def test_a_pickle_called_weights_is_refused_and_not_run(tmp_path):
    """Guard: `_read_header` (weights/files.py), which reads JSON and nothing else."""
    harm = tmp_path / 'harm'
    path = tmp_path / 'model.safetensors'
    path.write_bytes(pickle.dumps(Bomb(harm)))
    with pytest.raises(WeightsError, match='is no safetensors file'):
        load(path)
    assert not harm.exists()


def test_a_configuration_cannot_make_objects(tmp_path):
    """Guard: `yaml.safe_load` in `_read_yaml` (training/config.py)."""
    harm = tmp_path / 'harm'
    path = tmp_path / 'evil.yaml'
    path.write_text(f'seed: !!python/object/apply:builtins.open [{harm}, w]\n')
    with pytest.raises(SemdepthError):
        parse(['--config', str(path), '--bags', 'a', '--output', 'b'])
    assert not harm.exists()


def test_metadata_of_a_bag_cannot_make_objects(tmp_path):
    """Guard: `yaml.safe_load` in `Bag._metadata` (bags/reader.py)."""
    harm = tmp_path / 'harm'
    folder = tmp_path / 'bag'
    folder.mkdir()
    text = f'rosbag2_bagfile_information: !!python/object/apply:builtins.open [{harm}, w]\n'
    (folder / 'metadata.yaml').write_text(text)
    with pytest.raises(BagError, match='is no bag'):
        Bag(folder)
    assert not harm.exists()


CONFIG_KEYS = ['seed', 'data', 'data.width', 'model', 'model.depth', 'loss', 'loss.velocity',
               'optimizer.epochs', 'optimizer.batch', 'stage_two.start', 'data.cache.use',
               'camera_height', 'nonsense', 'model.guidance']  # fmt: skip


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.dictionaries(st.sampled_from(CONFIG_KEYS), JSON, max_size=3))
def test_any_configuration_is_one_that_is_valid_or_one_sentence(tmp_path, values):
    """Guard: `parse` (training/config.py) and the `__post_init__` of every configuration."""
    content = {}
    for key, value in values.items():
        at = content
        *parents, last = key.split('.')
        for parent in parents:
            if not isinstance(at.get(parent), dict):
                at[parent] = {}
            at = at[parent]
        at[last] = value
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    try:
        config, _ = parse(['--config', str(path), '--bags', 'a', '--output', 'b'])
    except SemdepthError as error:
        assert '\n' not in str(error)
        return
    assert isinstance(config, TrainConfig)


@MANY
@given(text=st.one_of(st.text(max_size=200), JSON.map(yaml.safe_dump)))
def test_any_metadata_leaves_a_readable_bag(tmp_path, street_bag, text):
    """Guard: `Bag._metadata` (bags/reader.py)."""
    folder = tmp_path / 'bag'
    folder.mkdir(exist_ok=True)
    for file in street_bag.glob('*.mcap'):
        if not (folder / file.name).exists():
            (folder / file.name).symlink_to(file)
    (folder / 'metadata.yaml').write_bytes(text.encode('utf-8', 'surrogatepass'))
    try:
        bag = Bag(folder)
    except BagError as error:
        assert '\n' not in str(error)
        return
    assert sum(topic.count for topic in bag.topics.values()) > 0


@given(name=st.text())
def test_an_error_is_one_printable_line_whatever_it_quotes(name):
    """Guard: `SemdepthError.__str__` (errors.py): terminals obey what a topic's name may hold."""
    assert str(BagError(f'bag has no topic {name}')).isprintable()


def test_an_error_keeps_the_letters_of_every_language():
    assert str(BagError('bag straße/\u30ab\u30e1\u30e9\x1b[2J')) == 'bag straße/カメラ\\x1b[2J'

"""Weights files: what is written comes back, and what does not fit is named."""

from __future__ import annotations

import dataclasses
import json
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from semdepth_ros.errors import SemdepthError
from semdepth_ros.networks.model import GuidanceConfig, ModelConfig, build_model
from semdepth_ros.networks.pose import PoseNet
from semdepth_ros.weights import WeightsCard, WeightsError, load, read_card, save
from semdepth_ros.weights.files import CARD_KEY

CONFIG = ModelConfig('resnet18', {}, 'espnetv2', {'scale': 0.5}, GuidanceConfig(channels=4))
CARD = WeightsCard(
    model=CONFIG, width=96, height=64, scale='metric', focal_length=50.0, trained=False
)


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return build_model(CONFIG).eval()


@pytest.fixture(scope='module')
def file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'model.safetensors'
    save(path, model, CARD)
    return path


def rewritten(file, target, change) -> object:
    """Write a changed copy of a file; `change` alters its tensors and metadata in place."""
    tensors = load_file(file)
    with safe_open(file, framework='pt') as opened:
        metadata = dict(opened.metadata())
    change(tensors, metadata)
    save_file(tensors, target, metadata)
    return target


def test_what_is_saved_comes_back(model, file):
    loaded = load(file)
    assert loaded.card == CARD == read_card(file)
    assert loaded.pose is None and loaded.path == file
    assert not loaded.model.training
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        for found, expected in zip(loaded.model(image).inv_depths, model(image).inv_depths):
            assert torch.equal(found, expected)


def test_the_pose_network_travels_with_it(model, tmp_path):
    torch.manual_seed(1)
    pose = PoseNet()
    save(tmp_path / 'a.safetensors', model, CARD, pose)
    loaded = load(tmp_path / 'a.safetensors')
    assert loaded.card == dataclasses.replace(CARD, has_pose=True)
    for name, value in pose.state_dict().items():
        assert torch.equal(loaded.pose.state_dict()[name], value)


def test_half_precision_halves_the_file_and_loads_as_float32(model, file, tmp_path):
    path = tmp_path / 'half.safetensors'
    save(path, model, CARD, half=True)
    assert path.stat().st_size < 0.55 * file.stat().st_size
    state = load(path).model.state_dict()
    for name, value in model.state_dict().items():
        assert state[name].dtype == value.dtype
        expected = value.half().float() if value.ndim > 1 else value
        assert torch.equal(state[name], expected), name


def test_loading_leaves_the_random_numbers_alone(file):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load(file)
    assert torch.equal(torch.rand(3), expected)


def drop(tensors, metadata):
    del tensors['depth.' + first_depth(tensors)]


def first_depth(tensors):
    return min(name for name in tensors if name.startswith('depth.')).removeprefix('depth.')


def add(tensors, metadata):
    tensors['more'] = torch.zeros(2)


def reshape(tensors, metadata):
    tensors['semantic.bu_br_l2.0.bias'] = torch.zeros(3)


def poison(tensors, metadata):
    tensors['semantic.bu_br_l2.0.bias'][5] = torch.nan


def overflow(tensors, metadata):
    tensors['semantic.bu_br_l2.0.bias'][5] = torch.inf


def integers(tensors, metadata):
    tensors['semantic.bu_br_l2.0.bias'] = torch.zeros(64, dtype=torch.int64)


def doubles(tensors, metadata):
    tensors['semantic.bu_br_l2.0.bias'] = torch.zeros(64, dtype=torch.float64)


def no_card(tensors, metadata):
    del metadata[CARD_KEY]


def edit_card(**values):
    def change(tensors, metadata):
        metadata[CARD_KEY] = json.dumps(json.loads(metadata[CARD_KEY]) | values)

    return change


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (drop, 'is missing'),
        (add, 'tensor more does not belong'),
        (reshape, 'semantic.bu_br_l2.0.bias has shape (3,), expected (64,)'),
        (poison, 'semantic.bu_br_l2.0.bias holds NaN or infinity'),
        (overflow, 'semantic.bu_br_l2.0.bias holds NaN or infinity'),
        (integers, 'semantic.bu_br_l2.0.bias is torch.int64'),
        (doubles, 'is no safetensors file that this package writes'),
        (no_card, 'has no card'),
        (edit_card(format_version=7), 'format_version is 7, expected 1'),
        (edit_card(has_pose=True), 'tensor pose.conv1.0.weight is missing'),
        (edit_card(model={'depth': 'resnet18'}), 'does not belong to the model of its card'),
        (
            edit_card(model=dataclasses.replace(CONFIG, semantic_options={'scale': 1.0}).to_json()),
            'has shape',
        ),
        (edit_card(model={'depth': 'resnet18', 'depth_options': {'sides': 3}}), 'sides'),
        (
            edit_card(
                model={
                    'depth': 'resnet18',
                    'semantic': 'transformers',
                    'semantic_options': {'path': '/etc/passwd'},
                }
            ),
            'path',
        ),
        (
            edit_card(
                model={
                    'depth': 'resnet18',
                    'semantic': 'transformers',
                    'semantic_options': {
                        'config': {'model_type': 'upernet', 'backbone': 'somebody/resnet'}
                    },
                }
            ),
            'would open backbone',
        ),
    ],
)
def test_what_does_not_fit_is_named_in_one_sentence(file, tmp_path, change, message):
    path = rewritten(file, tmp_path / 'bad.safetensors', change)
    with pytest.raises(SemdepthError) as caught:
        load(path)
    text = str(caught.value)
    assert message in text and 'bad.safetensors' in text and '\n' not in text


def test_files_that_are_no_safetensors_are_refused(file, tmp_path):
    header = json.dumps({'a': {'dtype': 'F32', 'shape': [2**40], 'data_offsets': [0, 4]}}).encode()
    whole = file.read_bytes()
    contents = {
        'empty': b'',
        'text': b'these are no weights at all',
        'pickle': b'\x80\x04\x95\x0e\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94',
        'huge header': struct.pack('<Q', 2**60) + b'{}',
        'lying shape': struct.pack('<Q', len(header)) + header + b'\0' * 4,
        'cut': whole[: len(whole) // 2],
        'cut in the header': whole[:1000],
    }
    for name, content in contents.items():
        path = tmp_path / f'{name}.safetensors'
        path.write_bytes(content)
        with pytest.raises(WeightsError) as caught:
            load(path)
        assert name in str(caught.value) and '\n' not in str(caught.value)
    with pytest.raises(WeightsError, match='No such file'):
        load(tmp_path / 'absent.safetensors')
    with pytest.raises(WeightsError, match='cannot be read'):
        load(tmp_path)


@settings(max_examples=25, deadline=None)
@given(position=st.integers(0, 4000), value=st.integers(0, 255))
def test_a_damaged_header_is_refused_or_harmless(file, tmp_path_factory, position, value):
    content = bytearray(file.read_bytes())
    content[position] = value
    path = tmp_path_factory.getbasetemp() / 'damaged.safetensors'
    path.write_bytes(content)
    try:
        load(path)
    except SemdepthError as error:
        assert '\n' not in str(error)


def test_a_model_that_does_not_fit_its_card_is_not_saved(model, tmp_path):
    path = tmp_path / 'a.safetensors'
    other = dataclasses.replace(CARD, model=ModelConfig('resnet18'))
    with pytest.raises(WeightsError, match='does not belong to the model of its card'):
        save(path, model, other)
    bias = model.semantic.bu_br_l2[0].bias
    kept = bias[0].item()
    bias.data[0] = torch.nan
    try:
        with pytest.raises(WeightsError, match='NaN'):
            save(path, model, CARD)
    finally:
        bias.data[0] = kept
    with pytest.raises(WeightsError, match=r'ends in \.safetensors'):
        save(tmp_path / 'a.pth', model, CARD)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_leaves_the_old_one(model, file, monkeypatch):
    before = file.read_bytes()

    def full_disk(tensors, path, metadata):
        path.write_bytes(b'half of it')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('semdepth_ros.weights.files.save_file', full_disk)
    with pytest.raises(WeightsError, match='No space left'):
        save(file, model, CARD)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_an_embedded_transformers_network_needs_no_path(tmp_path):
    transformers = pytest.importorskip('transformers')
    from semdepth_ros.weights.assemble import assemble_model

    config = transformers.SegformerConfig(
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 1, 1],
        decoder_hidden_size=16,
        id2label={0: 'road', 1: 'car', 2: 'sky'},
    )
    folder = tmp_path / 'segformer'
    transformers.AutoModelForSemanticSegmentation.from_config(config).save_pretrained(folder)
    model, description = assemble_model(
        'resnet18', semantic='transformers', semantic_source=folder, guidance=GuidanceConfig()
    )
    path = tmp_path / 'model.safetensors'
    save(path, model, dataclasses.replace(CARD, model=description))
    for entry in folder.iterdir():
        entry.unlink()
    loaded = load(path)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.model(image).logits, model(image).logits)

"""Any transformers segmentation network behind this package's contract."""

from __future__ import annotations

import json

import pytest
import torch

from semdepth_ros.classes import CLASS_NAMES
from semdepth_ros.networks.semantic.build import build_semantic_network, load_semantic_network
from semdepth_ros.networks.semantic.label_mapping import ABSENT, LabelMapping
from semdepth_ros.networks.semantic.output import SemanticError
from semdepth_ros.networks.semantic.transformers_network import check_embedded_config

transformers = pytest.importorskip('transformers')

STRIDES = {
    'segformer': {4, 8, 16, 32},
    'mobilenet_v2': {4, 8, 16},
    'upernet': {4, 8, 16, 32},
    'beit': {16},
}


def tiny_configs(names=CLASS_NAMES) -> dict:
    """Return configurations of a few thousand parameters, by architecture."""
    labels = {
        'id2label': dict(enumerate(names)),
        'label2id': {name: index for index, name in enumerate(names)},
    }
    small = {'hidden_sizes': [8, 16, 24, 32], 'depths': [1, 1, 1, 1]}
    return {
        'segformer': transformers.SegformerConfig(
            **small, num_attention_heads=[1, 1, 1, 1], decoder_hidden_size=16, **labels
        ),
        'mobilenet_v2': transformers.MobileNetV2Config(
            depth_multiplier=0.25,
            min_depth=8,
            output_stride=16,
            finegrained_output=False,
            **labels,
        ),
        'upernet': transformers.UperNetConfig(
            backbone_config=transformers.ConvNextConfig(
                **small, out_features=['stage1', 'stage2', 'stage3', 'stage4']
            ),
            hidden_size=16,
            auxiliary_channels=8,
            pool_scales=[1, 2],
            **labels,
        ),
        'beit': transformers.BeitConfig(
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=[64, 128],
            patch_size=16,
            out_indices=[1, 2, 3, 4],
            **labels,
        ),
    }


@pytest.mark.parametrize('name', STRIDES)
def test_hidden_states_become_features_by_stride(name):
    config = json.loads(json.dumps(tiny_configs()[name].to_dict()))
    network = build_semantic_network('transformers', config=config).eval()
    with torch.no_grad():
        logits, features = network(torch.rand(2, 3, 64, 128))
    assert logits.shape == (2, 19, 64, 128)
    assert set(features) == set(network.feature_channels) == STRIDES[name]
    for stride, feature in features.items():
        channels = network.feature_channels[stride]
        assert feature.shape == (2, channels, 64 // stride, 128 // stride)


def test_tokens_are_put_back_where_their_patches_lie():
    config = tiny_configs()['beit'].to_dict() | {'use_absolute_position_embeddings': False}
    network = build_semantic_network('transformers', config=config).eval()
    image = torch.zeros(1, 3, 64, 128)
    changed = image.clone()
    changed[..., 32:48, 80:96] = 1.0  # patch (2, 5)
    embedded = {}

    def keep(_, __, output):
        embedded['state'] = output[0] if isinstance(output, tuple) else output

    network.network.base_model.embeddings.register_forward_hook(keep)
    network._sources = {16: 0}  # the embeddings, in which patches do not mix yet
    with torch.no_grad():
        difference = network(changed).features[16] - network(image).features[16]
    assert difference.abs().sum(1)[0].nonzero().tolist() == [[2, 5]]


def test_a_local_folder_loads_and_its_options_build_the_same_network(tmp_path):
    config = tiny_configs()['segformer']
    torch.manual_seed(0)
    original = transformers.AutoModelForSemanticSegmentation.from_config(config)
    original.save_pretrained(tmp_path)
    statistics = {'image_mean': [0.5, 0.4, 0.3], 'image_std': [0.2, 0.3, 0.4]}
    (tmp_path / 'preprocessor_config.json').write_text(json.dumps(statistics))
    network, options = load_semantic_network('transformers', tmp_path)
    text = json.dumps(options)
    assert str(tmp_path) not in text
    again = build_semantic_network('transformers', **json.loads(text)).eval()
    again.load_state_dict(network.state_dict())
    image = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(statistics[key]).view(3, 1, 1) for key in statistics)
    with torch.no_grad():
        expected = original.eval()((image - mean) / std).logits
        assert torch.equal(network(image).logits, again(image).logits)
        upsampled = torch.nn.functional.interpolate(expected, (64, 64), mode='bilinear')
    torch.testing.assert_close(network(image).logits, upsampled)


def test_a_network_published_in_half_precision_computes_in_float32(tmp_path):
    network = transformers.AutoModelForSemanticSegmentation.from_config(tiny_configs()['segformer'])
    network.half().save_pretrained(tmp_path)
    loaded, options = load_semantic_network('transformers', tmp_path)
    again = build_semantic_network('transformers', **options)
    for module in (loaded, again):
        assert {p.dtype for p in module.parameters()} == {torch.float32}


def test_a_path_without_a_network_is_one_line(tmp_path):
    with pytest.raises(SemanticError) as caught:
        load_semantic_network('transformers', tmp_path)
    assert str(tmp_path) in str(caught.value) and '\n' not in str(caught.value)


def test_classes_are_matched_by_name():
    mapping = LabelMapping({0: 'wall', 1: 'Traffic_Light', 2: 'tree', 3: 'plant; flora', 4: 'lamp'})
    logits = torch.tensor([1.0, 2.0, 3.0, 4.0, 9.0]).view(1, 5, 1, 1)
    mapped = mapping(logits)[0, :, 0, 0]
    assert mapping.known == ('wall', 'traffic light', 'vegetation')
    assert mapped[3] == 1 and mapped[6] == 2 and mapped[8] == 4
    assert (mapped == ABSENT).sum() == len(CLASS_NAMES) - 3


def test_a_network_without_any_of_our_classes_is_refused():
    config = tiny_configs(('bed', 'sofa', 'lamp'))['segformer'].to_dict()
    with pytest.raises(SemanticError, match='none of its 3 classes'):
        build_semantic_network('transformers', config=config)


@pytest.mark.parametrize(
    'change',
    [
        {'backbone': '/etc/passwd'},
        {'_attn_implementation': 'somebody/kernel'},
        {'auto_map': {'AutoModel': 'evil--model.Model'}},
        {'use_pretrained_backbone': True},
        {'nested': [{'use_timm_backbone': True}]},
        {'hidden_sizes': [8, 16, 24, 10**9]},
        {'num_hidden_layers': 10**4},
    ],
)
def test_a_configuration_that_opens_or_exhausts_something_is_refused(change):
    config = tiny_configs()['segformer'].to_dict()
    check_embedded_config(config)
    with pytest.raises(SemanticError, match='its configuration'):
        build_semantic_network('transformers', config=config | change)


def test_a_configuration_without_model_type_is_refused():
    with pytest.raises(SemanticError, match='model_type'):
        build_semantic_network('transformers', config={})


def test_an_unknown_model_type_is_refused():
    with pytest.raises(SemanticError, match='builds no segmentation network'):
        build_semantic_network('transformers', config={'model_type': 'bert'})

from __future__ import annotations

import pytest
import torch

from semdepth_ros.networks.imagenet import EncoderWeightsError
from semdepth_ros.networks.resnet import ResNet


@pytest.mark.parametrize(
    ('depth', 'parameters', 'channels'),
    [
        # torchvision's counts (11,689,512 and 25,557,032) less those of fc.
        (18, 11_176_512, {2: 64, 4: 64, 8: 128, 16: 256, 32: 512}),
        (50, 23_508_032, {2: 64, 4: 256, 8: 512, 16: 1024, 32: 2048}),
    ],
)
def test_has_the_published_size_and_features_at_every_stride(depth, parameters, channels):
    network = ResNet(depth).eval()
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network.feature_channels == channels
    with torch.no_grad():
        features = network(torch.rand(1, 3, 64, 96))
    shapes = {stride: tuple(f.shape) for stride, f in features.items()}
    assert shapes == {s: (1, c, 64 // s, 96 // s) for s, c in channels.items()}


def torchvision_state(depth: int) -> dict[str, torch.Tensor]:
    """Give tensors under the names of torchvision's files, the classifier among them."""
    state = {k: torch.rand(v.shape) + 0.5 for k, v in ResNet(depth).state_dict().items()}
    state = {k: v for k, v in state.items() if not k.endswith('num_batches_tracked')}
    return state | {'fc.weight': torch.zeros(1000, 1), 'fc.bias': torch.zeros(1000)}


def test_names_are_those_of_torchvision():
    names = ResNet(50).state_dict().keys()
    assert {
        'conv1.weight',
        'bn1.running_mean',
        'layer1.0.downsample.0.weight',
        'layer1.0.downsample.1.running_var',
        'layer4.2.conv3.weight',
        'layer4.2.bn3.num_batches_tracked',
    } <= names
    assert len(names) == 318  # 320 in torchvision's resnet50, two of them fc


def test_a_torchvision_file_fills_every_parameter(tmp_path):
    state = torchvision_state(18)
    torch.save(state, tmp_path / 'resnet18.pth')
    network = ResNet(18)
    network.load_torchvision(tmp_path / 'resnet18.pth')
    assert all(torch.equal(p, state[k]) for k, p in network.named_parameters())


def test_files_that_do_not_fit_are_refused_by_name(tmp_path):
    network = ResNet(18)
    state = torchvision_state(18)
    with pytest.raises(EncoderWeightsError, match=r'lack layer1\.0\.conv1\.weight'):
        network.load_torchvision({k: v for k, v in state.items() if k != 'layer1.0.conv1.weight'})
    with pytest.raises(EncoderWeightsError, match='unknown head'):
        network.load_torchvision(state | {'head': torch.zeros(1)})
    with pytest.raises(EncoderWeightsError, match=r'conv1\.weight has shape \(1,\)'):
        network.load_torchvision(state | {'conv1.weight': torch.zeros(1)})
    with pytest.raises(EncoderWeightsError, match=r'bn1\.bias holds NaN'):
        network.load_torchvision(state | {'bn1.bias': torch.full((64,), torch.nan)})
    with pytest.raises(EncoderWeightsError, match='no such file'):
        network.load_torchvision(tmp_path / 'absent.pth')
    for name in ('broken.pth', 'broken.safetensors'):
        (tmp_path / name).write_bytes(b'not a state dict')
        with pytest.raises(EncoderWeightsError, match='cannot be read'):
            network.load_torchvision(tmp_path / name)
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(EncoderWeightsError, match='names and tensors'):
        network.load_torchvision(tmp_path / 'list.pth')
    with pytest.raises(EncoderWeightsError, match='depth is 34'):
        ResNet(34)


@pytest.mark.parametrize('depth', [18, 50])
def test_weights_through_transformers_give_the_features_of_transformers(depth, tmp_path):
    transformers = pytest.importorskip('transformers')
    block = {18: ('basic', [2, 2, 2, 2], 1), 50: ('bottleneck', [3, 4, 6, 3], 4)}[depth]
    config = transformers.ResNetConfig(
        layer_type=block[0],
        depths=block[1],
        hidden_sizes=[64 * block[2] * 2**i for i in range(4)],
        out_features=['stage1', 'stage2', 'stage3', 'stage4'],
    )
    theirs = transformers.AutoBackbone.from_config(config).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    theirs.save_pretrained(tmp_path)
    ours = ResNet(depth).eval()
    ours.load_transformers(tmp_path)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = theirs(ours.normalize(image)).feature_maps
        features = ours(image)
    for stride, feature in zip((4, 8, 16, 32), expected):
        torch.testing.assert_close(features[stride], feature, rtol=1e-4, atol=1e-4)


def test_a_transformers_folder_that_is_absent_or_of_another_kind_is_refused(tmp_path):
    transformers = pytest.importorskip('transformers')
    transformers.ConvNextConfig().save_pretrained(tmp_path)
    with pytest.raises(EncoderWeightsError, match=r"'convnext', expected 'resnet'"):
        ResNet(18).load_transformers(tmp_path)
    with pytest.raises(EncoderWeightsError, match='cannot load a backbone'):
        ResNet(18).load_transformers(tmp_path / 'absent')

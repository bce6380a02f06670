from __future__ import annotations

import pytest
import torch

from semdepth_ros.networks.depth import DEPTH_NETWORKS, DepthNetworkError, build_depth_network
from semdepth_ros.networks.encoder_decoder import EncoderDecoderError
from semdepth_ros.networks.imagenet import EncoderWeightsError
from semdepth_ros.networks.layers import ImageSizeError
from semdepth_ros.networks.packnet import PackNet

ENCODERS = ['resnet18', 'resnet50', 'efficientnet_lite0']
NARROW = (8, 8, 16, 16, 24)


def test_the_names_are_the_documented_ones():
    assert list(DEPTH_NETWORKS) == ['packnet', 'packnet_slim', *ENCODERS]
    for name in DEPTH_NETWORKS:
        assert f'`{name}`' in (build_depth_network.__doc__ or '')
    with torch.device('meta'):
        assert isinstance(build_depth_network('packnet', dropout=0.5, fused=False), PackNet)
        slim = build_depth_network('packnet_slim')
    assert slim.guided_channels == {16: 512, 8: 256, 4: 128, 2: 64}


@pytest.mark.parametrize('name', ENCODERS)
def test_four_inverse_depths_and_a_guide_at_four_strides(name):
    network = build_depth_network(name, decoder_channels=list(NARROW)).eval()
    assert network.guided_channels == {16: 24, 8: 16, 4: 16, 2: 8}
    image = torch.rand(1, 3, 32, 64)
    seen = {}

    def look(stride, features):
        seen[stride] = tuple(features.shape)
        return features

    with torch.no_grad():
        plain = network(image)
        assert all(torch.equal(a, b) for a, b in zip(network(image, look), plain))
        for changed in (16, 8, 4, 2):
            guided = network(image, lambda s, f, c=changed: f + 1 if s == c else f)
            assert not torch.equal(guided[0], plain[0])
    sizes = [tuple(d.shape) for d in plain]
    assert sizes == [(1, 1, 32, 64), (1, 1, 16, 32), (1, 1, 8, 16), (1, 1, 4, 8)]
    assert all(((d > 0) & (d < 2)).all() for d in plain)
    assert seen == {s: (1, c, 32 // s, 64 // s) for s, c in network.guided_channels.items()}


def test_every_parameter_is_reached_by_the_gradient():
    network = build_depth_network('efficientnet_lite0', decoder_channels=NARROW)
    sum(d.mean() for d in network(torch.rand(2, 3, 64, 64))).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_imagenet_weights_go_into_the_encoder(tmp_path):
    network = build_depth_network('resnet18', decoder_channels=NARROW)
    state = {k: v + 1 for k, v in network.encoder.state_dict().items()}
    torch.save(state, tmp_path / 'resnet18.pth')
    network.load_imagenet(tmp_path / 'resnet18.pth')
    assert torch.equal(network.encoder.conv1.weight, state['conv1.weight'])
    with pytest.raises(EncoderWeightsError, match='no encoder weights'):
        network.load_imagenet()
    with pytest.raises(EncoderWeightsError, match='no such file'):
        network.load_imagenet(tmp_path / 'absent.pth')


def test_bad_requests_are_refused_in_one_sentence():
    with pytest.raises(DepthNetworkError, match="is 'resnet34', expected one of packnet"):
        build_depth_network('resnet34')
    with pytest.raises(DepthNetworkError, match="resnet18 has no option 'fused'"):
        build_depth_network('resnet18', fused=True)
    for channels in ((1, 2, 3), (8, 8, 8, 8, 0), (8, 8, 8, 8, True), (8, 8, 8, 8, 1.5)):
        with pytest.raises(EncoderDecoderError, match='five whole numbers'):
            build_depth_network('efficientnet_lite0', decoder_channels=channels)
    network = build_depth_network('efficientnet_lite0', decoder_channels=NARROW)
    with pytest.raises(ImageSizeError, match='100x64'):
        network(torch.zeros(1, 3, 64, 100))


def test_an_encoder_decoder_exports_and_onnxruntime_agrees(tmp_path):
    pytest.importorskip('onnxscript')
    onnxruntime = pytest.importorskip('onnxruntime')
    network = build_depth_network('efficientnet_lite0', decoder_channels=NARROW).eval()
    image = torch.rand(1, 3, 64, 96)
    program = torch.onnx.export(network, (image,), dynamo=True, opset_version=21, verbose=False)
    program.save(tmp_path / 'depth.onnx')
    session = onnxruntime.InferenceSession(
        tmp_path / 'depth.onnx', providers=['CPUExecutionProvider']
    )
    outputs = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        expected = network(image)
    for out, reference in zip(outputs, expected):
        torch.testing.assert_close(torch.from_numpy(out), reference, rtol=1e-4, atol=1e-5)

"""The model as a whole, its configuration, and what the engines run."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from semdepth_ros.networks.model import (
    GuidanceConfig,
    GuidedDepth,
    ImageToPrediction,
    ModelConfig,
    ModelError,
    build_model,
)

GUIDED = ModelConfig('resnet18', {}, 'espnetv2', {'scale': 0.5}, GuidanceConfig(channels=4))


@pytest.fixture(scope='module')
def guided() -> GuidedDepth:
    torch.manual_seed(0)
    model = build_model(GUIDED).eval()
    for convolution in model.guidance.convolutions.values():
        convolution.weight.data += 0.05 * torch.randn_like(convolution.weight)
    return model


def test_the_configuration_survives_json():
    assert ModelConfig.from_json(json.loads(json.dumps(GUIDED.to_json()))) == GUIDED
    plain = ModelConfig('resnet18', {'decoder_channels': (16, 16, 32, 32, 32)})
    assert ModelConfig.from_json(plain.to_json()) == plain


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'depth': 'vgg'}, "depth network 'vgg' is unknown"),
        ({'depth': 'resnet18', 'semantic': 'vgg'}, "semantic network 'vgg' is unknown"),
        ({'depth': 'resnet18', 'guidance': GuidanceConfig()}, 'guidance without a semantic'),
        ({'depth': 'resnet18', 'semantic_options': {'scale': 1.0}}, 'without a semantic network'),
        ({'depth': 'resnet18', 'depth_options': {'x': float('nan')}}, 'expected a number'),
        ({'depth': ['resnet18']}, 'is unknown'),
    ],
)
def test_impossible_configurations_are_refused(arguments, message):
    with pytest.raises(ModelError, match=message):
        ModelConfig(**arguments)


@pytest.mark.parametrize('arguments', [{'channels': 0}, {'kernel_size': 4}, {'fixed_kernel': 1}])
def test_impossible_guidance_is_refused(arguments):
    with pytest.raises(ModelError, match=next(iter(arguments))):
        GuidanceConfig(**arguments)


def test_the_semantic_network_stays_frozen_and_in_evaluation_mode(guided):
    guided.train()
    try:
        assert guided.depth.training and guided.guidance.training
        assert not any(module.training for module in guided.semantic.modules())
        assert not any(p.requires_grad for p in guided.semantic.parameters())
        before = {k: v.clone() for k, v in guided.semantic.state_dict().items()}
        guided(torch.rand(2, 3, 64, 64)).inv_depths[0].mean().backward()
        for name, value in guided.semantic.state_dict().items():
            assert torch.equal(value, before[name]), name
        assert all(p.grad is not None for p in guided.guidance.parameters())
    finally:
        guided.zero_grad(set_to_none=True)
        guided.eval()


def test_without_guidance_the_depth_is_that_of_the_depth_network():
    torch.manual_seed(0)
    model = build_model(ModelConfig('resnet18', {}, 'espnetv2', {'scale': 0.5})).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        inv_depths, logits = model(image)
        assert torch.equal(inv_depths[0], model.depth(image)[0])
        assert torch.equal(logits, model.semantic(image).logits)


def test_guidance_without_a_semantic_network_is_refused(guided):
    with pytest.raises(ModelError, match='without a semantic network'):
        GuidedDepth(guided.depth, None, guided.guidance)


def test_a_prediction_is_inverse_depth_label_and_its_probability(guided):
    image = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        inv_depth, label, confidence = ImageToPrediction(guided)(image)
        inv_depths, logits = guided(image.permute(0, 3, 1, 2).float() / 255)
    assert inv_depth.shape == label.shape == confidence.shape == (2, 64, 96)
    assert (inv_depth.dtype, label.dtype) == (torch.float32, torch.uint8)
    assert confidence.dtype == torch.uint8
    torch.testing.assert_close(inv_depth, inv_depths[0][:, 0].clamp(min=1e-6))
    assert torch.equal(label.long(), logits.argmax(1))
    probability = logits.softmax(1).amax(1)
    assert (confidence.float() - 255 * probability).abs().max() <= 0.51


def test_inverse_depth_is_never_below_a_millionth(guided):
    class Far(torch.nn.Module):
        def forward(self, image, guide=None):
            return (torch.zeros_like(image[:, :1]),) * 4

    predict = ImageToPrediction(GuidedDepth(Far(), guided.semantic))
    with torch.no_grad():
        inv_depth, _, _ = predict(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    assert (inv_depth == 1e-6).all()


def test_without_a_semantic_network_nothing_is_labelled():
    model = build_model(ModelConfig('resnet18')).eval()
    with torch.no_grad():
        _, label, confidence = ImageToPrediction(model)(
            torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
        )
    assert label.dtype == confidence.dtype == torch.uint8
    assert (label == 255).all() and (confidence == 0).all()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_it_runs_in_half_precision(guided, dtype):
    import copy

    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected, _, _ = ImageToPrediction(guided)(image)
        found, _, confidence = ImageToPrediction(copy.deepcopy(guided).to(dtype))(image)
    assert found.dtype == torch.float32 and confidence.dtype == torch.uint8
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.02)


@pytest.mark.parametrize('config', [GUIDED, ModelConfig('resnet18')], ids=['guided', 'plain'])
def test_the_exported_graph_gives_the_same_prediction(guided, config, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxscript')
    model = guided if config is GUIDED else build_model(config).eval()
    predict = ImageToPrediction(model).eval()
    image = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    program = torch.onnx.export(predict, (image,), dynamo=True, opset_version=21, verbose=False)
    program.save(tmp_path / 'model.onnx')
    graph = onnx.load(tmp_path / 'model.onnx').graph
    consumers = [node.op_type for node in graph.node if graph.input[0].name in node.input]
    assert consumers == ['Cast']
    session = onnxruntime.InferenceSession(
        str(tmp_path / 'model.onnx'), providers=['CPUExecutionProvider']
    )
    found = session.run(None, {graph.input[0].name: image.numpy()})
    with torch.no_grad():
        expected = [value.numpy() for value in predict(image)]
    assert [value.dtype for value in found] == [np.float32, np.uint8, np.uint8]
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4)
    assert (found[1] == expected[1]).mean() > 0.999
    assert np.abs(found[2].astype(int) - expected[2]).max() <= 1

"""A small guided model, and its graph in either precision, made once for all tests of engines."""

import pytest
import torch

from semdepth_ros.export.onnx_export import export_onnx, sample_images
from semdepth_ros.networks.model import GuidanceConfig, ModelConfig, build_model
from semdepth_ros.weights import LoadedWeights, WeightsCard

WIDTH, HEIGHT = 96, 64


def make_weights() -> LoadedWeights:
    config = ModelConfig(
        'resnet18',
        {'decoder_channels': [8, 8, 8, 16, 16]},
        'fpn_resnet18',
        {'channels': 16, 'head_channels': 16},
        GuidanceConfig(channels=4),
    )
    torch.manual_seed(0)
    model = build_model(config)
    with torch.no_grad():
        # Guidance starts as the identity: let it do something, so that its export is tested.
        for parameter in model.guidance.parameters():
            if parameter.ndim > 1:
                parameter += 0.1 * torch.randn_like(parameter)
    card = WeightsCard(
        model=config, width=WIDTH, height=HEIGHT, scale='metric', focal_length=55.0, trained=False
    )
    return LoadedWeights(model.eval(), card)


@pytest.fixture(scope='session')
def weights():
    return make_weights()


@pytest.fixture(scope='session')
def images():
    return sample_images(1, WIDTH, HEIGHT)


@pytest.fixture(scope='session')
def float32_graph(weights):
    return export_onnx(weights.model, 'float32', batch=1, width=WIDTH, height=HEIGHT)


@pytest.fixture(scope='session')
def float16_graph(weights):
    return export_onnx(weights.model, 'float16', batch=1, width=WIDTH, height=HEIGHT)

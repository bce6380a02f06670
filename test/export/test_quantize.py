"""Eight-bit graphs: they run, they differ by little, and the cost is told per class."""

import numpy as np
import pytest
import torch
from torch import nn

from semdepth_ros.classes import CLASS_NAMES
from semdepth_ros.engines.tensorrt_build import build_plan
from semdepth_ros.export.onnx_export import INPUT, OUTPUTS, cpu_session, sample_images, to_onnx
from semdepth_ros.export.quantize import class_costs, costs_table, quantize

pytest.importorskip('nncf')
pytest.importorskip('onnxruntime')


class Small(nn.Module):
    """The inputs, outputs and kinds of layers of the real graph, in a hundredth of its size."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 20, 3, padding=1)

    def forward(self, image_BHW3):
        image = image_BHW3.to(torch.float32).permute(0, 3, 1, 2) / 255
        features = self.second(torch.nn.functional.elu(self.first(image)))
        value = features[:, :1] + features[:, 1:2] * torch.exp(features[:, 2:3])
        label = features[:, 1:].max(1)[1].to(torch.float32).to(torch.uint8)
        return (
            torch.sigmoid(value)[:, 0],
            label,
            (255 * torch.sigmoid(features[:, 0])).to(torch.uint8),
        )


@pytest.fixture(scope='module')
def graphs():
    torch.manual_seed(0)
    images = sample_images(4, 64, 64)
    graph = to_onnx(Small().eval(), (torch.from_numpy(images[:1]),), (INPUT,), OUTPUTS)
    return graph, quantize(graph, list(images[:3])), images


def test_an_eight_bit_graph_computes_nearly_the_same_in_integers(graphs):
    import onnx

    graph, quantized, images = graphs
    full, small = (cpu_session(g).run(None, {INPUT: images[3:]}) for g in (graph, quantized))
    assert 0 < np.abs(full[0] - small[0]).max() < 0.05
    assert [array.dtype for array in small] == [np.float32, np.uint8, np.uint8]
    kinds = [node.op_type for node in onnx.load_from_string(quantized).graph.node]
    assert kinds.count('QuantizeLinear') >= 2


def test_every_convolution_runs_in_eight_bits_in_openvino(graphs):
    """ELU's outputs have a negative side: quantised with a zero point they ran in float32."""
    openvino = pytest.importorskip('openvino')
    core = openvino.Core()
    precision = {openvino.properties.hint.inference_precision(): openvino.Type.f32}
    compiled = core.compile_model(core.read_model(graphs[1]), 'CPU', precision)
    operations = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    kinds = [
        entry['primitiveType'].astype(str)
        for entry in operations
        if entry['layerType'].astype(str) == 'Convolution'
    ]
    assert len(kinds) == 2
    assert all(kind.lower().endswith('i8') for kind in kinds), kinds


def test_tensorrt_builds_an_eight_bit_graph(graphs):
    """By TensorRT-RTX, which refuses zero points as TensorRT does."""
    trt = pytest.importorskip('tensorrt_rtx')
    assert build_plan(graphs[1], trt, lambda line: None)


def test_the_cost_is_told_for_every_class_that_occurs_and_for_all_pixels(graphs):
    graph, quantized, images = graphs
    costs = class_costs(graph, quantized, list(images[2:]))
    assert {cost.name for cost in costs} <= set(CLASS_NAMES)
    assert sum(cost.share for cost in costs) == pytest.approx(1)
    assert any(cost.depth_error > 0 for cost in costs)
    table = costs_table(costs)
    assert all(cost.name in table for cost in costs)
    assert table.splitlines()[-1].startswith('all')


def test_a_graph_costs_nothing_against_itself(graphs):
    graph, _, images = graphs
    costs = class_costs(graph, graph, list(images[:1]))
    assert all(cost.depth_error == cost.label_change == 0 for cost in costs)

"""Every engine that is installed says what torch says in float32, within its precision."""

import time

import numpy as np
import pytest
import torch

from semdepth_ros.engines import EngineError, create_engine
from semdepth_ros.engines.create import PRECISIONS
from semdepth_ros.engines.inference import inference_module
from semdepth_ros.engines.onnxruntime_engine import OnnxRuntimeEngine
from semdepth_ros.engines.openvino_engine import OpenVinoEngine, offered_precisions
from semdepth_ros.engines.torch_engine import TorchEngine
from semdepth_ros.export.graph import graph_path
from semdepth_ros.export.onnx_export import TOLERANCE, relative_error

SHAPE = (1, 64, 96)


@pytest.fixture(scope='module')
def reference(weights, images):
    with torch.inference_mode():
        outputs = inference_module(weights.model)(torch.from_numpy(images))
    return [output.numpy() for output in outputs]


def assert_same(prediction, reference, precision):
    inv_depth, label, confidence = reference
    assert prediction.inv_depth_BHW.dtype == np.float32
    assert prediction.label_BHW.dtype == prediction.confidence_BHW.dtype == np.uint8
    assert relative_error(prediction.inv_depth_BHW, inv_depth) <= TOLERANCE[precision]
    # Labels may change where two classes are as likely as each other.
    agree = {'float32': 0.999, 'float16': 0.99, 'bfloat16': 0.95}[precision]
    assert np.mean(prediction.label_BHW == label) >= agree
    differences = np.abs(prediction.confidence_BHW.astype(int) - confidence)
    assert differences.mean() <= {'float32': 0.01, 'float16': 0.5, 'bfloat16': 3}[precision]


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_torch_on_the_cpu(weights, images, reference, precision):
    engine = create_engine(weights, name='torch', device='cpu', precision=precision)
    assert (engine.name, engine.device, engine.precision) == ('torch', 'cpu', precision)
    assert_same(engine.predict(images), reference, precision)


def test_onnxruntime(float32_graph, images, reference):
    pytest.importorskip('onnxruntime')
    engine = OnnxRuntimeEngine(float32_graph, 'float32', SHAPE)
    assert_same(engine.predict(images), reference, 'float32')


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_openvino(float32_graph, images, reference, precision):
    pytest.importorskip('openvino')
    if precision not in offered_precisions():
        pytest.skip(f'openvino does not compute {precision} on this CPU')
    engine = OpenVinoEngine(float32_graph, precision, SHAPE)
    assert_same(engine.predict(images), reference, precision)


def test_the_float16_graph_in_onnxruntime(float16_graph, images, reference):
    """The numbers of the graph that TensorRT builds, without TensorRT."""
    pytest.importorskip('onnxruntime')
    engine = OnnxRuntimeEngine(float16_graph, 'float16', SHAPE)
    assert_same(engine.predict(images), reference, 'float16')


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('precision', ['float32', 'float16'])
def test_torch_on_a_gpu(weights, images, reference, precision):
    engine = create_engine(weights, name='torch', device='cuda', precision=precision)
    assert engine.device.startswith('cuda')
    for _ in range(2):
        assert_same(engine.predict(images), reference, precision)
    engine.close()


@pytest.fixture(params=['torch', 'onnxruntime', 'openvino'])
def engine(request, weights, float32_graph):
    if request.param == 'torch':
        module = inference_module(weights.model)
        return TorchEngine(module, device='cpu', precision='float32', batch=1, width=96, height=64)
    pytest.importorskip(request.param)
    kind = {'onnxruntime': OnnxRuntimeEngine, 'openvino': OpenVinoEngine}[request.param]
    return kind(float32_graph, 'float32', SHAPE)


def test_between_two_images_an_engine_leaves_the_processor_to_others(engine, images):
    def idle_share() -> float:
        engine.predict(images)
        start, used = time.perf_counter(), time.process_time()
        time.sleep(0.05)
        return (time.process_time() - used) / (time.perf_counter() - start)

    # Threads that spin for the next image use 0.9 of a core.
    assert np.median([idle_share() for _ in range(9)]) < 0.3


def test_images_of_another_shape_are_refused_naming_both(engine):
    with pytest.raises(EngineError, match=r'\(1, 32, 96, 3\).*\(1, 64, 96, 3\)'):
        engine.predict(np.zeros((1, 32, 96, 3), np.uint8))
    with pytest.raises(EngineError, match='float32'):
        engine.predict(np.zeros((1, 64, 96, 3), np.float32))


def test_a_new_image_gives_a_new_answer_and_the_same_image_the_same(engine, images):
    first = engine.predict(images).inv_depth_BHW.copy()
    other = engine.predict(255 - images).inv_depth_BHW.copy()
    assert np.abs(first - other).max() > 1e-4
    np.testing.assert_array_equal(engine.predict(images).inv_depth_BHW, first)
    # Images may come as views of a larger array, and read-only.
    wide = np.zeros((1, 64, 200, 3), np.uint8)
    wide[:, :, 50:146] = images
    view = wide[:, :, 50:146]
    view.flags.writeable = False
    np.testing.assert_array_equal(engine.predict(view).inv_depth_BHW, first)


def test_a_closed_engine_says_so(engine, images):
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match='closed'):
        engine.predict(images)


def test_making_an_engine_does_not_change_the_weights(weights, images):
    before = {name: tensor.clone() for name, tensor in weights.model.state_dict().items()}
    create_engine(weights, name='torch', device='cpu', precision='bfloat16').close()
    after = weights.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_graph_of_the_cache_is_used_and_the_first_engine_of_auto_is_taken(
    weights, float32_graph, images, reference, tmp_path, monkeypatch
):
    pytest.importorskip('openvino')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    path = graph_path(weights, 'float32', SHAPE)
    path.parent.mkdir(parents=True)
    path.write_bytes(float32_graph)
    said = []
    engine = create_engine(weights, device='cpu', report=said.append)
    assert engine.name == 'openvino'
    assert said == []
    assert_same(engine.predict(images), reference, engine.precision)


def test_int8_without_calibration_names_the_command(weights, tmp_path, monkeypatch):
    pytest.importorskip('openvino')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    with pytest.raises(EngineError, match='--precision int8 --calibrate BAG'):
        create_engine(weights, name='openvino', precision='int8')


def test_a_precision_that_an_engine_does_not_offer_is_passed_over_with_the_reason(weights):
    said = []
    with pytest.raises(EngineError, match='torch on cpu: precision float16'):
        create_engine(weights, device='cpu', precision='float16', report=said.append)
    assert [line.split(';')[-1] for line in said] == [
        ' trying onnxruntime on cpu',
        ' trying torch on cpu',
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a CUDA device')
@pytest.mark.parametrize('name', ['auto', 'torch', 'tensorrt'])
def test_device_cuda_without_a_gpu_is_an_error_that_says_why(weights, name):
    with pytest.raises(EngineError, match=r'finds no CUDA device|tensorrt is not installed'):
        create_engine(weights, name=name, device='cuda', report=lambda line: None)


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        ({'name': 'tflite'}, "'tflite'"),
        ({'precision': 'fp16'}, "'fp16'"),
        ({'width': 100, 'height': 64}, '100x64'),
        ({'batch': 0}, 'batch is 0'),
    ],
)
def test_impossible_arguments_are_refused_naming_the_value(weights, arguments, named):
    with pytest.raises(EngineError, match=named):
        create_engine(weights, **arguments)


def test_every_precision_has_a_tolerance():
    assert set(TOLERANCE) == set(PRECISIONS) - {'auto'}


def test_a_network_that_answers_nan_is_no_engine(weights):
    broken = inference_module(weights.model).model
    torch.nn.init.constant_(next(broken.depth.parameters()), float('nan'))
    spoiled = type(weights)(broken, weights.card)
    with pytest.raises(EngineError, match='not finite'):
        create_engine(spoiled, name='torch', device='cpu')

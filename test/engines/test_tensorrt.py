"""TensorRT without a GPU: real parse and build, and the engine's logic on a fake runtime."""

import types

import numpy as np
import pytest

from semdepth_ros.engines import EngineError
from semdepth_ros.engines.engine import Prediction
from semdepth_ros.engines.tensorrt_build import build_plan
from semdepth_ros.engines.tensorrt_engine import TensorRtEngine, plan_key

SHAPE = (1, 64, 96)


@pytest.mark.parametrize('precision', ['float32', 'float16'])
def test_the_graph_parses_and_builds(precision, request):
    """By TensorRT-RTX, whose parser and builder are TensorRT's and need no GPU."""
    trt = pytest.importorskip('tensorrt_rtx')
    graph = request.getfixturevalue(f'{precision}_graph')
    said = []
    plan = build_plan(graph, trt, said.append)
    # The weights are in it: 12 million of the two ResNets.
    assert len(plan) > 12e6 * {'float32': 4, 'float16': 2}[precision]
    assert not [line for line in said if 'rror' in line]


def test_a_graph_that_is_none_is_refused_with_the_parsers_reason():
    trt = pytest.importorskip('tensorrt_rtx')
    with pytest.raises(EngineError, match='cannot parse the graph'):
        build_plan(b'no graph', trt, lambda line: None)


class FakeDevice:
    """Device memory as a dictionary of arrays, in the order of the stream."""

    stream = 7

    def __init__(self):
        self.arrays, self.twins, self.calls = {}, {}, []

    def allocate(self, shape, dtype):
        host, twin = np.zeros(shape, dtype), np.zeros(shape, dtype)
        address = 1000 + len(self.arrays)
        self.arrays[address] = twin
        self.twins[host.ctypes.data] = twin
        return host, address

    def upload(self, array):
        self.calls.append('upload')
        self.twins[array.ctypes.data][:] = array

    def download(self, array):
        self.calls.append('download')
        array[:] = self.twins[array.ctypes.data]

    def synchronize(self):
        self.calls.append('synchronize')


class FakeContext:
    def __init__(self, runtime):
        self.runtime, self.addresses = runtime, {}

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        if self.runtime.refuses:
            return False
        device = self.runtime.device
        device.calls.append(f'execute on {stream}')
        image = device.arrays[self.addresses['image']]
        device.arrays[self.addresses['inv_depth']][:] = image.mean(-1) / 255 + 0.01
        device.arrays[self.addresses['label']][:] = image[..., 0] % 19
        device.arrays[self.addresses['confidence']][:] = image[..., 1]
        return True


def fake_tensorrt(device, shape=SHAPE, loads=True, refuses=False):
    """The part of TensorRT's interface that runs plans."""

    class Runtime:
        def __init__(self, logger):
            self.device, self.refuses = device, refuses

        def deserialize_cuda_engine(self, plan):
            if not loads:
                return None
            return types.SimpleNamespace(
                get_tensor_shape=lambda name: (*shape, 3) if name == 'image' else shape,
                create_execution_context=lambda: FakeContext(self),
            )

    def logger(severity):
        return severity

    logger.ERROR = 1
    return types.SimpleNamespace(Logger=logger, Runtime=Runtime, __version__='10.9')


def make_engine(device, **options):
    return TensorRtEngine(
        b'plan', fake_tensorrt(device, **options), device, 'cuda:0', 'float16', SHAPE
    )


def test_a_frame_goes_up_runs_and_comes_down_on_one_stream():
    device = FakeDevice()
    engine = make_engine(device)
    images = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)
    prediction = engine.predict(images)
    assert device.calls == ['upload', 'execute on 7', *['download'] * 3, 'synchronize']
    assert isinstance(prediction, Prediction)
    np.testing.assert_allclose(prediction.inv_depth_BHW, images.mean(-1) / 255 + 0.01, rtol=1e-5)
    np.testing.assert_array_equal(prediction.label_BHW, images[..., 0] % 19)
    np.testing.assert_array_equal(prediction.confidence_BHW, images[..., 1])
    again = engine.predict(255 - images)
    np.testing.assert_array_equal(again.confidence_BHW, 255 - images[..., 1])


def test_a_plan_of_another_shape_or_tensorrt_is_refused():
    with pytest.raises(EngineError, match=r'image is \(1, 32, 96, 3\), expected \(1, 64, 96, 3\)'):
        make_engine(FakeDevice(), shape=(1, 32, 96))
    with pytest.raises(EngineError, match=r'10\.9 cannot load the plan'):
        make_engine(FakeDevice(), loads=False)


def test_a_run_that_fails_and_a_closed_engine_say_so():
    images = np.zeros((*SHAPE, 3), np.uint8)
    with pytest.raises(EngineError, match='refused to run on cuda:0'):
        make_engine(FakeDevice(), refuses=True).predict(images)
    engine = make_engine(FakeDevice())
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match='closed'):
        engine.predict(images)


def test_a_plan_is_built_anew_when_anything_it_depends_on_changes(weights):
    """Contract rule 13: weights, TensorRT version, GPU, precision and shape."""
    same = ('10.9', ('GPU', (8, 9)), 'float16', SHAPE)
    key = plan_key(weights, *same)
    assert plan_key(weights, *same) == key
    for position, other in enumerate(['11.0', ('GPU', (9, 0)), 'float32', (2, 64, 96)]):
        changed = (*same[:position], other, *same[position + 1 :])
        assert plan_key(weights, *changed) != key

"""Which engine is chosen, and what is said about those that are not."""

import pytest

from semdepth_ros.engines import EngineError
from semdepth_ros.engines.create import ORDER, candidates


def quiet(line):
    pass


def test_auto_with_a_gpu_tries_every_engine_in_order():
    assert candidates('auto', 'auto', True, quiet) == list(ORDER)


def test_auto_without_a_gpu_ends_on_the_cpu_and_says_so():
    said = []
    chain = candidates('auto', 'auto', False, said.append)
    assert chain == [('openvino', 'cpu'), ('onnxruntime', 'cpu'), ('torch', 'cpu')]
    assert len(said) == 1 and 'CPU' in said[0]


@pytest.mark.parametrize('cuda', [True, False])
@pytest.mark.parametrize('name', ['auto', 'torch', 'tensorrt'])
@pytest.mark.parametrize('device', ['cuda', 'cuda:1'])
def test_device_cuda_never_becomes_the_cpu(name, device, cuda):
    chain = candidates(name, device, cuda, quiet)
    assert chain and {on for _, on in chain} == {device}


def test_tensorrt_falls_back_to_torch_on_the_same_device():
    assert candidates('tensorrt', 'cuda:0', True, quiet) == [
        ('tensorrt', 'cuda:0'),
        ('torch', 'cuda:0'),
    ]


@pytest.mark.parametrize(
    ('name', 'device'), [('openvino', 'cuda'), ('onnxruntime', 'cuda'), ('tensorrt', 'cpu')]
)
def test_an_engine_that_does_not_run_on_the_device_is_refused_naming_both(name, device):
    with pytest.raises(EngineError, match=rf'{name}.*{device}'):
        candidates(name, device, True, quiet)


@pytest.mark.parametrize('device', ['gpu', 'cpu:0', ''])
def test_a_device_that_is_none_is_refused(device):
    with pytest.raises(EngineError, match='expected auto, cpu, cuda'):
        candidates('auto', device, True, quiet)

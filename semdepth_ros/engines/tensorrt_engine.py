"""The network in TensorRT, on the GPU."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch

from semdepth_ros.engines.cache import cached, code_hash, entry_path, model_hash
from semdepth_ros.engines.engine import (
    EngineError,
    Prediction,
    Report,
    check_images,
    choose_precision,
)
from semdepth_ros.engines.tensorrt_build import build_plan, import_tensorrt
from semdepth_ros.engines.torch_engine import cuda_device
from semdepth_ros.export.graph import graph
from semdepth_ros.export.onnx_export import INPUT, OUTPUTS
from semdepth_ros.weights import LoadedWeights

PRECISIONS = ('float16', 'float32', 'int8')


def create(
    weights: LoadedWeights,
    *,
    device: str,
    precision: str,
    shape: tuple[int, int, int],
    report: Report,
) -> TensorRtEngine:
    """Return the engine for weights; arguments as in `create_engine`, shape (batch, height, width).

    Raises:
        EngineError: when TensorRT or the device is missing, or the build fails.
        ExportError: when the network cannot be exported.
    """
    trt = import_tensorrt()
    target = cuda_device(device)
    precision = choose_precision('tensorrt', precision, PRECISIONS)
    with torch.cuda.device(target):
        plan = cached_plan(weights, trt, target, precision, shape, report)
        memory = CudaMemory(target)
        return TensorRtEngine(plan, trt, memory, str(target), precision, shape)


def cached_plan(
    weights: LoadedWeights,
    trt: Any,
    device: torch.device,
    precision: str,
    shape: tuple[int, int, int],
    report: Report,
) -> bytes:
    """Return the plan of weights for a GPU, from the cache or built now.

    The key is the weights, the code that exports them, TensorRT's version, the GPU, the precision
    and the shape (docs/ros_contract, rule 13): a plan fits nothing else.
    """
    gpu = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
    key = plan_key(weights, trt.__version__, gpu, precision, shape)
    batch, height, width = shape
    path = entry_path(f'tensorrt-{precision}-{batch}x{width}x{height}.engine', key)

    def build() -> bytes:
        report(f'building a TensorRT engine for {gpu[0]} takes minutes, once; kept in {path}')
        return build_plan(graph(weights, precision, shape, report), trt, report)

    return cached(path, build, report)


def plan_key(
    weights: LoadedWeights,
    version: str,
    gpu: tuple[object, ...],
    precision: str,
    shape: tuple[int, int, int],
) -> tuple[object, ...]:
    """Return everything that a plan depends on."""
    return model_hash(weights.model), code_hash(), version, gpu, precision, shape


class DeviceMemory(Protocol):
    """What the engine needs of a GPU besides TensorRT."""

    #: Handle of the stream that copies and kernels are queued on.
    stream: int

    def allocate(self, shape: tuple[int, ...], dtype: type) -> tuple[np.ndarray, int]:
        """Return an array on the host and the address of its twin on the device."""
        ...

    def upload(self, array: np.ndarray) -> None:
        """Queue the copy of an allocated array to the device."""
        ...

    def download(self, array: np.ndarray) -> None:
        """Queue the copy of an allocated array from the device."""
        ...

    def synchronize(self) -> None:
        """Wait for what is queued."""
        ...


class CudaMemory:
    """`DeviceMemory` of torch's allocator, with a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._twins: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.stream = self._stream.cuda_stream

    def allocate(self, shape: tuple[int, ...], dtype: type) -> tuple[np.ndarray, int]:
        """Return a pinned array on the host and the address of its twin on the device."""
        kind = torch.from_numpy(np.empty(0, dtype)).dtype
        host = torch.empty(shape, dtype=kind, pin_memory=True)
        on_device = torch.empty(shape, dtype=kind, device=self._device)
        array = host.numpy()
        self._twins[array.ctypes.data] = host, on_device
        return array, on_device.data_ptr()

    def upload(self, array: np.ndarray) -> None:
        """Queue the copy of an allocated array to the device."""
        host, on_device = self._twins[array.ctypes.data]
        with torch.cuda.stream(self._stream):
            on_device.copy_(host, non_blocking=True)

    def download(self, array: np.ndarray) -> None:
        """Queue the copy of an allocated array from the device."""
        host, on_device = self._twins[array.ctypes.data]
        with torch.cuda.stream(self._stream):
            host.copy_(on_device, non_blocking=True)

    def synchronize(self) -> None:
        """Wait for what is queued."""
        self._stream.synchronize()


class TensorRtEngine:
    """`Engine` in TensorRT.

    Args:
        plan: from `build_plan`, of a graph from `export_onnx`.
        trt: the TensorRT module that built it.
        memory: of the GPU.
        device: its name, such as 'cuda:0'.
        precision: of the plan.
        shape: batch, height, width of the plan's input.

    Raises:
        EngineError: when the plan does not fit this TensorRT or this GPU.
    """

    name = 'tensorrt'

    def __init__(
        self,
        plan: bytes,
        trt: Any,
        memory: DeviceMemory,
        device: str,
        precision: str,
        shape: tuple[int, int, int],
    ) -> None:
        self.device, self.precision = device, precision
        self.batch, self.height, self.width = shape
        self._logger = trt.Logger(trt.Logger.ERROR)
        # TensorRT frees nothing that still works for another object: keep all three.
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineError(f'TensorRT {trt.__version__} cannot load the plan for {device}')
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise EngineError(f'TensorRT cannot get the memory to run on {device}')
        self._memory: DeviceMemory | None = memory
        arrays = []
        for tensor, expected, dtype in (
            (INPUT, (*shape, 3), np.uint8),
            (OUTPUTS[0], shape, np.float32),
            (OUTPUTS[1], shape, np.uint8),
            (OUTPUTS[2], shape, np.uint8),
        ):
            found = tuple(self._engine.get_tensor_shape(tensor))
            if found != expected:
                raise EngineError(f'TensorRT plan: {tensor} is {found}, expected {expected}')
            array, address = memory.allocate(expected, dtype)
            self._context.set_tensor_address(tensor, address)
            arrays.append(array)
        self._images = arrays[0]
        self._arrays = Prediction(*arrays[1:])

    def predict(self, images_BHW3: np.ndarray) -> Prediction:
        """Return the prediction for uint8 RGB images; the arrays hold until the next call."""
        check_images(self, images_BHW3)
        memory = self._memory
        if memory is None:
            raise EngineError('engine tensorrt is closed')
        self._images[:] = images_BHW3
        memory.upload(self._images)
        if not self._context.execute_async_v3(memory.stream):
            raise EngineError(f'TensorRT refused to run on {self.device}')
        for array in vars(self._arrays).values():
            memory.download(array)
        memory.synchronize()
        return self._arrays

    def close(self) -> None:
        """Free the device's memory."""
        self._memory = self._context = self._engine = self._runtime = None

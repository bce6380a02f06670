"""The network in torch: eager on a CPU, one CUDA graph on a GPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from semdepth_ros.engines.engine import (
    EngineError,
    Prediction,
    Report,
    check_images,
    choose_precision,
)
from semdepth_ros.engines.inference import inference_module
from semdepth_ros.weights import LoadedWeights

#: What each kind of device computes in; the first is what `auto` means.
PRECISIONS = {'cpu': ('float32', 'bfloat16'), 'cuda': ('float16', 'float32', 'bfloat16')}

#: cuDNN measures its algorithms and the allocator settles before the graph is captured.
_WARM_UP_RUNS = 3


def create(
    weights: LoadedWeights,
    *,
    device: str,
    precision: str,
    shape: tuple[int, int, int],
    report: Report,
) -> TorchEngine:
    """Return the engine for weights; arguments as in `create_engine`, shape (batch, height, width).

    Raises:
        EngineError: when torch cannot use the device, or not in that precision.
    """
    kind = device.split(':')[0]
    if kind == 'cuda':
        cuda_device(device)
    precision = choose_precision(f'torch on {kind}', precision, PRECISIONS[kind])
    module = inference_module(weights.model, precision)
    batch, height, width = shape
    return TorchEngine(
        module, device=device, precision=precision, batch=batch, width=width, height=height
    )


class TorchEngine:
    """`Engine` in torch.

    Args:
        module: from `inference_module`, in `precision`.
        device: 'cpu', 'cuda' or 'cuda:1'.
        precision: of the module; see `PRECISIONS`.
        batch: images a call.
        width: width of the images, pixels.
        height: height of the images, pixels.

    Raises:
        EngineError: when torch cannot use the device.
    """

    name = 'torch'

    def __init__(
        self,
        module: nn.Module,
        *,
        device: str,
        precision: str,
        batch: int,
        width: int,
        height: int,
    ) -> None:
        self.precision, self.batch, self.width, self.height = precision, batch, width, height
        self._runner: _CpuRunner | _CudaRunner | None
        if device == 'cpu':
            self.device = device
            self._runner = _CpuRunner(module)
        else:
            target = cuda_device(device)
            self.device = str(target)
            self._runner = _CudaRunner(module, target, (batch, height, width, 3))

    def predict(self, images_BHW3: np.ndarray) -> Prediction:
        """Return the prediction for uint8 RGB images; the arrays hold until the next call."""
        check_images(self, images_BHW3)
        if self._runner is None:
            raise EngineError('engine torch is closed')
        return self._runner.run(images_BHW3)

    def close(self) -> None:
        """Free the device's memory."""
        if self._runner is None:
            return
        self._runner = None
        if self.device != 'cpu':
            torch.cuda.empty_cache()


def cuda_device(device: str) -> torch.device:
    """Return the CUDA device of that name, 'cuda' or 'cuda:1'.

    Raises:
        EngineError: when torch has no such device.
    """
    if not torch.cuda.is_available():
        build = torch.version.cuda or 'none, a CPU build'
        raise EngineError(
            f'device {device}: torch {torch.__version__} finds no CUDA device (its CUDA: {build})'
        )
    try:
        target = torch.device(device)
        if target.type != 'cuda':
            raise EngineError(f'device is {device!r}, expected cpu, cuda or cuda:N')
    except RuntimeError as error:
        raise EngineError(f'device is {device!r}, expected cpu, cuda or cuda:N') from error
    index = torch.cuda.current_device() if target.index is None else target.index
    if index >= torch.cuda.device_count():
        raise EngineError(f'device {device}: this machine has {torch.cuda.device_count()} GPU(s)')
    return torch.device('cuda', index)


class _CpuRunner:
    def __init__(self, module: nn.Module) -> None:
        self._module = module

    @torch.inference_mode()
    def run(self, images_BHW3: np.ndarray) -> Prediction:
        images = torch.from_numpy(np.ascontiguousarray(images_BHW3))
        return Prediction(*(output.numpy() for output in self._module(images)))


class _CudaRunner:
    """Copies in, replays the captured graph, copies out: no allocation and no Python per layer."""

    @torch.inference_mode()
    def __init__(
        self, module: nn.Module, device: torch.device, shape: tuple[int, int, int, int]
    ) -> None:
        self._module = module.to(device)
        self._stream = torch.cuda.Stream(device)
        self._staging = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
        with torch.cuda.device(device), torch.backends.cudnn.flags(enabled=True, benchmark=True):
            self._images = self._staging.to(device)
            self._stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM_UP_RUNS):
                    self._module(self._images)
            self._stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=self._stream):
                self._outputs = self._module(self._images)
        self._results = [
            torch.empty(output.shape, dtype=output.dtype, pin_memory=True)
            for output in self._outputs
        ]
        self._arrays = Prediction(*(result.numpy() for result in self._results))

    @torch.inference_mode()
    def run(self, images_BHW3: np.ndarray) -> Prediction:
        self._staging.numpy()[:] = images_BHW3
        with torch.cuda.stream(self._stream):
            self._images.copy_(self._staging, non_blocking=True)
            self._graph.replay()
            for result, output in zip(self._results, self._outputs):
                result.copy_(output, non_blocking=True)
        self._stream.synchronize()
        return self._arrays

"""The network in ONNX Runtime, on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from semdepth_ros.engines.engine import (
    EngineError,
    Prediction,
    Report,
    check_images,
    choose_precision,
)
from semdepth_ros.export.graph import graph
from semdepth_ros.export.onnx_export import INPUT, OUTPUTS, cpu_session, require_onnx
from semdepth_ros.weights import LoadedWeights

PRECISIONS = ('float32',)


def create(
    weights: LoadedWeights,
    *,
    device: str,
    precision: str,
    shape: tuple[int, int, int],
    report: Report,
) -> OnnxRuntimeEngine:
    """Return the engine for weights; arguments as in `create_engine`, shape (batch, height, width).

    Raises:
        EngineError: when it does not offer the precision.
        ExportError: when the network cannot be exported.
    """
    require_onnx()
    precision = choose_precision('onnxruntime', precision, PRECISIONS)
    return OnnxRuntimeEngine(graph(weights, precision, shape, report), precision, shape)


class OnnxRuntimeEngine:
    """`Engine` in ONNX Runtime.

    Args:
        content: an ONNX file from `export_onnx`.
        precision: of the file.
        shape: batch, height, width of the file's input.
    """

    name = 'onnxruntime'
    device = 'cpu'

    def __init__(self, content: bytes, precision: str, shape: tuple[int, int, int]) -> None:
        self.precision = precision
        self.batch, self.height, self.width = shape
        session = cpu_session(content)
        self._session: Any | None = session
        self._images = np.empty((*shape, 3), np.uint8)
        self._arrays = Prediction(
            np.empty(shape, np.float32), np.empty(shape, np.uint8), np.empty(shape, np.uint8)
        )
        self._binding = session.io_binding()
        self._bind(self._binding.bind_input, INPUT, self._images)
        for name, array in zip(OUTPUTS, vars(self._arrays).values()):
            self._bind(self._binding.bind_output, name, array)

    @staticmethod
    def _bind(bind, name: str, array: np.ndarray) -> None:
        bind(name, 'cpu', 0, array.dtype.type, array.shape, array.ctypes.data)

    def predict(self, images_BHW3: np.ndarray) -> Prediction:
        """Return the prediction for uint8 RGB images; the arrays hold until the next call."""
        check_images(self, images_BHW3)
        if self._session is None:
            raise EngineError('engine onnxruntime is closed')
        self._images[:] = images_BHW3
        self._session.run_with_iobinding(self._binding)
        return self._arrays

    def close(self) -> None:
        """Free the session."""
        self._session = None
        self._binding = None

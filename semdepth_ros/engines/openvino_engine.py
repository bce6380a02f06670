"""The network in OpenVINO, on the CPU."""

from __future__ import annotations

import numpy as np

from semdepth_ros.engines.engine import (
    EngineError,
    Prediction,
    Report,
    check_images,
    choose_precision,
)
from semdepth_ros.export.graph import graph
from semdepth_ros.export.onnx_export import OUTPUTS
from semdepth_ros.weights import LoadedWeights


def create(
    weights: LoadedWeights,
    *,
    device: str,
    precision: str,
    shape: tuple[int, int, int],
    report: Report,
) -> OpenVinoEngine:
    """Return the engine for weights; arguments as in `create_engine`, shape (batch, height, width).

    Raises:
        EngineError: when OpenVINO is missing or does not offer the precision on this CPU.
        ExportError: when the network cannot be exported.
    """
    precision = choose_precision('openvino', precision, offered_precisions())
    # bfloat16 is how the float32 graph is run, not another graph.
    content = graph(weights, 'int8' if precision == 'int8' else 'float32', shape, report)
    return OpenVinoEngine(content, precision, shape)


def offered_precisions() -> tuple[str, ...]:
    """Return what OpenVINO computes in on this CPU, the one that `auto` means first.

    Raises:
        EngineError: when OpenVINO is missing.
    """
    try:
        import openvino
    except ImportError as error:
        raise EngineError(
            "openvino is not installed, expected the extra 'openvino': "
            "pip install 'semdepth_ros[openvino]'"
        ) from error
    capabilities = openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    # Emulated bfloat16 would be slower than float32 and less exact.
    if 'BF16' in capabilities:
        return 'bfloat16', 'float32', 'int8'
    return 'float32', 'int8'


class OpenVinoEngine:
    """`Engine` in OpenVINO.

    Args:
        content: an ONNX file from `export_onnx`, or its int8 form from `quantize`.
        precision: 'float32', 'bfloat16' or 'int8'.
        shape: batch, height, width of the file's input.

    Raises:
        EngineError: when OpenVINO cannot compile it: some graphs in eight bits.
    """

    name = 'openvino'
    device = 'cpu'

    def __init__(self, content: bytes, precision: str, shape: tuple[int, int, int]) -> None:
        import openvino
        from openvino import properties

        self.precision = precision
        self.batch, self.height, self.width = shape
        core = openvino.Core()
        types = {'bfloat16': openvino.Type.bf16}
        try:
            compiled = core.compile_model(
                core.read_model(content),
                'CPU',
                {
                    properties.hint.performance_mode(): properties.hint.PerformanceMode.LATENCY,
                    properties.hint.inference_precision(): types.get(precision, openvino.Type.f32),
                },
            )
        except RuntimeError as error:
            # Its last line is the reason, those before it are files of OpenVINO.
            reason = (str(error).strip().splitlines() or ['no reason given'])[-1]
            raise EngineError(
                f'openvino cannot compile the network in {precision}: {reason}'
            ) from error
        self._request: openvino.InferRequest | None = compiled.create_infer_request()
        self._images = np.empty((*shape, 3), np.uint8)
        self._request.set_input_tensor(openvino.Tensor(self._images, shared_memory=True))
        self._outputs = [compiled.output(name) for name in OUTPUTS]

    def predict(self, images_BHW3: np.ndarray) -> Prediction:
        """Return the prediction for uint8 RGB images; the arrays hold until the next call."""
        check_images(self, images_BHW3)
        if self._request is None:
            raise EngineError('engine openvino is closed')
        self._images[:] = images_BHW3
        self._request.infer()
        return Prediction(*(self._request.get_tensor(output).data for output in self._outputs))

    def close(self) -> None:
        """Free the compiled network."""
        self._request = None
        self._outputs = []

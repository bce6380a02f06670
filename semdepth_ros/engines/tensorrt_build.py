"""From an ONNX graph to a TensorRT plan: 10.x and 11.x, strongly typed, with progress in words.

Every function takes the TensorRT module, because three packages have this interface: `tensorrt` 10
and 11, and `tensorrt_rtx`, which parses and builds on machines without a GPU.
"""

from __future__ import annotations

import time
from typing import Any

from semdepth_ros.engines.engine import EngineError, Report

#: Seconds between two lines on the progress of a build.
_PROGRESS_PERIOD = 10.0


def import_tensorrt() -> Any:
    """Return the module `tensorrt`.

    Raises:
        EngineError: when it is missing, or is one of the empty packages of that name.
    """
    try:
        import tensorrt
    except ImportError as error:
        raise EngineError(
            "tensorrt is not installed, expected the extra 'tensorrt' or the one of JetPack"
        ) from error
    if not hasattr(tensorrt, 'Builder'):
        raise EngineError('tensorrt is installed without its libraries, expected 10.x or 11.x')
    return tensorrt


def build_plan(graph: bytes, trt: Any, report: Report) -> bytes:
    """Return the plan (a serialised engine) of an ONNX graph.

    Precision lies in the types of the graph: TensorRT may not change them, so the numbers are those
    that were checked at export.

    Raises:
        EngineError: when TensorRT cannot parse the graph or build it.
    """
    logger = _logger(trt, report)
    builder = trt.Builder(logger)
    # 10.x wants the flag, 11.x knows nothing else.
    flag = getattr(trt.NetworkDefinitionCreationFlag, 'STRONGLY_TYPED', None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph):
        reasons = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise EngineError(f'TensorRT {trt.__version__} cannot parse the graph: {reasons}')
    config = builder.create_builder_config()
    config.progress_monitor = _progress_monitor(trt, report)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f'TensorRT {trt.__version__} cannot build the graph: {logger.last_error}')
    return bytes(plan)


def _logger(trt: Any, report: Report) -> Any:
    """Return a logger that keeps the last error and says nothing less."""

    class Logger(trt.ILogger):
        last_error = 'no reason given'

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.last_error = message
                report(f'TensorRT: {message}')

    return Logger()


def _progress_monitor(trt: Any, report: Report) -> Any:
    """Return a monitor that tells how far the outermost phase is, every few seconds."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}
            self._due = time.monotonic() + _PROGRESS_PERIOD

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._steps[phase] = steps

        def step_complete(self, phase: str, step: int) -> bool:
            if time.monotonic() >= self._due:
                self._due = time.monotonic() + _PROGRESS_PERIOD
                report(f'TensorRT build: {phase}, step {step + 1} of {self._steps.get(phase, "?")}')
            return True

        def phase_finish(self, phase: str) -> None:
            self._steps.pop(phase, None)

    return Monitor()

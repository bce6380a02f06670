"""The ONNX graph of weights, from the cache where it has been exported before."""

from __future__ import annotations

from pathlib import Path

import torch

from semdepth_ros.engines.cache import cached, code_hash, entry_path, model_hash
from semdepth_ros.engines.engine import EngineError, Report
from semdepth_ros.export.onnx_export import OPSET, export_onnx
from semdepth_ros.weights import LoadedWeights


def graph_path(weights: LoadedWeights, precision: str, shape: tuple[int, int, int]) -> Path:
    """Return where the graph of these weights lies in the cache, or will.

    Args:
        weights: from `semdepth_ros.weights.load`.
        precision: 'float32', 'float16' or 'int8'.
        shape: batch, height, width.
    """
    batch, height, width = shape
    key = (model_hash(weights.model), code_hash(), torch.__version__, OPSET, precision, shape)
    return entry_path(f'graph-{precision}-{batch}x{width}x{height}.onnx', key)


def graph(
    weights: LoadedWeights, precision: str, shape: tuple[int, int, int], report: Report
) -> bytes:
    """Return the ONNX file of weights; arguments as in `graph_path`.

    Raises:
        ExportError: when it cannot be exported.
        EngineError: for int8 that has not been calibrated on this machine.
    """
    path = graph_path(weights, precision, shape)
    batch, height, width = shape

    def build() -> bytes:
        if precision == 'int8':
            raise EngineError(
                f'precision int8: these weights are not calibrated for {width}x{height}, batch '
                f'{batch}; `semdepth export --precision int8 --calibrate BAG` does so once'
            )
        report(f'exporting the network to ONNX ({precision}, {width}x{height}), kept in {path}')
        return export_onnx(weights.model, precision, batch=batch, width=width, height=height)

    return cached(path, build, report)

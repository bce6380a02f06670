"""The network on whatever the machine has: torch, OpenVINO, ONNX Runtime or TensorRT."""

from semdepth_ros.engines.create import create_engine
from semdepth_ros.engines.engine import Engine, EngineError, Prediction

__all__ = ['Engine', 'EngineError', 'Prediction', 'create_engine']

"""Depth and semantic network as one ONNX graph: uint8 image in, depth, label and confidence out."""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np
import torch
from torch import nn

from semdepth_ros.engines.inference import inference_module
from semdepth_ros.errors import SemdepthError
from semdepth_ros.networks.model import GuidedDepth

#: GroupNorm is one operator since 21; TensorRT 10 and 11, OpenVINO and ONNX Runtime read it.
OPSET = 21
INPUT = 'image'
OUTPUTS = ('inv_depth', 'label', 'confidence')

#: Largest mean relative error of inverse depth against torch in float32, by precision.
TOLERANCE = {'float32': 1e-4, 'float16': 5e-3, 'bfloat16': 2e-2, 'int8': 5e-2}


class ExportError(SemdepthError):
    """A network that cannot be exported, or whose export does not compute the same."""


def export_onnx(
    model: GuidedDepth, precision: str = 'float32', *, batch: int, width: int, height: int
) -> bytes:
    """Return the ONNX file of a model, after comparing it with torch in ONNX Runtime.

    The graph takes 'image', uint8 (B, H, W, 3), and gives 'inv_depth' float32, 'label' and
    'confidence' uint8, each (B, H, W), whatever the precision between them.

    Args:
        model: in float32.
        precision: 'float32' or 'float16'.
        batch: images a call; the shape is fixed, as engines are faster so.
        width: pixels, a multiple of 32.
        height: pixels, a multiple of 32.

    Raises:
        ExportError: when the onnx packages are missing, or the graph computes something else.
    """
    require_onnx()
    if precision not in ('float32', 'float16'):
        raise ExportError(f'ONNX precision is {precision!r}, expected float32 or float16')
    images = sample_images(batch, width, height)
    module = inference_module(model, precision)
    content = to_onnx(module, (torch.from_numpy(images),), (INPUT,), OUTPUTS)
    _check(content, model, precision, images)
    return content


def to_onnx(
    module: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    input_names: tuple[str, ...],
    output_names: tuple[str, ...],
) -> bytes:
    """Return the ONNX file of a module for inputs of these shapes and types."""
    with _quiet_exporter():
        program = torch.onnx.export(
            module,
            inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(input_names),
            output_names=list(output_names),
            verbose=False,
        )
    assert program is not None
    return program.model_proto.SerializeToString()


def require_onnx() -> None:
    """Raise `ExportError` where the packages of the extra `onnx` are missing."""
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        if importlib.util.find_spec(package) is None:
            raise ExportError(
                f"{package} is not installed, expected the extra 'onnx': "
                "pip install 'semdepth_ros[onnx]'"
            )


def cpu_session(content: bytes) -> Any:
    """Return a session of ONNX Runtime on the CPU for an ONNX file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # It fuses signed with unsigned quantisation and then refuses its own graph: run what is there.
    options.add_session_config_entry('session.disable_quant_qdq', '1')
    # Threads that spin for the next image take the cores from all else: they wait instead.
    options.add_session_config_entry('session.force_spinning_stop', '1')
    return onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])


def sample_images(batch: int, width: int, height: int) -> np.ndarray:
    """Return uint8 (B, H, W, 3) images with shapes and texture, always the same."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 200, (batch, height // 32, width // 32, 3), np.uint8)
    fine = random.integers(0, 56, (batch, height, width, 3), np.uint8)
    return coarse.repeat(32, 1).repeat(32, 2) + fine


def relative_error(inv_depth: np.ndarray, reference: np.ndarray) -> float:
    """Return the mean relative difference of two inverse depths above 0."""
    return float(np.mean(np.abs(inv_depth - reference) / reference))


def _check(content: bytes, model: GuidedDepth, precision: str, images: np.ndarray) -> None:
    inv_depth = cpu_session(content).run([OUTPUTS[0]], {INPUT: images})[0]
    with torch.inference_mode():
        reference = inference_module(model)(torch.from_numpy(images))[0].numpy()
    error = relative_error(inv_depth, reference)
    if not error <= TOLERANCE[precision]:
        raise ExportError(
            f'exported graph in {precision}: inverse depth is off by {error:.1e} of its value '
            f'on average, expected at most {TOLERANCE[precision]:.0e}'
        )


@contextmanager
def _quiet_exporter():
    """Keep the exporter's notes on packages that nobody asked for from the user's terminal."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)

"""What every engine is: a fixed input, one call, one kind of answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import numpy as np

from semdepth_ros.errors import SemdepthError

#: What is told one line of text: `print`, a logger's method.
Report = Callable[[str], None]


class EngineError(SemdepthError):
    """An engine that cannot be had here, cannot load its network, or fails while it runs."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the network says about a batch of images, at network size.

    The arrays may be the engine's own buffers: they hold until its next `predict`.

    Attributes:
        inv_depth_BHW: float32 inverse depth along Z in 1/m (1/unit where the weights have no metric
            scale), of the camera that the weights were trained with; always finite and above 0.
        label_BHW: uint8 Cityscapes train ids, 255 everywhere where no semantic network is present.
        confidence_BHW: uint8, probability of the label times 255; 0 without a semantic network.
    """

    inv_depth_BHW: np.ndarray
    label_BHW: np.ndarray
    confidence_BHW: np.ndarray


class Engine(Protocol):
    """A network ready to run; used from one thread at a time."""

    #: 'torch', 'openvino', 'onnxruntime' or 'tensorrt'.
    name: str
    #: 'cpu' or 'cuda:0'.
    device: str
    #: 'float32', 'bfloat16', 'float16' or 'int8'.
    precision: str
    #: Batch size and image size that `predict` takes.
    batch: int
    width: int
    height: int

    def predict(self, images_BHW3: np.ndarray) -> Prediction:
        """Return the prediction for uint8 RGB images.

        Raises:
            EngineError: when the images do not have the engine's shape, or the run fails.
        """
        ...

    def close(self) -> None:
        """Free the device's memory; may be called twice."""
        ...


def check_images(engine: Engine, images_BHW3: np.ndarray) -> None:
    """Raise `EngineError` unless the images have the shape and type that the engine takes."""
    expected = (engine.batch, engine.height, engine.width, 3)
    if images_BHW3.shape != expected or images_BHW3.dtype != np.uint8:
        raise EngineError(
            f'engine {engine.name}: images are {images_BHW3.dtype} {images_BHW3.shape}, '
            f'expected uint8 {expected}'
        )


def choose_precision(engine: str, wanted: str, offered: tuple[str, ...]) -> str:
    """Return the wanted precision, or the first offered for 'auto'.

    Raises:
        EngineError: when the engine does not offer it.
    """
    if wanted == 'auto':
        return offered[0]
    if wanted not in offered:
        raise EngineError(f'precision {wanted}: {engine} offers {", ".join(offered)} here')
    return wanted

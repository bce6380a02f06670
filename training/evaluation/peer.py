"""A published network as a yardstick: a TFLite file that answers an image with disparity.

The reference peer is mobile PyDNet (self-supervised, trained on all of KITTI): RGB in [0, 1] in,
negative disparity at half size out.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from semdepth_ros.errors import SemdepthError
from semdepth_training.evaluation.frames import RawDepth

#: Smallest disparity that is inverted; less is as good as infinitely far.
MIN_DISPARITY = 1e-3


class PeerError(SemdepthError):
    """A peer network that cannot be run."""


class Peer:
    """Runs a TFLite network that takes one RGB image in [0, 1] and gives one disparity map.

    The image is resized to the network's input, whatever its shape: that is how these networks were
    trained. Networks differ in the sign of disparity; the one of the mean is taken.

    Raises:
        PeerError: when the file cannot be read, or has another input or output.
    """

    def __init__(self, path: Path, threads: int = 2) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise PeerError(
                'ai-edge-litert is not installed, which runs peers: pip install semdepth_ros[peer]'
            ) from error
        if not path.is_file():
            raise PeerError(f'peer {path} is no file, expected a .tflite network')
        try:
            self._network = Interpreter(model_path=str(path), num_threads=threads)
            self._network.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise PeerError(f'peer {path} is no TFLite network that runs here: {error}') from error
        (self._input, *more), outputs = (
            self._network.get_input_details(),
            self._network.get_output_details(),
        )
        shape = tuple(int(size) for size in self._input['shape'])
        self._channels_first = len(shape) == 4 and shape[1] == 3
        if more or len(shape) != 4 or shape[0] != 1 or 3 not in (shape[1], shape[3]):
            raise PeerError(f'peer {path} has input {shape}, expected one RGB image')
        if self._input['dtype'] != np.float32:
            raise PeerError(
                f'peer {path} has {self._input["dtype"].__name__} input, expected float32'
            )
        self._height, self._width = shape[2:] if self._channels_first else shape[1:3]
        output_shape = tuple(int(size) for size in outputs[0]['shape'])
        if len(outputs) != 1 or np.prod(output_shape) != np.prod(sorted(output_shape)[-2:]):
            raise PeerError(f'peer {path} has output {output_shape}, expected one disparity map')
        self._output = outputs[0]

    def predict(self, image_HW3: np.ndarray) -> RawDepth:
        """Return depth up to scale of a uint8 RGB image."""
        size = (self._width, self._height)
        image = cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        if self._channels_first:
            image = image.transpose(2, 0, 1)
        self._network.set_tensor(self._input['index'], np.ascontiguousarray(image[None]))
        self._network.invoke()
        disparity = np.squeeze(self._network.get_tensor(self._output['index']))
        if disparity.mean() < 0:
            disparity = -disparity
        return RawDepth((1 / np.maximum(disparity, MIN_DISPARITY)).astype(np.float32))

"""The weights and the engine that runs them, from configure to cleanup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from semdepth_ros.engines import create_engine
from semdepth_ros.engines.engine import Engine, EngineError, Prediction
from semdepth_ros.ros.half_size import HalfSizeEngine, half_size, is_out_of_memory
from semdepth_ros.ros.parameters import Parameters
from semdepth_ros.weights import load_or_untrained


class Network:
    """An engine for a batch of cameras, with the weights that it was made of.

    With `fit: native` the size of the input follows the camera: the engine is made anew when an
    image of another size arrives.

    Where the device runs out of memory, at the start or later, there is one smaller attempt: the
    same network at half the width and height, until the node is configured anew. `warning` says so
    as long as it holds. If that has no room either, every frame fails with that sentence.

    Raises:
        SemdepthError: where weights or engine cannot be had.
    """

    def __init__(self, parameters: Parameters, log: Callable[[str], None]) -> None:
        self._parameters = parameters
        self._log = log
        log(f'loading weights {parameters.weights or "(those that are shipped)"}')
        path = Path(parameters.weights).expanduser() if parameters.weights else None
        self.weights = load_or_untrained(path)
        card = self.weights.card
        self.warning = ''
        self._no_room: EngineError | None = None
        self.engine = self._create_with_room(card.width, card.height)

    def predict(self, images_BHW3: np.ndarray) -> Prediction:
        """Return the prediction for a batch of uint8 RGB images.

        Raises:
            EngineError: when the device has no room for the network, at half size neither.
        """
        height, width = images_BHW3.shape[1:3]
        if (width, height) != (self.engine.width, self.engine.height):
            self.engine.close()
            self.warning, self._no_room = '', None
            self.engine = self._create_with_room(width, height)
        if self._no_room is not None:
            raise self._no_room
        try:
            return self.engine.predict(images_BHW3)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error)
        try:
            if self.warning:
                raise EngineError(reason)
            self.engine.close()
            self.engine = self._create_half_size(width, height, reason)
            return self.engine.predict(images_BHW3)
        except Exception as error:
            self.engine.close()
            self._no_room = EngineError(
                f'engine {self.engine.name} on {self.engine.device} failed at half of '
                f'{width}x{height} too, after it had run out of memory: {_first_line(error)}; '
                'deactivate, clean up and configure to try again'
            )
            raise self._no_room from error

    def close(self) -> None:
        """Free the memory of the device."""
        self.engine.close()

    def _create_with_room(self, width: int, height: int) -> Engine:
        try:
            return self._create(width, height)
        except EngineError as error:
            if not is_out_of_memory(error):
                raise
            return self._create_half_size(width, height, str(error))

    def _create_half_size(self, width: int, height: int, reason: str) -> Engine:
        self.warning = (
            f'the device ran out of memory at {width}x{height}: the network sees half of that'
        )
        self._log(f'{self.warning} ({reason})')
        return HalfSizeEngine(self._create(*half_size(width, height)), width, height)

    def _create(self, width: int, height: int) -> Engine:
        p = self._parameters
        self._log(f'preparing engine {p.engine}: the first time this may take minutes')
        engine = create_engine(
            self.weights,
            name=p.engine,
            device=p.device,
            precision=p.precision,
            batch=len(p.cameras),
            width=width,
            height=height,
            report=self._log,
        )
        self._log(
            f'engine {engine.name} on {engine.device}, {engine.precision}, '
            f'{engine.batch} x {engine.width}x{engine.height}'
        )
        return engine


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

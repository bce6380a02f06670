"""The weights and the engine that runs them, from configure to cleanup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from semdepth_ros.engines import create_engine
from semdepth_ros.engines.engine import Engine, Prediction
from semdepth_ros.ros.parameters import Parameters
from semdepth_ros.weights import load_or_untrained


class Network:
    """An engine for a batch of cameras, with the weights that it was made of.

    With `fit: native` the size of the input follows the camera: the engine is made anew when an
    image of another size arrives.

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
        self.engine = self._create(card.width, card.height)

    def predict(self, images_BHW3: np.ndarray) -> Prediction:
        """Return the prediction for a batch of uint8 RGB images."""
        height, width = images_BHW3.shape[1:3]
        if (width, height) != (self.engine.width, self.engine.height):
            self.engine.close()
            self.engine = self._create(width, height)
        return self.engine.predict(images_BHW3)

    def close(self) -> None:
        """Free the memory of the device."""
        self.engine.close()

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

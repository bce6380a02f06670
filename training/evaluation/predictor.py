"""Weights at work on evaluation frames: the node's own path up to the raw depth."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from semdepth_ros.camera import Camera
from semdepth_ros.engines import create_engine
from semdepth_ros.engines.engine import Engine
from semdepth_ros.pipeline import FramePipeline
from semdepth_ros.weights import load
from semdepth_training.evaluation.frames import RawDepth


class Predictor:
    """Gives the raw depth of an image: after the focal length's factor, before any filter.

    Args:
        weights: weights file.
        engine: name of the engine, or 'auto'.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        precision: 'auto', 'float32', 'bfloat16', 'float16' or 'int8'.
        fit_mode: see `preprocessing.fit`.
        report: gets one line of text for everything that a user should know.

    Raises:
        SemdepthError: when weights or engine cannot be had.
    """

    def __init__(
        self,
        weights: Path,
        *,
        engine: str = 'auto',
        device: str = 'auto',
        precision: str = 'auto',
        fit_mode: str = 'crop',
        report: Callable[[str], None] = print,
    ) -> None:
        self._weights = load(weights)
        self.card = self._weights.card
        self._create_engine = functools.partial(
            create_engine,
            self._weights,
            name=engine,
            device=device,
            precision=precision,
            report=report,
        )
        self._pipeline = FramePipeline(
            self.card.width, self.card.height, self.card.focal_length, fit_mode
        )
        self._engine: Engine | None = None

    def predict(
        self, image_HW3: np.ndarray, camera: Camera, flip: bool = False
    ) -> tuple[RawDepth, RawDepth | None]:
        """Return the raw depth of a rectified image, and with `flip` that of the mirrored one.

        The mirrored one is mirrored back: it lies pixel on pixel with the other.
        """
        prepared = self._pipeline.prepare(image_HW3, camera)
        inner, window = prepared.fit.inner, prepared.fit.window
        engine = self._engine_of(prepared.fit.camera)
        prediction = engine.predict(prepared.network_image[None])
        depth, label, _ = self._pipeline.network_depth(prepared, prediction)
        # The labels are the engine's own until it runs again.
        raw = RawDepth(depth, label.copy(), window)
        if not flip:
            return raw, None
        # Bars of padding stay where they were: only what shows the image is mirrored.
        mirrored = prepared.network_image.copy()
        mirrored[inner] = mirrored[inner][:, ::-1].copy()
        prediction = engine.predict(mirrored[None])
        depth, _, _ = self._pipeline.network_depth(prepared, prediction)
        return raw, RawDepth(np.ascontiguousarray(depth[:, ::-1]), None, window)

    def engine_name(self) -> str:
        """Return the engine, device and precision in use, in words."""
        if self._engine is None:
            return 'no engine yet'
        return f'{self._engine.name} on {self._engine.device}, {self._engine.precision}'

    def close(self) -> None:
        """Free the engine."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _engine_of(self, camera: Camera) -> Engine:
        """Return the engine of this size; only `native` fit ever asks for a second size."""
        if self._engine is None or (self._engine.width, self._engine.height) != camera.size:
            self.close()
            self._engine = self._create_engine(width=camera.width, height=camera.height)
        return self._engine

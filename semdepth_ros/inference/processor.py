"""One frame at a time through engine and pipeline: the node's path, without the node."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from semdepth_ros.camera import Camera
from semdepth_ros.engines import create_engine
from semdepth_ros.engines.engine import Engine
from semdepth_ros.inference.sources import SourceFrame
from semdepth_ros.pipeline import FramePipeline, FrameResult, OutputSettings
from semdepth_ros.preprocessing import fit
from semdepth_ros.scale import CameraHeightScale, WeightsScale
from semdepth_ros.weights import load_or_untrained


class Processor:
    """Call it with a frame, get what the node would publish.

    Args:
        weights: weights file; None takes the shipped ones, or untrained ones where there are none.
        engine: name of the engine, or 'auto'.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        precision: 'auto', 'float32', 'bfloat16', 'float16' or 'int8'.
        fit_mode: see `preprocessing.fit`.
        settings: of the outputs.
        camera_height: metres above the ground, to take the scale from; None: from the weights.
        report: gets one line of text for everything that a user should know.
    """

    def __init__(
        self,
        weights: Path | None,
        *,
        engine: str,
        device: str,
        precision: str,
        fit_mode: str,
        settings: OutputSettings,
        camera_height: float | None,
        report: Callable[[str], None],
    ) -> None:
        self._weights = load_or_untrained(weights)
        card = self._weights.card
        if not card.trained:
            report('these weights are untrained: the depth means nothing')
        self._size = card.width, card.height
        self._create_engine = functools.partial(
            create_engine,
            self._weights,
            name=engine,
            device=device,
            precision=precision,
            report=report,
        )
        self._report = report
        self._said_assumed = False
        self._fit_mode = fit_mode
        self._pipeline = FramePipeline(*self._size, card.focal_length, fit_mode, settings)
        self._engines: dict[tuple[int, int], Engine] = {}
        self._height_scale = None if camera_height is None else CameraHeightScale(camera_height)
        self._weights_scale = WeightsScale(card.scale)
        if self._height_scale is None and not self._weights_scale.current().is_metric:
            report(self._weights_scale.current().reason)

    def __call__(self, frame: SourceFrame) -> FrameResult:
        """Return the outputs of a frame.

        Raises:
            SemdepthError: when the image does not fit its camera, or the engine fails.
        """
        camera = frame.camera or self._assumed_camera(frame)
        prepared = self._pipeline.prepare(frame.image_HW3, camera, frame.rectified)
        engine = self._engine(prepared.fit.camera.size)
        prediction = engine.predict(prepared.network_image[None])
        scale = self._weights_scale.current()
        if self._height_scale is not None:
            self._height_scale.update(*self._pipeline.network_depth(prepared, prediction))
            scale = self._height_scale.current()
        return self._pipeline.finish(prepared, prediction, factor=scale.factor)

    def _engine(self, size: tuple[int, int]) -> Engine:
        if size not in self._engines:
            if self._engines:
                self._engines.popitem()[1].close()
            width, height = size
            self._engines[size] = self._create_engine(width=width, height=height)
        return self._engines[size]

    def _assumed_camera(self, frame: SourceFrame) -> Camera:
        """Return a camera that sees what the training camera saw."""
        if not self._said_assumed:
            self._said_assumed = True
            self._report(
                'no camera_info: the view angle of the training camera is assumed, and depth is '
                'metres only as far as that is right (--camera-info gives the intrinsics)'
            )
        height, width = frame.image_HW3.shape[:2]
        unit = Camera(width, height, 1.0, 1.0, (width - 1) / 2, (height - 1) / 2)
        fitted = fit(unit, *self._size, self._fit_mode)
        focal = self._weights.card.focal_length / fitted.camera.fx
        return Camera(width, height, focal, focal, unit.cx, unit.cy)

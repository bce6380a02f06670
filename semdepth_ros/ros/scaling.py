"""Feeds the scale sources of `semdepth_ros.scale` while the node runs, one feed a camera."""

from __future__ import annotations

from typing import Protocol

from semdepth_ros.engines.engine import Prediction
from semdepth_ros.pipeline import FramePipeline, PreparedFrame
from semdepth_ros.ros.odometry import MotionFromPoseNetwork
from semdepth_ros.scale import CameraHeightScale, OdometryScale, ScaleSource, WeightsScale


class ScaleFeed(Protocol):
    """Takes in every frame; its source answers with the scale in force."""

    @property
    def source(self) -> ScaleSource:
        """Where the scale comes from."""
        ...

    def update(
        self,
        pipeline: FramePipeline,
        prepared: PreparedFrame,
        prediction: Prediction,
        index: int,
        stamp_ns: int,
    ) -> None:
        """Take in image `index` of a prediction."""
        ...


class WeightsFeed:
    """Nothing to take in: the weights know."""

    def __init__(self, scale_kind: str) -> None:
        self.source = WeightsScale(scale_kind)

    def update(
        self,
        pipeline: FramePipeline,
        prepared: PreparedFrame,
        prediction: Prediction,
        index: int,
        stamp_ns: int,
    ) -> None:
        """Take in nothing."""


class CameraHeightFeed:
    """Shows each frame's unscaled depth to the fit of the ground plane."""

    def __init__(self, camera_height: float) -> None:
        self.source = CameraHeightScale(camera_height)

    def update(
        self,
        pipeline: FramePipeline,
        prepared: PreparedFrame,
        prediction: Prediction,
        index: int,
        stamp_ns: int,
    ) -> None:
        """Take in the ground of a frame."""
        self.source.update(*pipeline.network_depth(prepared, prediction, index))


class OdometryFeed:
    """Shows pairs of frames to the pose network and compares with odometry."""

    def __init__(self, motions: MotionFromPoseNetwork) -> None:
        self.source = OdometryScale()
        self._motions = motions

    def update(
        self,
        pipeline: FramePipeline,
        prepared: PreparedFrame,
        prediction: Prediction,
        index: int,
        stamp_ns: int,
    ) -> None:
        """Take in a frame; raise OdometryError where odometry does not cover it."""
        magnification = pipeline.magnification(prepared.fit)
        for motion in self._motions.add(stamp_ns, prepared.network_image, magnification):
            self.source.update(*motion)

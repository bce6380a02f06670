"""Where metres come from: the weights, the camera's height, or odometry.

Each source answers with the factor that turns network depth (already multiplied by f / f_train)
into metres. Factors are smoothed by a median over recent frames: single outliers leave no trace.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from typing import Protocol

import numpy as np

from semdepth_ros.camera import Camera
from semdepth_ros.classes import GROUND, ROAD, UNLABELLED
from semdepth_ros.errors import SemdepthError
from semdepth_ros.ground_plane import fit_ground_plane

SCALE_SOURCES = ('weights', 'camera_height', 'odometry')

#: Odometry tells nothing below this speed, m/s.
MIN_SPEED = 1.0

_WINDOW = 15


class ScaleError(SemdepthError):
    """A scale source that cannot work with what it is given."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """The factor in force.

    Attributes:
        factor: multiply network depth with it; 1 while nothing better is known.
        is_metric: whether the result is in metres.
        reason: where the factor comes from, or what is missing, in words.
    """

    factor: float
    is_metric: bool
    reason: str


class ScaleSource(Protocol):
    """Something that knows the scale of the current frame."""

    def current(self) -> Scale:
        """Return the factor in force."""
        ...


class WeightsScale:
    """The weights were trained to be metric, or they were not."""

    def __init__(self, scale_kind: str) -> None:
        metric = scale_kind == 'metric'
        reason = 'weights are metric' if metric else 'weights are up to scale: depth is not metres'
        self._scale = Scale(1.0, metric, reason)

    def current(self) -> Scale:
        """Return the factor in force."""
        return self._scale


class CameraHeightScale:
    """The ground lies `camera_height` metres under the camera; the depth map says where it lies.

    The plane is fitted to road pixels, else to any ground pixels, else (without labels) to all. A
    frame counts if most of those pixels lie on the plane; the factor is the median of recent
    frames and is held while no ground is seen.
    """

    #: A frame without this share of ground pixels on one plane says nothing about the scale.
    MIN_INLIERS = 0.3

    def __init__(self, camera_height: float) -> None:
        if not (math.isfinite(camera_height) and camera_height > 0):
            raise ScaleError(
                f'camera_height is {camera_height}, expected metres above the ground, more than 0'
            )
        self._camera_height = camera_height
        self._factors: collections.deque[float] = collections.deque(maxlen=_WINDOW)

    def update(self, depth_HW: np.ndarray, label_HW: np.ndarray, camera: Camera) -> None:
        """Take in a frame: unscaled network depth, its labels and its camera."""
        mask = label_HW == ROAD
        if mask.sum() < 200:
            mask = np.isin(label_HW, GROUND)
        if mask.sum() < 200:
            if (label_HW != UNLABELLED).any():
                return
            mask = np.ones(label_HW.shape, bool)
        plane = fit_ground_plane(depth_HW, camera, mask)
        if plane is not None and plane.inliers >= self.MIN_INLIERS:
            self._factors.append(self._camera_height / plane.height)

    def current(self) -> Scale:
        """Return the factor in force."""
        if not self._factors:
            return Scale(1.0, False, 'no ground plane seen yet: depth is not metres')
        return Scale(
            float(np.median(self._factors)), True, f'camera height {self._camera_height:g} m'
        )


class OdometryScale:
    """The pose network says how far the camera moved in its unit, the odometry in metres."""

    def __init__(self) -> None:
        self._factors: collections.deque[float] = collections.deque(maxlen=_WINDOW)

    def update(self, translation: float, speed: float, dt: float) -> None:
        """Take in a pair of frames.

        Args:
            translation: length of the translation that the pose network saw between the frames.
            speed: metres per second over ground between them.
            dt: seconds between them.
        """
        if speed >= MIN_SPEED and dt > 0 and translation > 1e-6:
            self._factors.append(speed * dt / translation)

    def current(self) -> Scale:
        """Return the factor in force; held at standstill."""
        if not self._factors:
            return Scale(
                1.0, False, f'no motion above {MIN_SPEED:g} m/s seen yet: depth is not metres'
            )
        return Scale(float(np.median(self._factors)), True, 'odometry')

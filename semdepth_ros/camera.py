"""A camera's size, intrinsics and distortion, kept together through every change of the image.

The half-pixel rule stands here and nowhere else: pixel centres have integer coordinates, so an
image resized by `s` has `f' = f s` and `c' = (c + 0.5) s - 0.5`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from semdepth_ros.errors import SemdepthError

#: Distortion models that can be rectified, with the numbers of coefficients they come with.
DISTORTION_COEFFICIENTS = {
    'plumb_bob': (0, 4, 5),
    'rational_polynomial': (0, 8, 12, 14),
    'equidistant': (0, 4),
}


class CameraError(SemdepthError):
    """Intrinsics, a size or a distortion that no camera can have."""


@dataclasses.dataclass(frozen=True)
class Camera:
    """A pinhole camera with optional distortion; frame: x right, y down, z forward (REP 103).

    `width`, `height`, `fx`, `fy`, `cx`, `cy` are in pixels, `distortion` are the coefficients of
    `distortion_model` in the order of sensor_msgs/CameraInfo. `rectification` is the 3x3 rotation R
    of CameraInfo, row by row, applied when a distorted image is rectified.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = 'plumb_bob'
    distortion: tuple[float, ...] = ()
    rectification: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise CameraError(f'camera size {self.width}x{self.height} is empty')
        for name in ('fx', 'fy', 'cx', 'cy'):
            value = getattr(self, name)
            if not math.isfinite(value):
                raise CameraError(f'camera intrinsics: {name} is {value}, expected a finite number')
        for name in ('fx', 'fy'):
            value = getattr(self, name)
            if value <= 0:
                raise CameraError(f'camera intrinsics: {name} is {value}, expected more than 0')
        if not all(math.isfinite(value) for value in self.distortion):
            raise CameraError(f'camera distortion {list(self.distortion)} is not finite')
        if not all(math.isfinite(value) for value in self.rectification):
            raise CameraError(f'camera rotation R {list(self.rectification)} is not finite')

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height

    @property
    def K(self) -> np.ndarray:
        """The 3x3 intrinsic matrix, float64, pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    @property
    def is_distorted(self) -> bool:
        """Whether any distortion coefficient is not zero."""
        return any(value != 0 for value in self.distortion)

    def resized(self, width: int, height: int) -> Camera:
        """Return the camera of this image resized to `width` x `height`."""
        sx, sy = width / self.width, height / self.height
        return dataclasses.replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
        )

    def cropped(self, x: int, y: int, width: int, height: int) -> Camera:
        """Return the camera of the window at (`x`, `y`); beyond the image it means padding."""
        return dataclasses.replace(self, width=width, height=height, cx=self.cx - x, cy=self.cy - y)

    def decimated(self, stride: int) -> Camera:
        """Return the camera of `image[::stride, ::stride]`: samples stay, so c' = c / stride."""
        if stride == 1:
            return self
        return dataclasses.replace(
            self,
            width=-(-self.width // stride),
            height=-(-self.height // stride),
            fx=self.fx / stride,
            fy=self.fy / stride,
            cx=self.cx / stride,
            cy=self.cy / stride,
        )

    def undistorted(self) -> Camera:
        """Return the pinhole camera with the same size and intrinsics."""
        return Camera(self.width, self.height, self.fx, self.fy, self.cx, self.cy)

    def rays(self) -> np.ndarray:
        """Return the viewing ray of every pixel at z = 1, (H, W, 2) float32: x/z and y/z.

        The array is cached and read-only. It says nothing about distortion: rectify first.
        """
        return _rays(self.width, self.height, self.fx, self.fy, self.cx, self.cy)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return the pixels (..., 2) of points (..., 3) in the camera frame, without distortion."""
        points = np.asarray(points)
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        with np.errstate(divide='ignore', invalid='ignore'):
            return np.stack([self.fx * x / z + self.cx, self.fy * y / z + self.cy], axis=-1)

    def unproject(self, depth_HW: np.ndarray) -> np.ndarray:
        """Return the points (H, W, 3) of a depth image in metres along Z."""
        if depth_HW.shape != (self.height, self.width):
            raise CameraError(
                f'depth image is {depth_HW.shape[1]}x{depth_HW.shape[0]}, '
                f'the camera {self.width}x{self.height}'
            )
        with np.errstate(invalid='ignore'):
            xy = self.rays() * depth_HW[..., None]
        return np.concatenate([xy, depth_HW[..., None]], axis=-1)

    @classmethod
    def from_K(cls, K: Any, width: int, height: int, **fields: Any) -> Camera:
        """Return the camera of a 3x3 matrix (any sequence of nine numbers) and a size."""
        k = np.asarray(K, np.float64).reshape(-1)
        if k.size != 9:
            raise CameraError(f'camera matrix K has {k.size} values, expected 9')
        if k[1] != 0:
            raise CameraError(f'camera matrix K has skew {k[1]}, expected 0')
        fx, fy, cx, cy = (float(value) for value in k[[0, 4, 2, 5]])
        return cls(int(width), int(height), fx, fy, cx, cy, **fields)

    @classmethod
    def from_camera_info(cls, info: Any, rectified: bool = False) -> Camera:
        """Return the camera of the image that a CameraInfo message (of any library) describes.

        Binning and the region of interest are honoured. With `rectified` the image is known to be
        rectified: intrinsics come from P and the distortion is dropped; otherwise from K and D. The
        messages of ROS 1 spell the matrices in capitals, those of ROS 2 do not: both are read.

        Raises:
            CameraError: for zero, NaN or otherwise impossible values.
        """

        def matrix(name: str) -> np.ndarray:
            value = getattr(info, name.lower(), None)
            return np.asarray(getattr(info, name) if value is None else value, np.float64)

        if rectified:
            P = matrix('P')
            if P.size != 12:
                raise CameraError(f'camera_info: P has {P.size} values, expected 12')
            K = P.reshape(3, 4)[:, :3]
            # Drivers of rectified cameras often fill K alone.
            if not K.any():
                K = matrix('K')
            camera = cls.from_K(K, info.width, info.height)
        else:
            R = tuple(matrix('R').tolist())
            D = tuple(matrix('D').tolist())
            fields: dict[str, Any] = {'distortion': D}
            if any(D):
                model = info.distortion_model or 'plumb_bob'
                counts = DISTORTION_COEFFICIENTS.get(model)
                if counts is None:
                    raise CameraError(
                        f'camera_info: distortion model {model!r} is unknown, '
                        f'expected one of {", ".join(DISTORTION_COEFFICIENTS)}'
                    )
                if len(D) not in counts:
                    raise CameraError(
                        f'camera_info: {len(D)} coefficients D for {model}, expected '
                        + ' or '.join(str(count) for count in counts[1:])
                    )
                fields['distortion_model'] = model
            if len(R) == 9 and any(R):
                fields['rectification'] = R
            camera = cls.from_K(matrix('K'), info.width, info.height, **fields)

        roi = info.roi
        if roi.width and roi.height:
            camera = camera.cropped(roi.x_offset, roi.y_offset, roi.width, roi.height)
        binning_x, binning_y = max(1, info.binning_x), max(1, info.binning_y)
        if (binning_x, binning_y) != (1, 1):
            camera = camera.resized(camera.width // binning_x, camera.height // binning_y)
        return camera


@functools.lru_cache(maxsize=16)
def _rays(width: int, height: int, fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    x = (np.arange(width) - cx) / fx
    y = (np.arange(height) - cy) / fy
    rays = np.empty((height, width, 2), np.float32)
    rays[..., 0] = x[None, :]
    rays[..., 1] = y[:, None]
    rays.setflags(write=False)
    return rays

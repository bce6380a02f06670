"""From a camera's image to the network's input: one way for trainer, evaluator, exporter and node.

A network has one input size. An image of another shape is cropped or padded, never stretched by
more than 5 %, because a network that has learned one shape of a car mismeasures the other.
"""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np

from semdepth_ros.camera import Camera
from semdepth_ros.errors import SemdepthError

#: How an image of another aspect ratio becomes a network input.
FIT_MODES = ('crop', 'pad', 'native')

#: Largest ratio between horizontal and vertical scale that counts as the same shape.
MAX_STRETCH = 1.05

#: What every network's down-sampling divides: sizes must be multiples of it.
SIZE_MULTIPLE = 32


class FitError(SemdepthError):
    """An image that cannot become the network's input."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """How images of one camera become network inputs.

    The source window (`x`, `y`, `width`, `height`, in pixels of the image) is resized to the
    size `inner_width` x `inner_height`, which fills the network's input from its upper left corner;
    what is left at the right and below is black. With `crop` nothing is left, with `pad` the source
    window is the whole image.

    Attributes:
        source: camera of the (rectified) image.
        camera: camera of the network input; its size is the network's.
    """

    source: Camera
    camera: Camera
    x: int
    y: int
    width: int
    height: int
    inner_width: int
    inner_height: int

    @property
    def inner(self) -> tuple[slice, slice]:
        """Rows and columns of the network input that show the image."""
        return slice(0, self.inner_height), slice(0, self.inner_width)

    @property
    def inner_camera(self) -> Camera:
        """Camera of that part of the network input."""
        return self.camera.cropped(0, 0, self.inner_width, self.inner_height)

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image that the network sees."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    @property
    def seen(self) -> float:
        """Share of the image that the network sees, 0 to 1."""
        return self.width * self.height / (self.source.width * self.source.height)

    def apply(self, image_HW3: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return the network input (h, w, 3) uint8 of an image (H, W, 3) uint8.

        The filter is area averaging where the image shrinks, bilinear where it grows.

        Args:
            image_HW3: image of the size of `source`.
            out: array to write to, such as one image of an engine's batch.

        Raises:
            FitError: when the image does not have the size of `source`.
        """
        if image_HW3.shape[:2] != (self.source.height, self.source.width):
            raise FitError(
                f'image is {image_HW3.shape[1]}x{image_HW3.shape[0]}, '
                f'its camera {self.source.width}x{self.source.height}'
            )
        if out is None:
            out = np.empty((self.camera.height, self.camera.width, *image_HW3.shape[2:]), np.uint8)
        if (self.inner_width, self.inner_height) != self.camera.size:
            out[:] = 0
        window, inner = image_HW3[self.window], out[self.inner]
        if (self.width, self.height) == (self.inner_width, self.inner_height):
            inner[:] = window
            return out
        shrinks = self.width > self.inner_width
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        size = (self.inner_width, self.inner_height)
        inner[:] = cv2.resize(window, size, interpolation=interpolation)
        return out


@functools.lru_cache(maxsize=32)
def fit(camera: Camera, width: int, height: int, mode: str = 'crop') -> Fit:
    """Return how images of `camera` become network inputs of `width` x `height`.

    `crop` keeps the largest central window of the network's shape, `pad` keeps the whole image and
    leaves black bars at the right and below, `native` ignores the network size and takes the image
    as it is, less the rest of a division by 32. Where the shapes differ by at most 5 % the whole
    image is resized in the modes `crop` and `pad`.

    Raises:
        FitError: for an unknown mode, or a `native` image smaller than 32x32.
    """
    if mode not in FIT_MODES:
        raise FitError(f'fit is {mode!r}, expected one of {", ".join(FIT_MODES)}')
    if mode == 'native':
        return _native(camera)
    sx, sy = width / camera.width, height / camera.height
    if max(sx, sy) / min(sx, sy) <= MAX_STRETCH:
        return _window(camera, (0, 0, *camera.size), (width, height), (width, height))
    if mode == 'crop':
        scale = max(sx, sy)
        # The window has the network's shape to within a pixel, and stays inside the image.
        w = min(camera.width, max(1, round(width / scale)))
        h = min(camera.height, max(1, round(height / scale)))
        window = ((camera.width - w) // 2, (camera.height - h) // 2, w, h)
        return _window(camera, window, (width, height), (width, height))
    scale = min(sx, sy)
    inner = (max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
    return _window(camera, (0, 0, *camera.size), inner, (width, height))


def _native(camera: Camera) -> Fit:
    w = camera.width // SIZE_MULTIPLE * SIZE_MULTIPLE
    h = camera.height // SIZE_MULTIPLE * SIZE_MULTIPLE
    if w == 0 or h == 0:
        raise FitError(
            f'fit native: image is {camera.width}x{camera.height}, '
            f'expected at least {SIZE_MULTIPLE}x{SIZE_MULTIPLE}'
        )
    window = ((camera.width - w) // 2, (camera.height - h) // 2, w, h)
    return _window(camera, window, (w, h), (w, h))


def _window(
    source: Camera,
    window: tuple[int, int, int, int],
    inner: tuple[int, int],
    size: tuple[int, int],
) -> Fit:
    camera = source.cropped(*window).resized(*inner).cropped(0, 0, *size)
    return Fit(source, camera, *window, *inner)

"""Half the size: the one smaller attempt after the device ran out of memory."""

from __future__ import annotations

import cv2
import numpy as np

from semdepth_ros.engines.engine import Engine, Prediction
from semdepth_ros.postprocessing import resize_nearest, upsample_inverse_depth
from semdepth_ros.preprocessing import SIZE_MULTIPLE


def half_size(width: int, height: int) -> tuple[int, int]:
    """Return half of a size, filled up to what a network takes: multiples of 32."""
    filled = (-(-side // 2 // SIZE_MULTIPLE) * SIZE_MULTIPLE for side in (width, height))
    return next(filled), next(filled)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device had no room; every runtime has an error class of its own for it."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(
        words in text for words in ('out of memory', 'failed to allocate', 'bad allocation')
    )


class HalfSizeEngine:
    """`Engine` for images of `width` x `height` that runs a smaller one.

    Images are halved and their right and lower borders repeated up to the engine's size. Objects
    look half as large to the network, so that its inverse depth is half of what it would be: it is
    doubled, which keeps the metres. Detail is lost.

    Args:
        engine: for images of `half_size(width, height)`.
        width: of the images, pixels, a multiple of 32.
        height: of the images, pixels, a multiple of 32.
    """

    def __init__(self, engine: Engine, width: int, height: int) -> None:
        self._engine = engine
        self.name, self.device, self.precision = engine.name, engine.device, engine.precision
        self.batch, self.width, self.height = engine.batch, width, height

    def predict(self, images_BHW3: np.ndarray) -> Prediction:
        """Return the prediction for uint8 RGB images, resized to their size."""
        small = self._engine.predict(np.stack([self._halved(image) for image in images_BHW3]))
        inside = np.s_[: self.height // 2, : self.width // 2]
        size = self.width, self.height
        return Prediction(
            np.stack([2 * upsample_inverse_depth(a[inside], *size) for a in small.inv_depth_BHW]),
            np.stack([resize_nearest(a[inside], *size) for a in small.label_BHW]),
            np.stack([resize_nearest(a[inside], *size) for a in small.confidence_BHW]),
        )

    def close(self) -> None:
        """Free the device's memory."""
        self._engine.close()

    def _halved(self, image_HW3: np.ndarray) -> np.ndarray:
        width, height = self.width // 2, self.height // 2
        right, below = self._engine.width - width, self._engine.height - height
        small = cv2.resize(image_HW3, (width, height), interpolation=cv2.INTER_AREA)
        return cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_REPLICATE)

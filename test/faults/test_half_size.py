"""The smaller attempt: any size that a network takes is halved without stretching, metres kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('rclpy')

from semdepth_ros.engines.engine import Prediction
from semdepth_ros.ros.half_size import HalfSizeEngine, half_size, is_out_of_memory

SIDES = st.integers(1, 40).map(lambda n: 32 * n)


class RedEngine:
    """Takes the red value of every pixel for its inverse depth."""

    name, device, precision, batch = 'red', 'cpu', 'float32', 2

    def __init__(self, width, height):
        self.width, self.height = width, height

    def predict(self, images_BHW3):
        assert images_BHW3.shape == (2, self.height, self.width, 3)
        red = images_BHW3[..., 0]
        return Prediction(red.astype(np.float32) / 100, red // 20, red)

    def close(self):
        pass


@settings(max_examples=30, deadline=None)
@given(width=SIDES, height=SIDES)
def test_predictions_have_the_size_of_the_images_and_twice_the_inverse_depth(width, height):
    """Guard: the border of `HalfSizeEngine._halved` (half_size.py): half of 32 is no multiple of
    32, and stretching to one would bend the picture."""
    small = half_size(width, height)
    assert all(side % 32 == 0 for side in small)
    engine = HalfSizeEngine(RedEngine(*small), width, height)
    images = np.zeros((2, height, width, 3), np.uint8)
    # Left half darker than the right one, at the same column at half size.
    images[..., : width // 2, 0], images[..., width // 2 :, 0] = 60, 180
    found = engine.predict(images)
    for array in (found.inv_depth_BHW, found.label_BHW, found.confidence_BHW):
        assert array.shape == (2, height, width)
    np.testing.assert_allclose(found.inv_depth_BHW[..., 0], 1.2)
    np.testing.assert_allclose(found.inv_depth_BHW[..., -1], 3.6)
    assert (found.label_BHW == images[..., 0] // 20).all()


@pytest.mark.parametrize(
    ('error', 'is_memory'),
    [
        (RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB'), True),
        (MemoryError(), True),
        (RuntimeError('[ONNXRuntimeError] Failed to allocate memory for requested buffer'), True),
        (RuntimeError('CUDA error: an illegal memory access was encountered'), False),
        (ValueError('memory'), False),
    ],
)
def test_running_out_of_memory_is_known_by_its_words(error, is_memory):
    """Guard: `is_out_of_memory` (half_size.py); other failures get no second attempt."""
    assert is_out_of_memory(error) == is_memory

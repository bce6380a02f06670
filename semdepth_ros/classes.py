"""The Cityscapes train ids: names, colours and the groups that the package reasons about."""

from __future__ import annotations

import numpy as np

#: Names by train id (0 to 18), the order in which semantic networks answer.
CLASS_NAMES = (
    'road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
    'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train',
    'motorcycle', 'bicycle',
)  # fmt: skip

#: RGB by train id, the palette of the Cityscapes benchmark.
CLASS_COLORS = np.array(
    [
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
        (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
        (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100),
        (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ],
    dtype=np.uint8,
)  # fmt: skip

#: No class: outside the network's view, or too unsure.
UNLABELLED = 255

ROAD, SIDEWALK, BUILDING, TERRAIN, SKY = 0, 1, 2, 9, 10
GROUND = (ROAD, SIDEWALK, TERRAIN)
VEHICLES = (13, 14, 15, 16, 17, 18)


def color_table() -> np.ndarray:
    """Return the RGB of every uint8 label, (256, 3) uint8; what has no class is black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(CLASS_COLORS)] = CLASS_COLORS
    return table

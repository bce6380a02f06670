"""Pictures of depth and labels for people."""

from __future__ import annotations

import cv2
import numpy as np

from semdepth_ros.classes import color_table

_COLOR_TABLE = color_table()


def color_depth(depth_HW: np.ndarray, max_depth: float = 80.0) -> np.ndarray:
    """Return depth as uint8 RGB: near is warm, far is cold (log scale), sky white, invalid black.

    Args:
        depth_HW: metres; NaN, +Inf and -Inf as in REP 117.
        max_depth: depth in metres that gets the coldest colour.
    """
    nearest = 1.0
    with np.errstate(divide='ignore', invalid='ignore'):
        closeness = 1 - np.log(depth_HW / nearest) / np.log(max_depth / nearest)
    level = np.clip(np.nan_to_num(closeness, nan=0, posinf=1, neginf=0), 0, 1) * 255
    turbo = cv2.applyColorMap(level.astype(np.uint8), cv2.COLORMAP_TURBO)
    rgb = cv2.cvtColor(turbo, cv2.COLOR_BGR2RGB)
    rgb[np.isposinf(depth_HW)] = 255
    rgb[~(depth_HW > -np.inf)] = 0
    return rgb


def color_labels(label_HW: np.ndarray) -> np.ndarray:
    """Return train ids as uint8 RGB in the Cityscapes palette; unlabelled is black."""
    return _COLOR_TABLE[label_HW]

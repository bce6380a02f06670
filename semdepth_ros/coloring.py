"""Pictures of depth and labels for people."""

from __future__ import annotations

import math

import cv2
import numpy as np

from semdepth_ros.classes import color_table

#: Indices of the depth palette: cold (far) to warm (near), then what is no depth.
_WARMEST, _SKY, _INVALID = 253, 254, 255
_NEAREST = 1.0


def _depth_palette() -> np.ndarray:
    levels = np.linspace(0, 255, _WARMEST + 1).round().astype(np.uint8)
    turbo = cv2.applyColorMap(levels[:, None], cv2.COLORMAP_TURBO)[..., ::-1]
    return np.concatenate([turbo, [[[255] * 3], [[0] * 3]]]).astype(np.uint8)


_DEPTH_PALETTE = _depth_palette()
_LABEL_PALETTE = color_table()[:, None]


def color_depth(depth_HW: np.ndarray, max_depth: float = 80.0) -> np.ndarray:
    """Return depth as uint8 RGB: near is warm, far is cold (log scale), sky white, invalid black.

    Args:
        depth_HW: metres; NaN, +Inf and -Inf as in REP 117.
        max_depth: depth in metres that gets the coldest colour.
    """
    # One logarithm, one table: people watch these pictures live.
    farness = cv2.log(np.clip(depth_HW, _NEAREST, max_depth))
    scale = -_WARMEST / math.log(max_depth / _NEAREST)
    level = cv2.convertScaleAbs(farness, alpha=scale, beta=_WARMEST)
    np.copyto(level, _SKY, where=np.isposinf(depth_HW))
    np.copyto(level, _INVALID, where=~(depth_HW > -np.inf))
    return cv2.applyColorMap(level, _DEPTH_PALETTE)


def color_labels(label_HW: np.ndarray) -> np.ndarray:
    """Return train ids as uint8 RGB in the Cityscapes palette; unlabelled is black."""
    return cv2.applyColorMap(label_HW, _LABEL_PALETTE)

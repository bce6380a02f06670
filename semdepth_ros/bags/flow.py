"""How far the picture moved from one frame to the next, cheaply: optical flow of thumbnails."""

from __future__ import annotations

import cv2
import numpy as np

#: Width in pixels at which optical flow is measured.
FLOW_WIDTH = 160


def thumbnail(image_HW3: np.ndarray) -> np.ndarray:
    """Return an RGB image in gray, `FLOW_WIDTH` pixels wide, (h, 160) uint8."""
    height, width = image_HW3.shape[:2]
    size = (FLOW_WIDTH, max(32, round(FLOW_WIDTH * height / width)))
    gray = cv2.cvtColor(image_HW3, cv2.COLOR_RGB2GRAY)
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA)


def median_flow(before: np.ndarray, after: np.ndarray) -> float:
    """Return the median length of the flow between two thumbnails, as a share of their width."""
    preset = cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST
    method = cv2.DISOpticalFlow_create(preset)  # type: ignore[attr-defined]
    flow = method.calc(before, after, None)
    return float(np.median(np.linalg.norm(flow, axis=2))) / before.shape[1]

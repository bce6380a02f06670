"""The picture sheet: image, depth, labels and cloud from above, at some moments of a drive."""

from __future__ import annotations

import cv2
import numpy as np

from semdepth_ros.classes import SKY, color_table
from semdepth_ros.coloring import color_depth, color_labels
from semdepth_ros.demo.check import PublishedFrame

#: Ground that the view from above shows: metres to either side, and ahead.
SIDE, AHEAD = 16.0, 48.0

_WIDTH = 480
_MARGIN = 6


def cloud_from_above(frame: PublishedFrame, height: int) -> np.ndarray:
    """Return the cloud seen from above, uint8 RGB; the camera is at the middle of the lower edge.

    Points have the colour of their label, higher points cover lower ones; a ring every 10 m.
    """
    scale = height / AHEAD
    width = round(2 * SIDE * scale)
    view = np.full((height, width, 3), 24, np.uint8)
    for metres in range(10, int(AHEAD), 10):
        cv2.circle(view, (width // 2, height), round(metres * scale), (70, 70, 70), 1, cv2.LINE_AA)
    points = frame.points_HW.reshape(-1)
    points = points[np.isfinite(points['z']) & (points['label'] != SKY)]
    points = points[np.argsort(-points['y'], kind='stable')]
    column = np.round(width / 2 + points['x'] * scale).astype(int)
    row = np.round(height - points['z'] * scale).astype(int)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    labels = np.minimum(points['label'][inside], 255).astype(np.uint8)
    view[row[inside], column[inside]] = np.where(labels[:, None] == 255, 200, color_table()[labels])
    return view


def sheet(frames: list[tuple[np.ndarray, PublishedFrame]]) -> np.ndarray:
    """Return one row per (image, published frame): image, depth, labels, cloud; uint8 RGB."""
    rows = []
    for image, frame in frames:
        height = round(_WIDTH * frame.camera.height / frame.camera.width)
        panels = [
            _resize(image, _WIDTH, height),
            _resize(color_depth(frame.depth_HW), _WIDTH, height),
            _resize(color_labels(frame.label_HW), _WIDTH, height),
        ]
        column = np.vstack([_frame(panel) for panel in panels])
        rows.append(np.hstack([column, _frame(cloud_from_above(frame, len(column) - _MARGIN))]))
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    columns = 2 if len(rows) > 2 else 1
    rows += [np.zeros_like(rows[0])] * (-len(rows) % columns)
    return np.vstack([np.hstack(rows[i : i + columns]) for i in range(0, len(rows), columns)])


def _resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _frame(panel: np.ndarray) -> np.ndarray:
    half = _MARGIN // 2
    return cv2.copyMakeBorder(panel, half, half, half, half, cv2.BORDER_CONSTANT, value=(0, 0, 0))

"""What depth scores that does not look at the image: the floor that a network has to beat.

A drive is alike from frame to frame (road below, far in the middle), so the mean depth map alone
scores well. A network whose figures are not far below has learned the average road and no more.
"""

from __future__ import annotations

import numpy as np

from semdepth_ros.errors import SemdepthError
from semdepth_ros.postprocessing import resize_nearest
from semdepth_training.evaluation.frames import RawDepth

#: Size of the mean maps, rows and columns: coarse enough for LiDAR to fill, finer than any road.
GRID = (96, 320)


class BaselineError(SemdepthError):
    """Baselines that have seen no depth."""


class DepthMean:
    """Mean depth by image position over many frames; sizes may differ, views should not.

    Args:
        max_depth: depth beyond it is left out, metres.
    """

    def __init__(self, max_depth: float) -> None:
        self._max_depth = max_depth
        self._sum = np.zeros(GRID)
        self._count = np.zeros(GRID)
        self._medians: list[float] = []

    def add(self, depth_HW: np.ndarray) -> None:
        """Take in the depth of a frame, metres; NaN, 0 and Inf are no depth."""
        height, width = (max(size, cells) for size, cells in zip(depth_HW.shape, GRID))
        if depth_HW.shape != (height, width):
            # A frame smaller than the grid would leave cells empty that it does see.
            depth_HW = resize_nearest(depth_HW, width, height)
        with np.errstate(invalid='ignore'):
            y, x = np.nonzero((depth_HW > 0) & (depth_HW <= self._max_depth))
        if not len(y):
            return
        depth = depth_HW[y, x]
        cell = (y * GRID[0] // height) * GRID[1] + x * GRID[1] // width
        size = GRID[0] * GRID[1]
        self._sum += np.bincount(cell, depth, size).reshape(GRID)
        self._count += np.bincount(cell, minlength=size).reshape(GRID)
        self._medians.append(float(np.median(depth)))

    def constant(self) -> RawDepth:
        """Return the median over frames of the median depth, everywhere."""
        self._check()
        return RawDepth(np.full(GRID, np.median(self._medians), np.float32))

    def per_row(self) -> RawDepth:
        """Return the mean depth of each row; rows without any take the nearest row's."""
        return RawDepth(np.repeat(self._rows()[:, None], GRID[1], axis=1).astype(np.float32))

    def depth_map(self) -> RawDepth:
        """Return the mean depth of each position; where nothing was seen, of its row."""
        rows = self._rows()
        mean = self._sum / np.maximum(self._count, 1)
        return RawDepth(np.where(self._count > 0, mean, rows[:, None]).astype(np.float32))

    def _rows(self) -> np.ndarray:
        self._check()
        total, count = self._sum.sum(axis=1), self._count.sum(axis=1)
        seen = np.flatnonzero(count)
        nearest = seen[np.abs(np.arange(GRID[0])[:, None] - seen).argmin(axis=1)]
        return total[nearest] / count[nearest]

    def _check(self) -> None:
        if not self._medians:
            raise BaselineError(
                f'baselines: no frame with depth in (0, {self._max_depth:g}] m was given, '
                'expected at least one'
            )

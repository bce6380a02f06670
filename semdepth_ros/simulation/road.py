"""The road: its centre line through the world, and what lies across it.

World frame (REP 103): x forward, y left, z up, the ground at z = 0. Road coordinates: `s` metres
along the centre line, `d` metres to its left. Traffic keeps to the right.
"""

from __future__ import annotations

import dataclasses

import numpy as np

#: Metres of road before the start and after the end of a drive.
MARGIN = 450.0
_STEP = 0.5


class CentreLine:
    """A smooth line whose heading stays within 45 degrees of x, so that it never meets itself."""

    def __init__(self, rng: np.random.Generator, length: float) -> None:
        waves = np.array([260.0, 140.0, 85.0]) * rng.uniform(0.8, 1.3, 3)
        # From almost straight to winding; the shortest radius is about 50 m.
        bend = rng.choice([0.05, 0.4, 1.0], p=[0.25, 0.35, 0.4])
        amplitudes = bend * np.array([0.38, 0.2, 0.1]) * rng.uniform(0.4, 1.0, 3)
        phases = rng.uniform(0, 2 * np.pi, 3)
        self.x = np.arange(-MARGIN, length + MARGIN, _STEP)
        angle = 2 * np.pi * self.x[:, None] / waves + phases
        self.heading = (amplitudes * np.sin(angle)).sum(1)
        self.y = _integral(np.tan(self.heading))
        self.s = _integral(1 / np.cos(self.heading))
        start = np.searchsorted(self.x, 0)
        self.y -= self.y[start]
        self.s -= self.s[start]
        self._table = np.stack([self.y, self.s, np.cos(self.heading), np.sin(self.heading)]).astype(
            np.float32
        )

    def at(
        self, s: float | np.ndarray, d: float | np.ndarray = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x, y and heading of the points (`s`, `d`)."""
        heading = np.interp(s, self.s, self.heading)
        x = np.interp(s, self.s, self.x) - d * np.sin(heading)
        y = np.interp(s, self.s, self.y) + d * np.cos(heading)
        return x, y, heading

    def coordinates(
        self, x: np.ndarray, y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return s, d and the cosine and sine of the heading beside the points (x, y), float32.

        To first order in the bend: exact on the line, centimetres off at the pavement, and
        continuous everywhere, which is what a texture needs.
        """
        position = np.clip((x - self.x[0]) / _STEP, 0, len(self.x) - 2)
        index = position.astype(np.int32)
        fraction = (position - index).astype(np.float32)
        y0, s0, cos, sin = (
            row.take(index) * (1 - fraction) + row.take(index + 1) * fraction for row in self._table
        )
        offset = y - y0
        return s0 + offset * sin, offset * cos, cos, sin


def _integral(values: np.ndarray) -> np.ndarray:
    steps = (values[1:] + values[:-1]) * (_STEP / 2)
    return np.concatenate([[0.0], np.cumsum(steps)])


@dataclasses.dataclass(frozen=True)
class CrossSection:
    """What lies across the road, in metres; the same on both sides.

    Attributes:
        lanes: Lanes in each direction.
        lane_width: Width of a lane.
        parking: Width of the strip where cars are parked, 0 for none.
        pavement: Width of the pavement, 0 for none.
    """

    lanes: int
    lane_width: float
    parking: float
    pavement: float

    @property
    def kerb(self) -> float:
        """Distance of the kerb (the edge of the road) from the centre line."""
        return self.lanes * self.lane_width + self.parking

    @property
    def edge(self) -> float:
        """Distance of the pavement's far edge from the centre line."""
        return self.kerb + self.pavement

    def lane(self, index: int) -> float:
        """Return d of the centre of a lane: 1, 2 to the right, -1, -2 to the left (oncoming)."""
        side = -1 if index > 0 else 1
        return side * (abs(index) - 0.5) * self.lane_width

    @classmethod
    def draw(cls, rng: np.random.Generator, urban: bool, lanes: int) -> CrossSection:
        """Draw a town street, or a country road without pavement."""
        return cls(
            lanes=lanes,
            lane_width=rng.uniform(2.8, 3.6),
            parking=rng.choice([0.0, 2.2]) if urban else 0.0,
            pavement=rng.uniform(1.5, 4.5) if urban else rng.choice([0.0, 1.5]),
        )

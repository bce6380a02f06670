"""How the camera moves: along its lane, with stops, swaying a little; a function of time alone."""

from __future__ import annotations

import numpy as np

from semdepth_ros.simulation.config import StreetConfig
from semdepth_ros.simulation.road import CentreLine, CrossSection

#: Seconds between two stops, and that a stop takes to brake or to start.
_CYCLE = 20.0
_RAMP = 1.5
_STEP = 0.01


class EgoMotion:
    """The camera's place on the road over time.

    Sway and pitch follow the place, not the time, so that a standing camera stands still.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        config: StreetConfig,
        street: CrossSection,
        lane: int,
    ) -> None:
        self.mean_speed = float(rng.uniform(7, 13)) if config.speed is None else config.speed
        self._sway = rng.uniform(0.05, 0.35, 2), rng.uniform(0, 6.3, 2), np.array([34.0, 75.0])
        self._bounce = np.radians(rng.uniform(0.05, 0.3, 2)), rng.uniform(0, 6.3, 2)
        self._lane = street.lane(lane)
        phase = rng.uniform(0, 2 * np.pi)
        self._time = np.arange(-1.0, config.frames / config.rate + 1.0, _STEP)
        speed = self.mean_speed * (1 + 0.2 * np.sin(2 * np.pi * self._time / 17 + phase))
        speed *= _stopping(self._time, config.standstill, config.frames / config.rate)
        self._s = np.concatenate([[0], np.cumsum((speed[1:] + speed[:-1]) * (_STEP / 2))])
        self._s -= np.interp(0.0, self._time, self._s)

    @property
    def length(self) -> float:
        """Metres of the whole drive."""
        return float(self._s[-1])

    def s(self, time: float) -> float:
        """Return the place along the centre line."""
        return float(np.interp(time, self._time, self._s))

    def pose(self, time: float, line: CentreLine) -> tuple[float, float, float]:
        """Return x, y and yaw of the camera's foot point."""
        s = self.s(time)
        x, y, _ = line.at(s, self._offset(s))
        step = 0.05
        (x0, y0, _), (x1, y1, _) = (line.at(s + d, self._offset(s + d)) for d in (-step, step))
        return float(x), float(y), float(np.arctan2(y1 - y0, x1 - x0))

    def pitch(self, time: float) -> float:
        """Return the pitch in radians that unevenness adds, positive looks down."""
        amplitudes, phases = self._bounce
        return float(amplitudes @ np.sin(self.s(time) / np.array([3.1, 8.7]) + phases))

    def twist(self, time: float, line: CentreLine) -> tuple[float, float]:
        """Return speed (m/s) and yaw rate (rad/s)."""
        step = 0.02
        (x0, y0, yaw0), (x1, y1, yaw1) = (self.pose(time + d, line) for d in (-step, step))
        turn = (yaw1 - yaw0 + np.pi) % (2 * np.pi) - np.pi
        return float(np.hypot(x1 - x0, y1 - y0) / (2 * step)), float(turn / (2 * step))

    def _offset(self, s: float) -> float:
        amplitudes, phases, waves = self._sway
        return self._lane + float(amplitudes @ np.sin(2 * np.pi * s / waves + phases)) * 0.7


def _stopping(time: np.ndarray, standstill: float, duration: float) -> np.ndarray:
    """Return the factor on the speed: 0 for the share `standstill` of each cycle, at its end."""
    if standstill == 0:
        return np.ones_like(time)
    cycle = min(_CYCLE, duration)
    stop = standstill * cycle
    ramp = min(_RAMP, (cycle - stop) / 3)
    from_middle = np.abs((time + (stop - cycle) / 2) % cycle - cycle / 2)
    share = np.clip((from_middle - stop / 2) / ramp, 0, 1)
    return share * share * (3 - 2 * share)

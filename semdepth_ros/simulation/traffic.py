"""The vehicles on the lanes: oncoming, beside, ahead, the convoy, and the queue that stands."""

from __future__ import annotations

import math

import numpy as np

from semdepth_ros.simulation.config import StreetConfig
from semdepth_ros.simulation.materials import Materials
from semdepth_ros.simulation.motion import EgoMotion
from semdepth_ros.simulation.quads import Quads
from semdepth_ros.simulation.road import CentreLine, CrossSection
from semdepth_ros.simulation.scenery import Pieces

#: Metres of way after which the convoy opens and closes its gap again.
_CONVOY_CYCLE = 160.0
_STREAM_IDS = 100_000


class Traffic:
    """Vehicles as functions of time; the number of those that drive has no end."""

    def __init__(
        self,
        config: StreetConfig,
        line: CentreLine,
        street: CrossSection,
        materials: Materials,
        ego: EgoMotion,
        ego_lane: int,
    ) -> None:
        rng = np.random.default_rng((config.seed, 21))
        self._seed = config.seed
        self._line = line
        self._street = street
        self._vehicles = materials.vehicles
        self._ego = ego
        self._lane = ego_lane
        self._convoy = config.convoy
        self._convoy_cars = config.convoy_cars
        self._gap = rng.uniform(6, 13)
        self._phase = rng.uniform(0, 1)
        self._convoy_cycle = min(_CONVOY_CYCLE, max(ego.length, 20.0))
        # Lane, speed along s, spacing of each endless stream.
        self._streams: list[tuple[int, float, float]] = []
        if config.traffic:
            spacing = 22 / config.traffic
            for lane in range(1, street.lanes + 1):
                oncoming = rng.uniform(6, 14)
                self._streams.append((-lane, -oncoming, spacing * rng.uniform(0.7, 2.5)))
                if lane != ego_lane and config.convoy_cars == 1 and not config.queue:
                    # In the lane beside: usually slower, so that the camera passes them.
                    speed = ego.mean_speed * rng.choice([0.5, 0.75, 1.2], p=[0.45, 0.4, 0.15])
                    self._streams.append((lane, speed, spacing * rng.uniform(0.8, 2)))
        # A car ahead whose distance changes; what follows the camera's place stops with it.
        self._leads = config.convoy == 0 and rng.random() < config.traffic and not config.queue
        if config.jam:
            # What was drawn stays as it is: the same vehicles stand where they would drive.
            self._streams = [(lane, 0.0, spacing) for lane, _, spacing in self._streams]
            self._leads = False
        self._lead = rng.uniform(14, 26), rng.uniform(4, 8), rng.uniform(60, 110)
        self._choice = int(rng.integers(1 << 30))
        self._queue = self._line_up(config, ego.s(config.frames / config.rate))

    def at(self, time: float) -> Pieces:
        """Return all vehicles near the camera at `time` seconds."""
        s = self._ego.s(time)
        placed: list[tuple[Quads, np.ndarray]] = list(self._queue)
        for number, (lane, speed, spacing) in enumerate(self._streams):
            first = math.floor((s - 40 - speed * time) / spacing)
            last = math.ceil((s + 300 - speed * time) / spacing)
            for k in range(first, last + 1):
                rng = np.random.default_rng((self._seed, 22, number, k + 1_000_000))
                jitter, kind = rng.uniform(-0.25, 0.25) * spacing, int(rng.integers(1 << 30))
                car = number * _STREAM_IDS + k % _STREAM_IDS
                place = k * spacing + jitter + speed * time
                placed.append(self._place(place, lane, kind, car, moving=speed != 0))
        if self._leads:
            mean, swing, wave = self._lead
            gap = mean + swing * math.sin(2 * math.pi * s / wave)
            placed.append(self._place(s + gap, self._lane, self._choice, 90 * _STREAM_IDS))
        if self._convoy:
            placed += self._convoy_at(s)
        return Pieces(
            Quads.joined(quads for quads, _ in placed),
            np.array([shadow for _, shadow in placed]).reshape(-1, 6),
        )

    def convoy_holds(self, time: float) -> bool:
        """Return whether cars ahead keep exactly the camera's speed at this time."""
        return self._convoy > 0 and self._convoy_phase(self._ego.s(time)) <= self._convoy

    def _convoy_phase(self, s: float) -> float:
        return (s / self._convoy_cycle + self._phase) % 1

    def _convoy_at(self, s: float) -> list[tuple[Quads, np.ndarray]]:
        gap = self._gap
        phase = self._convoy_phase(s)
        if phase > self._convoy:
            # Pulls away and lets the camera come closer again, at 0.45 of its speed or more.
            away = (phase - self._convoy) / (1 - self._convoy)
            reach = 0.55 * self._convoy_cycle * (1 - self._convoy) / math.pi
            gap += reach * math.sin(math.pi * away) ** 2
        cars = []
        lanes = [self._lane] + [k for k in range(1, self._street.lanes + 1) if k != self._lane]
        for k in range(self._convoy_cars):
            lane = lanes[k % len(lanes)]
            ahead = gap + 11.0 * (k // len(lanes)) + (3.0 if lane != self._lane else 0)
            car = 95 * _STREAM_IDS + k
            cars.append(self._place(s + ahead, lane, self._choice + 7 * k, car))
        return cars

    def _line_up(self, config: StreetConfig, end: float) -> list[tuple[Quads, np.ndarray]]:
        """Put the queue where the drive ends; the lanes beside begin earlier, or as late."""
        rng = np.random.default_rng((config.seed, 23))
        cars: list[tuple[Quads, np.ndarray]] = []
        for lane in range(1, self._street.lanes + 1) if config.queue else ():
            s = end + (rng.uniform(5, 9) if lane == self._lane else rng.uniform(-25, 9))
            for _ in range(config.queue):
                kind = int(rng.integers(1 << 30))
                car = 96 * _STREAM_IDS + len(cars)
                cars.append(self._place(s, lane, kind, car, moving=False))
                s += self._length(kind) + rng.uniform(1.5, 4)
        return cars

    def _length(self, kind: int) -> float:
        return float(np.ptp(self._vehicles[kind % len(self._vehicles)].origin[:, 0]))

    def _place(
        self, s: float, lane: int, kind: int, car: int, moving: bool = True
    ) -> tuple[Quads, np.ndarray]:
        """Put a vehicle's rear at `s`, or its front for one that comes towards the camera."""
        shape, length = self._vehicles[kind % len(self._vehicles)], self._length(kind)
        x, y, heading = (float(v) for v in self._line.at(s + length / 2, self._street.lane(lane)))
        yaw = heading + (np.pi if lane < 0 else 0)
        quads = shape.placed(x, y, yaw).as_object(500_000_000 + car, moving)
        return quads, np.array([x, y, yaw, length / 2 + 0.15, 1.05, 0.65])

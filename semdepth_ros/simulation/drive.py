"""A drive through a street world, frame by frame, with everything that is true about it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator

import numpy as np

from semdepth_ros.camera import Camera
from semdepth_ros.simulation.config import SimulationError, StreetConfig
from semdepth_ros.simulation.materials import Materials
from semdepth_ros.simulation.motion import EgoMotion
from semdepth_ros.simulation.rays import SampleRays
from semdepth_ros.simulation.renderer import Light, Renderer
from semdepth_ros.simulation.road import CentreLine, CrossSection
from semdepth_ros.simulation.scenery import Pieces, Scenery
from semdepth_ros.simulation.traffic import Traffic

#: base_link (x forward, y left, z up) to the optical frame (x right, y down, z forward).
_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
_START_NS = 1_600_000_000_000_000_000


@dataclasses.dataclass(frozen=True)
class StreetFrame:
    """One image and the truth about it.

    Attributes:
        stamp_ns: Nanoseconds; the first frame of every drive has the same.
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) float32 metres along Z at the pixel centres, +Inf for the sky.
        label: (H, W) uint8 Cityscapes train ids.
        instance: (H, W) int32, the same for an object in every frame; 0 for what is none.
        moving: (H, W) bool, true on vehicles in traffic (a convoy that waits included).
        convoy: Whether cars ahead keep exactly the camera's speed.
        T_world_base: (4, 4) float64, base_link's points to the world: on the ground, x forward.
        T_world_camera: (4, 4) float64, the optical frame's points to the world (ground: z = 0).
        speed: m/s over ground.
        yaw_rate: rad/s, positive to the left.
        camera: Size, intrinsics and distortion.
    """

    stamp_ns: int
    image: np.ndarray
    depth: np.ndarray
    label: np.ndarray
    instance: np.ndarray
    moving: np.ndarray
    convoy: bool
    T_world_base: np.ndarray
    T_world_camera: np.ndarray
    speed: float
    yaw_rate: float
    camera: Camera


class StreetDrive:
    """The frames of a drive, in order or by number: `drive.frame(7)` is the same either way.

    Example:
        for frame in StreetDrive(StreetConfig(seed=3, frames=50)): ...
    """

    def __init__(self, config: StreetConfig | None = None) -> None:
        config = StreetConfig() if config is None else config
        self.config = config
        rng = np.random.default_rng((config.seed, 1))
        urban = bool(rng.random() < 0.6)
        lanes = int(rng.choice([1, 2], p=[0.65, 0.35]))
        if config.convoy_cars > 1:
            lanes = 2
        street = CrossSection.draw(rng, urban, lanes)
        lane = int(rng.integers(1, lanes + 1))
        height, pitch = rng.uniform(1.2, 1.8), np.radians(rng.uniform(-1.5, 1.5))
        #: Metres of the camera above the ground.
        self.camera_height = float(height if config.camera_height is None else config.camera_height)
        self._pitch = float(pitch if config.camera_pitch is None else config.camera_pitch)
        #: How the camera moves.
        self.ego = EgoMotion(rng, config, street, lane)
        #: The road's centre line.
        self.line = CentreLine(rng, self.ego.length)
        materials = Materials(rng, street, verge=not urban or bool(rng.random() < 0.3))
        parked = config.traffic * rng.uniform(0.4, 1.6)
        self._scenery = Scenery(config.seed, self.line, street, materials, urban, min(parked, 0.95))
        self._traffic = Traffic(config, self.line, street, materials, self.ego, lane)
        self._renderer = Renderer(SampleRays(config.camera), self.line, materials, Light.draw(rng))

    def __len__(self) -> int:
        return self.config.frames

    def __iter__(self) -> Iterator[StreetFrame]:
        for index in range(len(self)):
            yield self.frame(index)

    def seen_by(self, camera: Camera) -> StreetDrive:
        """Return the same drive, in the same world, through another camera."""
        other = copy.copy(self)
        other.config = dataclasses.replace(self.config, camera=camera)
        other._renderer = self._renderer.with_camera(camera)
        return other

    @property
    def T_base_camera(self) -> np.ndarray:
        """How the camera is mounted: (4, 4) float64, above base_link's origin."""
        cos, sin = np.cos(self._pitch), np.sin(self._pitch)
        T = np.eye(4)
        T[:3, :3] = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]) @ _OPTICAL
        T[2, 3] = self.camera_height
        return T

    def time(self, index: int) -> float:
        """Return the seconds since the start at which a frame is taken."""
        return index / self.config.rate

    def frame(self, index: int) -> StreetFrame:
        """Render frame `index`.

        Raises:
            SimulationError: if the drive has no such frame.
        """
        if not 0 <= index < len(self):
            raise SimulationError(
                f'street drive: frame {index} was asked for, expected 0 to {len(self) - 1}'
            )
        time = self.time(index)
        x, y, yaw = self.ego.pose(time, self.line)
        T_world_base = _pose(x, y, yaw, self.ego.pitch(time))
        T_world_camera = T_world_base @ self.T_base_camera
        pieces = [self._scenery.around(self.ego.s(time)), self._traffic.at(time)]
        rendering = self._renderer.render(Pieces.joined(pieces), T_world_camera)
        speed, yaw_rate = self.ego.twist(time, self.line)
        return StreetFrame(
            stamp_ns=_START_NS + round(time * 1e9),
            **{f.name: getattr(rendering, f.name) for f in dataclasses.fields(rendering)},
            convoy=self._traffic.convoy_holds(time),
            T_world_base=T_world_base,
            T_world_camera=T_world_camera,
            speed=speed,
            yaw_rate=yaw_rate,
            camera=self.config.camera,
        )


def _pose(x: float, y: float, yaw: float, pitch: float) -> np.ndarray:
    cos, sin = np.cos(yaw), np.sin(yaw)
    down, level = np.sin(pitch), np.cos(pitch)
    T = np.eye(4)
    T[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ np.array(
        [[level, 0, down], [0, 1, 0], [-down, 0, level]]
    )
    T[:2, 3] = x, y
    return T

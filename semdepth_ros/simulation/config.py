"""What a street drive is made of: the few numbers that decide it, checked where they are given."""

from __future__ import annotations

import dataclasses
import math

from semdepth_ros.camera import Camera
from semdepth_ros.errors import SemdepthError


class SimulationError(SemdepthError):
    """A street drive that cannot be rendered."""


def default_camera(width: int = 640, height: int = 192, focal: float | None = None) -> Camera:
    """Return a centred pinhole camera; `focal` in pixels, by default 0.58 widths as in KITTI."""
    focal = 0.58 * width if focal is None else focal
    return Camera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)


@dataclasses.dataclass(frozen=True)
class StreetConfig:
    """One drive through one street world; the same configuration renders the same drive.

    What is None is drawn from the seed. Everything else about the street (its bends, width,
    buildings, vegetation, light) follows from the seed alone.

    Attributes:
        seed: Chooses the world; two seeds share nothing but the vocabulary.
        frames: Length of the drive in frames.
        rate: Frames per second.
        camera: Size, intrinsics and distortion of the camera.
        speed: Mean speed in m/s while driving (None: 7 to 13).
        standstill: Share of the time, 0 to 0.8, in which the camera stands still.
        traffic: Density of vehicles, oncoming, neighbouring and parked, 0 to 1.
        convoy: Share of the way, 0 to 1, on which cars ahead keep exactly the camera's speed, the
            case that teaches self-supervised training infinite depth.
        convoy_cars: How many cars drive so: the first in the camera's lane, others around it.
        queue: How many vehicles stand in the camera's lane, and as many in each lane beside it, a
            few metres before the end of the drive: traffic that teaches what blocks the way.
        jam: Whether all other vehicles stand, oncoming and neighbouring ones too, and none drives
            ahead: traffic that tells no lie to a training that takes the world for rigid.
        camera_height: Metres above the road (None: 1.2 to 1.8).
        camera_pitch: Radians, positive looks down (None: within 1.5 degrees).
    """

    seed: int = 0
    frames: int = 100
    rate: float = 10.0
    camera: Camera = dataclasses.field(default_factory=default_camera)
    speed: float | None = None
    standstill: float = 0.0
    traffic: float = 0.5
    convoy: float = 0.0
    convoy_cars: int = 1
    queue: int = 0
    jam: bool = False
    camera_height: float | None = None
    camera_pitch: float | None = None

    def __post_init__(self) -> None:
        def expect(name: str, low: float, high: float) -> None:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise SimulationError(
                    f'street drive: {name} is {value}, expected {low:g} to {high:g}'
                )

        expect('seed', 0, 2**31 - 1)
        expect('frames', 1, 100_000)
        expect('rate', 0.1, 1000)
        expect('speed', 0.5, 40)
        expect('standstill', 0, 0.8)
        expect('traffic', 0, 1)
        expect('convoy', 0, 1)
        expect('convoy_cars', 1, 6)
        expect('queue', 0, 50)
        if self.queue and self.convoy:
            raise SimulationError(
                f'street drive: queue is {self.queue} and convoy {self.convoy}, expected one of '
                'them: a convoy would drive through the queue'
            )
        if self.jam and self.convoy:
            raise SimulationError(
                f'street drive: jam is set and convoy is {self.convoy}, expected one of them: '
                'in a jam no car drives'
            )
        expect('camera_height', 0.3, 4)
        expect('camera_pitch', -math.radians(20), math.radians(20))

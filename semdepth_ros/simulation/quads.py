"""Parallelograms in space, the one primitive of the street world, as a structure of arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Quads:
    """N textured parallelograms `origin + a u + b v` with a, b in [0, 1].

    Seen from outside, `origin` is the top left corner, `u` runs to the right and `v` down.

    Attributes:
        origin: (N, 3) float64 metres.
        u: (N, 3) float64 metres.
        v: (N, 3) float64 metres.
        layer: (N,) int32 texture.
        tiles: (N, 4) float32: the texture at a, b is at `t0 + a t2` across, `t1 + b t3` down.
        tint: (N, 3) float32 factor on the texture's colour.
        label: (N,) uint8 Cityscapes train id.
        instance: (N,) int32 object, 0 for none.
        moving: (N,) bool.
        two_sided: (N,) bool; others are seen from outside alone.
    """

    origin: np.ndarray
    u: np.ndarray
    v: np.ndarray
    layer: np.ndarray
    tiles: np.ndarray
    tint: np.ndarray
    label: np.ndarray
    instance: np.ndarray
    moving: np.ndarray
    two_sided: np.ndarray

    def __len__(self) -> int:
        return len(self.origin)

    def __getitem__(self, index: np.ndarray) -> Quads:
        return Quads(*(getattr(self, f.name)[index] for f in dataclasses.fields(self)))

    def placed(self, x: float, y: float, yaw: float, z: float = 0.0) -> Quads:
        """Return the quads turned by `yaw` about z and moved to (x, y, z)."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        R = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        return dataclasses.replace(
            self, origin=self.origin @ R + [x, y, z], u=self.u @ R, v=self.v @ R
        )

    def as_object(self, instance: int, moving: bool = False) -> Quads:
        """Return the quads as one object."""
        return dataclasses.replace(
            self,
            instance=np.full(len(self), instance, np.int32),
            moving=np.full(len(self), moving),
        )

    @staticmethod
    def joined(parts: Iterable[Quads]) -> Quads:
        """Return all quads of `parts` in one."""
        parts = list(parts)
        if not parts:
            return QuadBuilder().quads()
        return Quads(
            *(
                np.concatenate([getattr(p, f.name) for p in parts])
                for f in dataclasses.fields(Quads)
            )
        )


Vector = Sequence[float] | np.ndarray
_WHITE = (1.0, 1.0, 1.0)


class QuadBuilder:
    """Collects quads one by one, in the object's own frame: x forward, y left, z up."""

    def __init__(self) -> None:
        self._geometry: list[tuple[Vector, Vector, Vector]] = []
        self._look: list[tuple[int, Vector, Vector, int, bool]] = []

    def add(
        self,
        origin: Vector,
        u: Vector,
        v: Vector,
        layer: int,
        label: int,
        tiles: Vector = (0, 0, 1, 1),
        tint: Vector = _WHITE,
        two_sided: bool = False,
    ) -> None:
        """Add one quad; see `Quads`."""
        self._geometry.append((tuple(origin), tuple(u), tuple(v)))
        self._look.append((layer, tuple(tiles), tuple(tint), label, two_sided))

    def box(
        self,
        size: Vector,
        layers: Sequence[int | None],
        label: int,
        base: Vector = (0, 0, 0),
        tile: Vector = (1, 1),
        tint: Vector = _WHITE,
    ) -> None:
        """Add a box of `size` (length, width, height) around x = y = 0, standing on `base`.

        Args:
            size: Metres along x, y, z.
            layers: Textures of the faces front (+x), back, left (+y), right, top; None leaves out.
            label: Cityscapes train id.
            base: Centre of the bottom face.
            tile: Metres of surface that one texture covers, across and up.
            tint: Factor on the colour.
        """
        length, width, height = size
        x, y, z = base
        x0, x1, y0, y1 = x - length / 2, x + length / 2, y - width / 2, y + width / 2
        top = z + height
        down = (0, 0, -height)
        faces = (
            ((x1, y0, top), (0, width, 0), down, width),
            ((x0, y1, top), (0, -width, 0), down, width),
            ((x1, y1, top), (-length, 0, 0), down, length),
            ((x0, y0, top), (length, 0, 0), down, length),
        )
        for layer, (origin, u, v, across) in zip(layers[:4], faces):
            if layer is not None:
                # The tile pattern starts at the ground, so that storeys begin there.
                tiles = (0, -height / tile[1], across / tile[0], height / tile[1])
                self.add(origin, u, v, layer, label, tiles, tint)
        if len(layers) > 4 and layers[4] is not None:
            tiles = (0, 0, width / tile[0], length / tile[1])
            self.add((x1, y1, top), (0, -width, 0), (-length, 0, 0), layers[4], label, tiles, tint)

    def quads(self) -> Quads:
        """Return what was added, as no object and not moving."""
        geometry = np.array(self._geometry, np.float64).reshape(-1, 3, 3)
        count = len(geometry)
        layer, tiles, tint, label, two_sided = zip(*self._look) if count else ([], [], [], [], [])
        return Quads(
            origin=geometry[:, 0],
            u=geometry[:, 1],
            v=geometry[:, 2],
            layer=np.array(layer, np.int32),
            tiles=np.array(tiles, np.float32).reshape(-1, 4),
            tint=np.array(tint, np.float32).reshape(-1, 3),
            label=np.array(label, np.uint8),
            instance=np.zeros(count, np.int32),
            moving=np.zeros(count, bool),
            two_sided=np.array(two_sided, bool),
        )

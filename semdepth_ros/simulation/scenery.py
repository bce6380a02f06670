"""What stands along the street, made zone by zone, so that a drive may be as long as it likes."""

from __future__ import annotations

import dataclasses

import numpy as np

from semdepth_ros.simulation.materials import Materials
from semdepth_ros.simulation.quads import QuadBuilder, Quads
from semdepth_ros.simulation.road import CentreLine, CrossSection
from semdepth_ros.simulation.surfaces import FACADE_TILE

#: Metres of street that one zone covers.
ZONE = 48.0
_BUILDING, _WALL, _FENCE, _POLE, _LIGHT, _SIGN = 2, 3, 4, 5, 6, 7
_VEGETATION, _PERSON = 8, 11
_STOREY = 3.2
_IDS_PER_ZONE = 1000


@dataclasses.dataclass(frozen=True)
class Pieces:
    """Objects in the world and the shadows (N, 6) they throw: x, y, yaw, half length, half width, depth."""

    quads: Quads
    shadows: np.ndarray

    @staticmethod
    def joined(pieces: list[Pieces]) -> Pieces:
        """Return all in one."""
        return Pieces(
            Quads.joined(p.quads for p in pieces),
            np.concatenate([p.shadows for p in pieces]) if pieces else np.zeros((0, 6)),
        )


#: Kinds of street side, and how likely they are in town and in the country.
_STYLES = {
    'canyon': (0.35, 0.0),
    'houses': (0.25, 0.2),
    'park': (0.15, 0.25),
    'open': (0.1, 0.4),
    'works': (0.15, 0.15),
}


class Scenery:
    """The static world along a centre line."""

    def __init__(
        self,
        seed: int,
        line: CentreLine,
        street: CrossSection,
        materials: Materials,
        urban: bool,
        parked: float,
    ) -> None:
        rng = np.random.default_rng((seed, 11))
        self._seed = seed
        self._line = line
        self._street = street
        self._materials = materials
        self._parked = parked
        chances = np.array([c[0 if urban else 1] for c in _STYLES.values()])
        chances = chances * rng.uniform(0.2, 1.8, len(chances))
        self._chances = chances / chances.sum()
        self._setback = rng.uniform(0.3, 2.5) if urban else rng.uniform(3, 12)
        self._storeys = rng.integers(2, 7)
        self._tree_height = rng.uniform(4.5, 10)
        self._avenue = rng.random() < 0.45
        self._posts = rng.uniform(18, 40)
        self._people = rng.uniform(0, 3) if urban else 0.0
        self._zones: dict[int, Pieces] = {}

    def around(self, s: float, behind: float = 30.0, ahead: float = 320.0) -> Pieces:
        """Return what stands within `behind` and `ahead` metres of `s`."""
        first, last = int((s - behind) // ZONE), int((s + ahead) // ZONE)
        for zone in [zone for zone in self._zones if not first - 2 <= zone <= last]:
            del self._zones[zone]
        for zone in range(first, last + 1):
            if zone not in self._zones:
                self._zones[zone] = _Zone(self, zone).build()
        return Pieces.joined([self._zones[zone] for zone in range(first, last + 1)])


class _Zone:
    """Builds one zone; all it draws comes from the seed and its number."""

    def __init__(self, world: Scenery, number: int) -> None:
        self.world = world
        self.number = number
        self.street = world._street
        self.materials = world._materials
        self.rng = np.random.default_rng((world._seed, 12, number + 1_000_000))
        self.start = number * ZONE
        self._parts: list[Quads] = []
        self._shadows: list[tuple[float, ...]] = []

    def build(self) -> Pieces:
        for side in (1, -1):
            style = self.rng.choice(list(_STYLES), p=self.world._chances)
            getattr(self, f'_{style}')(side)
            self._furniture(side)
            if self.street.parking and self.world._parked:
                self._parked_cars(side)
            for _ in range(self.rng.poisson(self.world._people)):
                self._person(side)
        return Pieces(Quads.joined(self._parts), np.array(self._shadows, float).reshape(-1, 6))

    # Styles of a street side.

    def _canyon(self, side: int) -> None:
        s = self.start
        setback = self.street.edge + self.world._setback
        while s < self.start + ZONE - 6:
            length = min(self.rng.uniform(10, 22), self.start + ZONE - s)
            storeys = max(2, self.world._storeys + self.rng.integers(-1, 3))
            shop = self.rng.random() < 0.5
            self._building(side, s + length / 2, setback, length, 11, storeys, shop, flat=True)
            s += length
        if self.world._avenue:
            self._avenue_trees(side)

    def _houses(self, side: int) -> None:
        s = self.start + self.rng.uniform(1, 6)
        while s < self.start + ZONE - 8:
            length = self.rng.uniform(8, 13)
            setback = self.street.edge + self.world._setback + self.rng.uniform(1, 5)
            self._building(
                side, s + length / 2, setback, length, 9, self.rng.integers(1, 3), False, flat=False
            )
            gap = self.rng.uniform(3, 12)
            if gap > 5:
                self._tree(s + length + gap / 2, side * (setback + self.rng.uniform(0, 5)))
            s += length + gap
        if self.rng.random() < 0.7:
            self._barrier(side, self.street.edge + 0.4, self.rng.choice(['hedge', 'fence', 'wall']))

    def _park(self, side: int) -> None:
        for _ in range(self.rng.integers(6, 15)):
            d = self.street.edge + self.rng.uniform(1.8, 22)
            self._tree(self.start + self.rng.uniform(0, ZONE), side * d)
        for _ in range(self.rng.integers(1, 6)):
            d = self.street.edge + self.rng.uniform(1.2, 10)
            self._bush(self.start + self.rng.uniform(0, ZONE), side * d)
        self._treeline(side, self.street.edge + self.rng.uniform(26, 34))

    def _open(self, side: int) -> None:
        if self.world._avenue:
            self._avenue_trees(side)
        elif self.rng.random() < 0.6:
            d = self.street.edge + self.rng.uniform(3, 30)
            self._tree(self.start + self.rng.uniform(0, ZONE), side * d)
        if self.rng.random() < 0.4:
            self._barrier(side, self.street.edge + self.rng.uniform(1, 4), 'fence')
        if self.rng.random() < 0.25:
            far = self.street.edge + self.rng.uniform(25, 45)
            self._building(
                side, self.start + 24, far, self.rng.uniform(10, 24), 10, 2, False, False
            )
        self._treeline(side, self.street.edge + 60)

    def _works(self, side: int) -> None:
        if self.rng.random() < 0.6:
            self._barrier(side, self.street.edge + 0.3, self.rng.choice(['wall', 'fence']))
        setback = self.street.edge + self.world._setback + self.rng.uniform(3, 12)
        length = self.rng.uniform(18, 38)
        box = QuadBuilder()
        wall = self.materials.pick(self.rng, 'blind')
        height = self.rng.uniform(5, 11)
        box.box(
            (length, 16, height), [wall] * 4, _BUILDING, tile=(FACADE_TILE,) * 2, tint=self._tint()
        )
        self._place(box, self.start + ZONE / 2, side * (setback + 8))
        for _ in range(self.rng.integers(0, 4)):
            self._bush(self.start + self.rng.uniform(0, ZONE), side * (self.street.edge + 1.5))

    # Objects.

    def _place(
        self, build: QuadBuilder, s: float, d: float, turn: float = 0.0, own: bool = False
    ) -> tuple[float, float, float]:
        """Put an object into the world; `own` gives it an instance of its own."""
        x, y, heading = (float(value) for value in self.world._line.at(s, d))
        quads = build.quads().placed(x, y, heading + turn)
        self._keep(quads, own)
        return x, y, heading + turn

    def _keep(self, quads: Quads, own: bool) -> None:
        if own:
            number = sum(bool(len(p) and p.instance[0]) for p in self._parts)
            quads = quads.as_object((self.number % 100_000 + 100) * _IDS_PER_ZONE + number + 1)
        self._parts.append(quads)

    def _tint(self, low: float = 0.75, high: float = 1.15) -> tuple[float, ...]:
        return tuple(self.rng.uniform(low, high) * self.rng.uniform(0.92, 1.08, 3))

    def _building(
        self,
        side: int,
        s: float,
        setback: float,
        length: float,
        depth: float,
        storeys: int,
        shop: bool,
        flat: bool,
    ) -> None:
        build = QuadBuilder()
        tint = self._tint()
        facade = self.materials.pick(self.rng, 'facade')
        # Whole bays: the facade is stretched a little rather than cut through a window.
        tile = (length / max(1, round(length / FACADE_TILE * 2)) * 2, FACADE_TILE)
        layers = [self.materials.pick(self.rng, 'blind')] * 2 + [facade] * 2
        base = 0.0
        if shop:
            base = 1.15 * _STOREY
            front = self.materials.pick(self.rng, 'shop')
            build.box(
                (length, depth, base),
                layers[:2] + [front] * 2,
                _BUILDING,
                (0, 0, 0),
                (tile[0], base),
            )
        top = base + storeys * _STOREY
        build.box((length, depth, top - base), layers, _BUILDING, (0, 0, base), tile, tint)
        if not flat:
            self._roof(build, length, depth, top, tint)
        self._place(build, s, side * (setback + depth / 2))

    def _roof(
        self, build: QuadBuilder, length: float, depth: float, top: float, tint: tuple[float, ...]
    ) -> None:
        rise = depth * self.rng.uniform(0.25, 0.5)
        layer = self.materials.pick(self.rng, 'roof')
        gable = self.materials.pick(self.rng, 'gable')
        half, over = length / 2, 0.4
        eave, drop = depth / 2 + over, rise * (1 + over / (depth / 2))
        tiles = (0, 0, length / 4, eave / 4)
        ridge = top + rise
        build.add((half, 0, ridge), (-length, 0, 0), (0, eave, -drop), layer, _BUILDING, tiles)
        build.add((-half, 0, ridge), (length, 0, 0), (0, -eave, -drop), layer, _BUILDING, tiles)
        for x, across in ((half, depth), (-half, -depth)):
            build.add(
                (x, -across / 2, ridge), (0, across, 0), (0, 0, -rise), gable, _BUILDING, tint=tint
            )

    def _avenue_trees(self, side: int) -> None:
        d = side * (self.street.edge + 0.6 if self.street.pavement < 2 else self.street.kerb + 0.8)
        for s in np.arange(self.start + 4, self.start + ZONE, 12.0):
            if self.rng.random() < 0.85:
                self._tree(s + self.rng.uniform(-1, 1), d)

    def _tree(self, s: float, d: float) -> None:
        rng = self.rng
        height = self.world._tree_height * rng.uniform(0.7, 1.25)
        radius = height * rng.uniform(0.22, 0.34)
        trunk = QuadBuilder()
        stem = height * 0.45
        thick = 0.05 * height * rng.uniform(0.6, 1)
        bark = self.materials['bark'][0]
        trunk.box((thick, thick, stem), [bark] * 4, _VEGETATION, tile=(0.8, 1.6))
        clump = self.materials.pick(rng, 'clump')
        tint = np.array(self._tint(0.75, 1.3))
        middle = np.array([0, 0, height - radius * 1.15])
        for k in range(6):
            azimuth = k * np.pi / 3 + rng.uniform(-0.4, 0.4)
            out = np.array([np.cos(azimuth), np.sin(azimuth), 0])
            offset = rng.uniform(0.1, 0.6, 3) * rng.choice([-1, 1], 3) * radius
            tilt = rng.uniform(-0.35, 0.35)
            right = np.array([-out[1], out[0], 0]) * radius * rng.uniform(0.9, 1.25)
            down = (
                (np.array([0, 0, -np.cos(tilt)]) + out * np.sin(tilt))
                * radius
                * rng.uniform(1, 1.3)
            )
            shade = 1 + 0.35 * offset[2] / radius
            origin = middle + offset - right - down
            trunk.add(
                origin,
                2 * right,
                2 * down,
                clump,
                _VEGETATION,
                tint=tuple(tint * shade),
                two_sided=True,
            )
        x, y, yaw = self._place(trunk, s, d, turn=rng.uniform(0, 6.3))
        self._shadows.append((x, y, yaw, radius * 1.2, radius * 1.2, 0.35))

    def _bush(self, s: float, d: float) -> None:
        build = QuadBuilder()
        size = self.rng.uniform(0.8, 2.2)
        clump = self.materials.pick(self.rng, 'clump')
        tint = self._tint(0.75, 1.3)
        for k in range(3):
            right = np.array([np.cos(k * np.pi / 3), np.sin(k * np.pi / 3), 0]) * size
            origin = np.array([0, 0, size * 1.5]) - right
            build.add(
                origin,
                2 * right,
                (0, 0, -1.7 * size),
                clump,
                _VEGETATION,
                tint=tint,
                two_sided=True,
            )
        self._place(build, s, d, turn=self.rng.uniform(0, 3))

    def _barrier(self, side: int, d: float, kind: str) -> None:
        heights = {'hedge': (0.8, 2.0), 'fence': (0.9, 1.5), 'wall': (0.8, 2.4)}
        label = {'hedge': _VEGETATION, 'fence': _FENCE, 'wall': _WALL}[kind]
        height = self.rng.uniform(*heights[kind])
        layer = self.materials.pick(self.rng, 'blind' if kind == 'wall' else kind)
        tint = self._tint()
        # In short pieces, so that it follows the bend.
        length = 6.0
        for s in np.arange(self.start, self.start + ZONE - 0.1, length):
            if self.rng.random() < 0.12:
                continue
            build = QuadBuilder()
            if kind == 'fence':
                build.add(
                    (-length / 2, 0, height), (length, 0, 0), (0, 0, -height), layer, label,
                    (0, 0, length / 2.5, 1), tint, two_sided=True,
                )  # fmt: skip
            else:
                thick = 0.8 if kind == 'hedge' else 0.3
                build.box((length, thick, height), [layer] * 5, label, tile=(3, 3), tint=tint)
            self._place(build, s + length / 2, side * d)

    def _treeline(self, side: int, d: float) -> None:
        build = QuadBuilder()
        layer = self.materials.pick(self.rng, 'treeline')
        height = self.rng.uniform(7, 14)
        length = ZONE * 1.35
        build.add(
            (-length / 2, 0, height), (length, 0, 0), (0, 0, -height), layer, _VEGETATION,
            (self.rng.random(), 0, length / 12, 1), self._tint(0.6, 0.9), two_sided=True,
        )  # fmt: skip
        self._place(build, self.start + ZONE / 2, side * d)

    def _furniture(self, side: int) -> None:
        d = side * (self.street.kerb + 0.45)
        metal = [self.materials['metal'][0]] * 4
        for s in np.arange(self.start, self.start + ZONE, self.world._posts):
            height = self.rng.uniform(6, 9)
            build = QuadBuilder()
            build.box((0.16, 0.16, height), metal, _POLE, tint=(0.9, 0.9, 0.95))
            arm = 1.6
            build.box(
                (0.12, arm, 0.12), [metal[0]] * 5, _POLE,
                base=(0, -side * arm / 2, height - 0.12), tint=(0.8, 0.8, 0.85),
            )  # fmt: skip
            self._place(build, s + self.rng.uniform(0, 4), d)
        for _ in range(self.rng.poisson(0.9)):
            self._sign(self.start + self.rng.uniform(0, ZONE), d, side)
        if self.rng.random() < 0.1:
            build = QuadBuilder()
            build.box((0.14, 0.14, 3.0), metal, _POLE)
            light = self.materials['light'][0]
            build.box((0.3, 0.34, 0.95), [light] * 4, _LIGHT, base=(0, 0, 2.6), tile=(0.34, 0.95))
            self._place(build, self.start + self.rng.uniform(0, ZONE), d)

    def _sign(self, s: float, d: float, side: int) -> None:
        build = QuadBuilder()
        metal = self.materials['metal'][0]
        size, bottom = self.rng.uniform(0.6, 1.0), self.rng.uniform(1.7, 2.4)
        build.box((0.08, 0.08, bottom + size), [metal] * 4, _POLE, tint=(1.1, 1.1, 1.1))
        layer = self.materials.pick(self.rng, 'sign')
        # The face looks back along the road to who drives on this side, the gray rear ahead.
        back = -side
        for facing, picture, tint in ((-1, layer, 1.0), (1, layer, 0.0)):
            x = 0.06 * facing
            across = facing * size
            build.add(
                (x, -across / 2, bottom + size), (0, across, 0), (0, 0, -size), picture, _SIGN,
                tint=(tint,) * 3 if tint else (0.35, 0.35, 0.36),
            )  # fmt: skip
        self._place(build, s, d, turn=0.0 if back > 0 else np.pi)

    def _parked_cars(self, side: int) -> None:
        s = self.start + self.rng.uniform(0, 4)
        while s < self.start + ZONE - 6:
            shape = self.materials.vehicles[self.rng.integers(len(self.materials.vehicles))]
            length = float(np.ptp(shape.origin[:, 0]))
            if self.rng.random() < self.world._parked and length < 6:
                d = side * (self.street.kerb - 1.1)
                turn = (0.0 if side < 0 else np.pi) + self.rng.normal(0, 0.02)
                x, y, heading = (float(v) for v in self.world._line.at(s + length / 2, d))
                self._keep(shape.placed(x, y, heading + turn), own=True)
                self._shadows.append((x, y, heading, length / 2 + 0.15, 1.05, 0.65))
            s += length + self.rng.uniform(0.8, 2.5)

    def _person(self, side: int) -> None:
        build = QuadBuilder()
        layer = self.materials.pick(self.rng, 'person')
        height = self.rng.uniform(1.5, 1.9)
        tint = self._tint(0.7, 1.2)
        for right in ((0, 0.27, 0), (0.17, 0, 0)):
            origin = (-right[0], -right[1], height)
            across = (2 * right[0], 2 * right[1], 0)
            build.add(origin, across, (0, 0, -height), layer, _PERSON, tint=tint, two_sided=True)
        d = side * (self.street.kerb + max(0.9, self.rng.uniform(0.3, 1) * self.street.pavement))
        s = self.start + self.rng.uniform(0, ZONE)
        x, y, yaw = self._place(build, s, d, turn=self.rng.normal(0, 0.5), own=True)
        self._shadows.append((x, y, yaw, 0.35, 0.35, 0.5))

"""What stands along the street, made zone by zone, so that a drive may be as long as it likes."""

from __future__ import annotations

import dataclasses

import numpy as np

from semdepth_ros.simulation import objects
from semdepth_ros.simulation.materials import Materials
from semdepth_ros.simulation.quads import Quads
from semdepth_ros.simulation.road import CentreLine, CrossSection

#: Metres of street that one zone covers.
ZONE = 48.0
_IDS_PER_ZONE = 1000


@dataclasses.dataclass(frozen=True)
class Pieces:
    """Objects in the world and the shadows (N, 6) that they throw.

    A shadow is x, y, yaw, half its length and width in metres, and the share of light it takes.
    """

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
        self.seed = seed
        self.line = line
        self.street = street
        self.materials = materials
        self.parked = parked
        chances = np.array([c[0 if urban else 1] for c in _STYLES.values()])
        chances = chances * rng.uniform(0.2, 1.8, len(chances))
        self.chances = chances / chances.sum()
        self.setback = rng.uniform(0.3, 2.5) if urban else rng.uniform(3, 12)
        self.storeys = int(rng.integers(2, 7))
        self.tree_height = rng.uniform(4.5, 10)
        self.avenue = rng.random() < 0.45
        self.posts = rng.uniform(18, 40)
        self.people = rng.uniform(0, 3) if urban else 0.0
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
        self.street = world.street
        self.materials = world.materials
        self.rng = np.random.default_rng((world.seed, 12, number + 1_000_000))
        self.start = number * ZONE
        self._instances = 0
        self._parts: list[Quads] = []
        self._shadows: list[tuple[float, ...]] = []

    def build(self) -> Pieces:
        for side in (1, -1):
            style = self.rng.choice(list(_STYLES), p=self.world.chances)
            getattr(self, f'_{style}')(side)
            self._furniture(side)
            if self.street.parking and self.world.parked:
                self._parked_cars(side)
            for _ in range(self.rng.poisson(self.world.people)):
                self._person(side)
        return Pieces(Quads.joined(self._parts), np.array(self._shadows, float).reshape(-1, 6))

    # Styles of a street side, 1 for the left and -1 for the right.

    def _canyon(self, side: int) -> None:
        s = self.start
        front = self.street.edge + self.world.setback
        while s < self.start + ZONE - 6:
            length = min(self.rng.uniform(10, 22), self.start + ZONE - s)
            storeys = max(2, self.world.storeys + int(self.rng.integers(-1, 3)))
            shop = self.rng.random() < 0.5
            self._building(side, s + length / 2, front, length, 11, storeys, shop, flat=True)
            s += length
        if self.world.avenue:
            self._avenue_trees(side)

    def _houses(self, side: int) -> None:
        s = self.start + self.rng.uniform(1, 6)
        while s < self.start + ZONE - 8:
            length, storeys = self.rng.uniform(8, 13), int(self.rng.integers(1, 3))
            front = self.street.edge + self.world.setback + self.rng.uniform(1, 5)
            self._building(side, s + length / 2, front, length, 9, storeys, False, flat=False)
            gap = self.rng.uniform(3, 12)
            if gap > 5:
                self._tree(s + length + gap / 2, side * (front + self.rng.uniform(0, 5)))
            s += length + gap
        if self.rng.random() < 0.7:
            kind = self.rng.choice(['hedge', 'fence', 'wall'])
            self._barrier(side * (self.street.edge + 0.4), kind)

    def _park(self, side: int) -> None:
        for _ in range(self.rng.integers(6, 15)):
            self._tree(self._somewhere(), side * (self.street.edge + self.rng.uniform(1.8, 22)))
        for _ in range(self.rng.integers(1, 6)):
            self._bush(self._somewhere(), side * (self.street.edge + self.rng.uniform(1.2, 10)))
        self._treeline(side * (self.street.edge + self.rng.uniform(26, 34)))

    def _open(self, side: int) -> None:
        if self.world.avenue:
            self._avenue_trees(side)
        elif self.rng.random() < 0.6:
            self._tree(self._somewhere(), side * (self.street.edge + self.rng.uniform(3, 30)))
        if self.rng.random() < 0.4:
            self._barrier(side * (self.street.edge + self.rng.uniform(1, 4)), 'fence')
        if self.rng.random() < 0.25:
            far, length = self.street.edge + self.rng.uniform(25, 45), self.rng.uniform(10, 24)
            self._building(side, self.start + ZONE / 2, far, length, 10, 2, False, flat=False)
        self._treeline(side * (self.street.edge + 60))

    def _works(self, side: int) -> None:
        if self.rng.random() < 0.6:
            self._barrier(side * (self.street.edge + 0.3), self.rng.choice(['wall', 'fence']))
        front = self.street.edge + self.world.setback + self.rng.uniform(3, 12)
        hall = objects.hall(self.rng, self.materials, self.rng.uniform(18, 38), 16)
        self._put(hall, self.start + ZONE / 2, side * (front + 8))
        for _ in range(self.rng.integers(0, 4)):
            self._bush(self._somewhere(), side * (self.street.edge + 1.5))

    def _furniture(self, side: int) -> None:
        d = side * (self.street.kerb + 0.45)
        for s in np.arange(self.start, self.start + ZONE, self.world.posts):
            post = objects.lamp_post(self.rng, self.materials, side)
            self._put(post, s + self.rng.uniform(0, 4), d)
        for _ in range(self.rng.poisson(0.9)):
            turn = 0.0 if side < 0 else np.pi
            self._put(objects.sign(self.rng, self.materials), self._somewhere(), d, turn)
        if self.rng.random() < 0.1:
            self._put(objects.traffic_light(self.materials), self._somewhere(), d)

    # Objects at their places.

    def _somewhere(self) -> float:
        return self.start + self.rng.uniform(0, ZONE)

    def _put(
        self,
        quads: Quads,
        s: float,
        d: float,
        turn: float = 0.0,
        own: bool = False,
        shadow: tuple[float, float, float] | None = None,
    ) -> None:
        """Put an object into the world unless it would block the road, as bends can cause.

        `own` gives it an instance of its own; `shadow` is half its length and width, and depth.
        """
        x, y, heading = (float(value) for value in self.world.line.at(s, d))
        placed = quads.placed(x, y, heading + turn)
        if not own and self._blocks_road(placed):
            return
        if own:
            self._instances += 1
            number = (self.number % 100_000 + 100) * _IDS_PER_ZONE + self._instances
            placed = placed.as_object(number)
        self._parts.append(placed)
        if shadow is not None:
            self._shadows.append((x, y, heading + turn, *shadow))

    def _blocks_road(self, quads: Quads) -> bool:
        """Return whether anything lower than a car's roof stands on the road."""
        along = np.linspace(0, 1, 9)[:, None, None]
        x, y, z = np.moveaxis(quads.origin + quads.v + along * quads.u, -1, 0)
        _, d, _, _ = self.world.line.coordinates(x.astype(np.float32), y.astype(np.float32))
        return bool(((np.abs(d) < self.street.kerb) & (z < 2)).any())

    def _building(
        self,
        side: int,
        s: float,
        front: float,
        length: float,
        depth: float,
        storeys: int,
        shop: bool,
        flat: bool,
    ) -> None:
        quads = objects.building(self.rng, self.materials, length, depth, storeys, shop, flat)
        self._put(quads, s, side * (front + depth / 2))

    def _avenue_trees(self, side: int) -> None:
        d = side * (self.street.edge + 0.6 if self.street.pavement < 2 else self.street.kerb + 0.8)
        for s in np.arange(self.start + 4, self.start + ZONE, 12.0):
            if self.rng.random() < 0.85:
                self._tree(s + self.rng.uniform(-1, 1), d)

    def _tree(self, s: float, d: float) -> None:
        height = self.world.tree_height * self.rng.uniform(0.7, 1.25)
        radius = height * self.rng.uniform(0.22, 0.34)
        quads = objects.tree(self.rng, self.materials, height, radius)
        shadow = (radius * 1.2, radius * 1.2, 0.35)
        self._put(quads, s, d, self.rng.uniform(0, 2 * np.pi), shadow=shadow)

    def _bush(self, s: float, d: float) -> None:
        self._put(objects.bush(self.rng, self.materials), s, d, self.rng.uniform(0, np.pi))

    def _barrier(self, d: float, kind: str) -> None:
        # In short pieces, so that it follows the bend.
        length = 6.0
        piece = objects.barrier(self.rng, self.materials, kind, length)
        for s in np.arange(self.start, self.start + ZONE - 0.1, length):
            if self.rng.random() < 0.88:
                self._put(piece, s + length / 2, d)

    def _treeline(self, d: float) -> None:
        # Longer than the zone, so that no gaps open on the outside of a bend.
        quads = objects.treeline(self.rng, self.materials, ZONE * 1.35)
        self._put(quads, self.start + ZONE / 2, d)

    def _parked_cars(self, side: int) -> None:
        d = side * (self.street.kerb - 1.1)
        s = self.start + self.rng.uniform(0, 4)
        while s < self.start + ZONE - 6:
            shape = self.materials.vehicles[self.rng.integers(len(self.materials.vehicles))]
            length = float(np.ptp(shape.origin[:, 0]))
            if self.rng.random() < self.world.parked and length < 6:
                turn = (0.0 if side < 0 else np.pi) + self.rng.normal(0, 0.02)
                shadow = (length / 2 + 0.15, 1.05, 0.65)
                self._put(shape, s + length / 2, d, turn, own=True, shadow=shadow)
            s += length + self.rng.uniform(0.8, 2.5)

    def _person(self, side: int) -> None:
        d = self.street.kerb + max(0.9, self.rng.uniform(0.3, 1) * self.street.pavement)
        quads, turn = objects.person(self.rng, self.materials), self.rng.normal(0, 0.5)
        shadow = (0.35, 0.35, 0.5)
        self._put(quads, self._somewhere(), side * d, turn, own=True, shadow=shadow)

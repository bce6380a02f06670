"""All textures of one world in one atlas, found by name."""

from __future__ import annotations

import numpy as np

from semdepth_ros.simulation import bodywork, surfaces
from semdepth_ros.simulation.atlas import Atlas, Texture
from semdepth_ros.simulation.ground import ground_texture
from semdepth_ros.simulation.quads import Quads
from semdepth_ros.simulation.road import CrossSection

_VEHICLES = 12


class Materials:
    """The look of a world: its atlas, the layers of every material and its vehicles.

    Attributes:
        atlas: All textures.
        stains: See `surfaces.stains`.
        ground_label: Label of each row of the ground's texture.
        vehicles: Shapes of the vehicles that occur, painted.
    """

    def __init__(self, rng: np.random.Generator, street: CrossSection, verge: bool) -> None:
        self._textures: list[Texture] = []
        self._layers: dict[str, list[int]] = {}
        ground, self.ground_label = ground_texture(rng, street, verge)
        self._add('ground', ground)
        self._add('sky', surfaces.sky(rng))
        self.stains = surfaces.stains(rng)
        for _ in range(6):
            self._add('facade', surfaces.facade(rng))
        for _ in range(3):
            self._add('blind', surfaces.blind_wall(rng))
            self._add('shop', surfaces.shop(rng))
            self._add('clump', surfaces.leaves(rng, cut=True))
            self._add('person', surfaces.person(rng))
        for _ in range(2):
            self._add('roof', surfaces.roof(rng))
            self._add('gable', surfaces.gable(rng))
            self._add('hedge', surfaces.leaves(rng, cut=False))
            self._add('treeline', surfaces.treeline(rng))
        for kind in (0, 0, 1, 2, 3):
            self._add('sign', surfaces.sign(rng, kind))
        self._add('bark', surfaces.bark(rng))
        self._add('metal', surfaces.plain(rng, 120))
        self._add('fence', surfaces.fence(rng))
        self._add('light', surfaces.traffic_light(rng))
        self.vehicles = [self._vehicle(rng, k) for k in range(_VEHICLES)]
        self.atlas = Atlas(self._textures)

    def __getitem__(self, name: str) -> list[int]:
        """Return the layers of a material."""
        return self._layers[name]

    def pick(self, rng: np.random.Generator, name: str) -> int:
        """Return one layer of a material at random."""
        layers = self._layers[name]
        return layers[rng.integers(len(layers))]

    def _add(self, name: str, texture: Texture) -> None:
        self._layers.setdefault(name, []).append(len(self._textures))
        self._textures.append(texture)

    def _vehicle(self, rng: np.random.Generator, index: int) -> Quads:
        # Every world has cars; lorries and buses by chance.
        kinds = ('saloon', 'hatchback', 'estate')
        kind = kinds[index] if index < len(kinds) else bodywork.draw_kind(rng)
        outline = bodywork.OUTLINES[kind]
        first = len(self._textures)
        self._textures += bodywork.textures(rng, outline, bodywork.paint(rng))
        return bodywork.shape(outline, first)

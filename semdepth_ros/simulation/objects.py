"""Houses, trees, fences, lamp posts, signs and people, in frames with x along the street."""

from __future__ import annotations

import numpy as np

from semdepth_ros.simulation.materials import Materials
from semdepth_ros.simulation.quads import QuadBuilder, Quads
from semdepth_ros.simulation.surfaces import FACADE_TILE

_BUILDING, _WALL, _FENCE, _POLE, _LIGHT, _SIGN = 2, 3, 4, 5, 6, 7
_VEGETATION, _PERSON = 8, 11
_STOREY = 3.2


def tint(rng: np.random.Generator, low: float = 0.75, high: float = 1.15) -> np.ndarray:
    """Return a factor (3,) on a colour: lighter or darker, a little warmer or colder."""
    return rng.uniform(low, high) * rng.uniform(0.95, 1.05, 3)


def building(
    rng: np.random.Generator,
    materials: Materials,
    length: float,
    depth: float,
    storeys: int,
    shop: bool,
    flat: bool,
) -> Quads:
    """Return a house with windows to the street, a `shop` below, a `flat` roof or a gabled one."""
    build = QuadBuilder()
    color = tint(rng)
    facade = materials.pick(rng, 'facade')
    # Whole bays: the facade is stretched a little rather than cut through a window.
    bays = max(1, round(length / FACADE_TILE * 2)) / 2
    layers = [materials.pick(rng, 'blind')] * 2 + [facade] * 2
    ground = 0.0
    if shop:
        ground = 1.15 * _STOREY
        fronts = layers[:2] + [materials.pick(rng, 'shop')] * 2
        build.box((length, depth, ground), fronts, _BUILDING, tile=(length / bays, ground))
    height = storeys * _STOREY
    tile = (length / bays, FACADE_TILE)
    build.box((length, depth, height), layers, _BUILDING, (0, 0, ground), tile, color)
    if not flat:
        _add_roof(rng, materials, build, length, depth, ground + height, color)
    return build.quads()


def _add_roof(
    rng: np.random.Generator,
    materials: Materials,
    build: QuadBuilder,
    length: float,
    depth: float,
    top: float,
    color: np.ndarray,
) -> None:
    rise = depth * rng.uniform(0.25, 0.5)
    layer, gable = materials.pick(rng, 'roof'), materials.pick(rng, 'gable')
    half, over = length / 2, 0.4
    eave, drop = depth / 2 + over, rise * (1 + over / (depth / 2))
    tiles = (0, 0, length / 4, eave / 4)
    ridge = top + rise
    build.add((half, 0, ridge), (-length, 0, 0), (0, eave, -drop), layer, _BUILDING, tiles)
    build.add((-half, 0, ridge), (length, 0, 0), (0, -eave, -drop), layer, _BUILDING, tiles)
    for x, across in ((half, depth), (-half, -depth)):
        origin, u = (x, -across / 2, ridge), (0, across, 0)
        build.add(origin, u, (0, 0, -rise), gable, _BUILDING, tint=color)


def hall(rng: np.random.Generator, materials: Materials, length: float, depth: float) -> Quads:
    """Return a windowless hall."""
    build = QuadBuilder()
    wall = materials.pick(rng, 'blind')
    size = (length, depth, rng.uniform(5, 11))
    build.box(size, [wall] * 4, _BUILDING, tile=(FACADE_TILE, FACADE_TILE), tint=tint(rng))
    return build.quads()


def tree(rng: np.random.Generator, materials: Materials, height: float, radius: float) -> Quads:
    """Return a trunk and a crown of six leafy sheets that stand around it."""
    build = QuadBuilder()
    thick = 0.05 * height * rng.uniform(0.6, 1)
    bark = materials['bark'][0]
    stem = height - radius * 1.15
    build.box((thick, thick, stem), [bark] * 4, _VEGETATION, tile=(0.8, 1.6))
    clump = materials.pick(rng, 'clump')
    color = tint(rng, 0.75, 1.3)
    middle = np.array([0, 0, stem])
    for k in range(6):
        azimuth = k * np.pi / 3 + rng.uniform(-0.4, 0.4)
        out = np.array([np.cos(azimuth), np.sin(azimuth), 0])
        offset = rng.uniform(0.1, 0.6, 3) * rng.choice([-1, 1], 3) * radius
        tilt = rng.uniform(-0.35, 0.35)
        right = np.array([-out[1], out[0], 0]) * radius * rng.uniform(0.9, 1.25)
        down = np.array([0, 0, -np.cos(tilt)]) + out * np.sin(tilt)
        down *= radius * rng.uniform(1, 1.3)
        # Lighter above than below.
        shade = color * (1 + 0.35 * offset[2] / radius)
        origin = middle + offset - right - down
        build.add(origin, 2 * right, 2 * down, clump, _VEGETATION, tint=shade, two_sided=True)
    return build.quads()


def bush(rng: np.random.Generator, materials: Materials) -> Quads:
    """Return three leafy sheets that cross."""
    build = QuadBuilder()
    size = rng.uniform(0.8, 2.2)
    clump, color = materials.pick(rng, 'clump'), tint(rng, 0.75, 1.3)
    for k in range(3):
        right = np.array([np.cos(k * np.pi / 3), np.sin(k * np.pi / 3), 0]) * size
        origin, v = np.array([0, 0, size * 1.5]) - right, (0, 0, -1.7 * size)
        build.add(origin, 2 * right, v, clump, _VEGETATION, tint=color, two_sided=True)
    return build.quads()


def barrier(rng: np.random.Generator, materials: Materials, kind: str, length: float) -> Quads:
    """Return a straight piece of 'hedge', 'fence' or 'wall'."""
    low, high, label = {
        'hedge': (0.8, 2.0, _VEGETATION),
        'fence': (0.9, 1.5, _FENCE),
        'wall': (0.8, 2.4, _WALL),
    }[kind]
    height = rng.uniform(low, high)
    layer, color = materials.pick(rng, 'blind' if kind == 'wall' else kind), tint(rng)
    build = QuadBuilder()
    if kind == 'fence':
        origin, tiles = (-length / 2, 0, height), (0, 0, length / 2.5, 1)
        u, v = (length, 0, 0), (0, 0, -height)
        build.add(origin, u, v, layer, label, tiles, color, two_sided=True)
    else:
        thick = 0.8 if kind == 'hedge' else 0.3
        build.box((length, thick, height), [layer] * 5, label, tile=(3, 3), tint=color)
    return build.quads()


def treeline(rng: np.random.Generator, materials: Materials, length: float) -> Quads:
    """Return the edge of a wood."""
    build = QuadBuilder()
    layer, height = materials.pick(rng, 'treeline'), rng.uniform(7, 14)
    origin, tiles = (-length / 2, 0, height), (rng.random(), 0, length / 12, 1)
    u, v = (length, 0, 0), (0, 0, -height)
    build.add(origin, u, v, layer, _VEGETATION, tiles, tint(rng, 0.6, 0.9), two_sided=True)
    return build.quads()


def lamp_post(rng: np.random.Generator, materials: Materials, side: int) -> Quads:
    """Return a lamp post whose arm reaches over the road from the left (1) or the right (-1)."""
    build = QuadBuilder()
    metal = materials['metal']
    height, arm = rng.uniform(6, 9), 1.6
    build.box((0.16, 0.16, height), metal * 4, _POLE, tint=(0.9, 0.9, 0.95))
    base = (0, -side * arm / 2, height - 0.12)
    build.box((0.12, arm, 0.12), metal * 5, _POLE, base, tint=(0.8, 0.8, 0.85))
    return build.quads()


def traffic_light(materials: Materials) -> Quads:
    """Return a traffic light on its pole."""
    build = QuadBuilder()
    build.box((0.14, 0.14, 3.0), materials['metal'] * 4, _POLE)
    size = (0.3, 0.34, 0.95)
    build.box(size, materials['light'] * 4, _LIGHT, (0, 0, 2.6), tile=(0.34, 0.95))
    return build.quads()


def sign(rng: np.random.Generator, materials: Materials) -> Quads:
    """Return a traffic sign that faces those who drive towards +x; its back is gray."""
    build = QuadBuilder()
    size, bottom = rng.uniform(0.6, 1.0), rng.uniform(1.7, 2.4)
    build.box((0.08, 0.08, bottom + size), materials['metal'] * 4, _POLE, tint=(1.1, 1.1, 1.1))
    layer = materials.pick(rng, 'sign')
    for facing, color in ((-1, (1.0, 1.0, 1.0)), (1, (0.35, 0.35, 0.36))):
        origin = (0.06 * facing, -facing * size / 2, bottom + size)
        build.add(origin, (0, facing * size, 0), (0, 0, -size), layer, _SIGN, tint=color)
    return build.quads()


def person(rng: np.random.Generator, materials: Materials) -> Quads:
    """Return somebody: two silhouettes that cross."""
    build = QuadBuilder()
    layer, color = materials.pick(rng, 'person'), tint(rng, 0.7, 1.2)
    height = rng.uniform(1.5, 1.9)
    for x, y in ((0.0, 0.38), (0.2, 0.0)):
        origin, u = (-x, -y, height), (2 * x, 2 * y, 0)
        build.add(origin, u, (0, 0, -height), layer, _PERSON, tint=color, two_sided=True)
    return build.quads()

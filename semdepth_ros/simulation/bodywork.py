"""Vehicles: their outlines, textures and shapes."""

from __future__ import annotations

import dataclasses
import itertools

import cv2
import numpy as np

from semdepth_ros.simulation.atlas import Texture
from semdepth_ros.simulation.noise import fractal, grain
from semdepth_ros.simulation.quads import QuadBuilder, Quads

_SIZE = 256
_CAR, _TRUCK, _BUS = 13, 14, 15


@dataclasses.dataclass(frozen=True)
class Outline:
    """A vehicle from its right side, in shares of its length and height.

    `profile` runs over the top from the rear bumper's upper edge to the front one's; `glass` names
    the sections between its points that are windows. `windows` are the side windows' corners.
    """

    label: int
    length: float
    width: float
    height: float
    wheel: float
    profile: tuple[tuple[float, float], ...]
    glass: tuple[int, ...]
    windows: tuple[tuple[tuple[float, float], ...], ...]
    axles: tuple[float, ...] = (0.19, 0.81)


OUTLINES = {
    'saloon': Outline(
        _CAR, 4.5, 1.78, 1.45, 0.32,
        ((0.0, 0.62), (0.13, 0.67), (0.28, 0.99), (0.56, 1.0), (0.73, 0.66), (0.98, 0.53)),
        (1, 3),
        (((0.2, 0.68), (0.3, 0.93), (0.42, 0.94), (0.42, 0.67)),
         ((0.44, 0.67), (0.44, 0.94), (0.56, 0.94), (0.69, 0.67))),
    ),
    'hatchback': Outline(
        _CAR, 4.0, 1.72, 1.48, 0.31,
        ((0.0, 0.62), (0.03, 0.66), (0.12, 0.97), (0.56, 1.0), (0.75, 0.66), (0.98, 0.52)),
        (1, 3),
        (((0.1, 0.68), (0.16, 0.92), (0.37, 0.94), (0.37, 0.67)),
         ((0.4, 0.67), (0.4, 0.94), (0.56, 0.94), (0.7, 0.67))),
    ),
    'estate': Outline(
        _CAR, 4.6, 1.8, 1.5, 0.32,
        ((0.0, 0.6), (0.02, 0.65), (0.07, 0.96), (0.57, 1.0), (0.75, 0.65), (0.98, 0.53)),
        (1, 3),
        (((0.06, 0.68), (0.1, 0.92), (0.22, 0.93), (0.22, 0.67)),
         ((0.24, 0.67), (0.24, 0.94), (0.41, 0.94), (0.41, 0.67)),
         ((0.43, 0.67), (0.43, 0.94), (0.57, 0.94), (0.7, 0.67))),
    ),
    'offroader': Outline(
        _CAR, 4.6, 1.88, 1.75, 0.37,
        ((0.0, 0.62), (0.02, 0.66), (0.08, 0.97), (0.6, 1.0), (0.72, 0.68), (0.98, 0.6)),
        (1, 3),
        (((0.07, 0.69), (0.1, 0.92), (0.38, 0.94), (0.38, 0.68)),
         ((0.41, 0.68), (0.41, 0.94), (0.59, 0.94), (0.68, 0.68))),
    ),
    'van': Outline(
        _CAR, 5.2, 2.0, 2.3, 0.34,
        ((0.0, 0.5), (0.01, 0.55), (0.03, 0.97), (0.75, 1.0), (0.9, 0.6), (0.99, 0.45)),
        (1, 3),
        (((0.66, 0.6), (0.66, 0.88), (0.76, 0.88), (0.86, 0.6)),),
    ),
    'truck': Outline(
        _TRUCK, 8.5, 2.5, 3.4, 0.48,
        ((0.0, 1.0), (0.74, 1.0), (0.75, 0.8), (0.95, 0.8), (0.99, 0.52), (1.0, 0.5)),
        (3,),
        (((0.8, 0.55), (0.8, 0.75), (0.92, 0.75), (0.94, 0.55)),),
        (0.16, 0.3, 0.88),
    ),
    'bus': Outline(
        _BUS, 11.5, 2.55, 3.1, 0.48,
        ((0.0, 0.95), (0.01, 1.0), (0.98, 1.0), (1.0, 0.42)),
        (2,),
        tuple(
            ((x, 0.48), (x, 0.86), (x + 0.125, 0.86), (x + 0.125, 0.48))
            for x in (0.02, 0.155, 0.29, 0.425, 0.56, 0.695, 0.83)
        ),
        (0.22, 0.85),
    ),
}  # fmt: skip
_FREQUENCY = {
    'saloon': 5, 'hatchback': 6, 'estate': 4, 'offroader': 3, 'van': 3, 'truck': 1.2, 'bus': 1,
}  # fmt: skip


def draw_kind(rng: np.random.Generator) -> str:
    """Return the name of an outline, cars more often than the rest."""
    weights = np.array(list(_FREQUENCY.values()), float)
    return list(_FREQUENCY)[rng.choice(len(weights), p=weights / weights.sum())]


def paint(rng: np.random.Generator) -> np.ndarray:
    """Return a colour that cars have, (3,) 0..255: mostly gray, black or white."""
    if rng.random() < 0.65:
        return np.array([1.0, 1.0, 1.02]) * rng.choice([25, 50, 90, 140, 180, 225])
    palette = [(150, 20, 24), (24, 50, 120), (40, 90, 60), (190, 150, 40), (70, 110, 160)]
    return np.array(palette[rng.integers(len(palette))], float)


def textures(rng: np.random.Generator, outline: Outline, color: np.ndarray) -> list[Texture]:
    """Return the textures of one vehicle: side, front, rear, paint, glass."""
    return [
        _side(rng, outline, color),
        _end(rng, outline, color, front=True),
        _end(rng, outline, color, front=False),
        Texture(_painted(rng, color).astype(np.uint8)),
        Texture(_glass(rng).astype(np.uint8)),
    ]


def shape(outline: Outline, first_layer: int) -> Quads:
    """Return the vehicle around x = y = 0, front towards +x; layers in `textures`' order."""
    side, front, rear, body, glass = range(first_layer, first_layer + 5)
    length, width, height = outline.length, outline.width, outline.height
    half = width / 2
    points = [((x - 0.5) * length, z * height) for x, z in outline.profile]
    build = QuadBuilder()
    left, right = (length / 2, half, height), (-length / 2, -half, height)
    build.add(left, (-length, 0, 0), (0, 0, -height), side, outline.label, (1, 0, -1, 1))
    build.add(right, (length, 0, 0), (0, 0, -height), side, outline.label)
    x, z = points[-1]
    build.add((x, -half, z), (0, width, 0), (0, 0, -z), front, outline.label)
    x, z = points[0]
    build.add((x, half, z), (0, -width, 0), (0, 0, -z), rear, outline.label)
    for k, ((x0, z0), (x1, z1)) in enumerate(itertools.pairwise(points)):
        layer = glass if k in outline.glass else body
        across, down = (0, -width, 0), (x0 - x1, 0, z0 - z1)
        build.add((x1, half, z1), across, down, layer, outline.label)
    return build.quads()


def _painted(rng: np.random.Generator, color: np.ndarray) -> np.ndarray:
    # Even clean paint mirrors its surroundings: a soft pattern keeps the surface visible to stereo.
    return grain(rng, (_SIZE, _SIZE), tuple(color + 6), 0.10, 1.2)


def _glass(rng: np.random.Generator) -> np.ndarray:
    image = grain(rng, (_SIZE, _SIZE), (44, 52, 58), 0.22, 1.4)
    return np.clip(image + np.linspace(45, 0, _SIZE)[:, None, None], 0, 255)


def _pixels(points: tuple[tuple[float, float], ...]) -> np.ndarray:
    return np.array([(x * _SIZE, (1 - z) * _SIZE) for x, z in points]).round().astype(np.int32)


def _side(rng: np.random.Generator, outline: Outline, color: np.ndarray) -> Texture:
    image = _painted(rng, color)
    clearance = 0.55 * outline.wheel / outline.height
    image *= np.linspace(1.12, 0.8, _SIZE, dtype=np.float32)[:, None, None]
    if outline.label == _TRUCK:
        image[:, : int(0.745 * _SIZE)] = _painted(rng, paint(rng))[:, : int(0.745 * _SIZE)]
        image[150:] *= 0.4
    belt = _SIZE - int(_SIZE * 0.45)
    image[belt : belt + 3] *= 0.8
    if outline.label == _CAR:
        for x in (0.24, 0.43, 0.66):
            image[100:205, int(x * _SIZE)] *= 0.55
        for x in (0.38, 0.62):
            image[118:123, int(x * _SIZE) - 10 : int(x * _SIZE)] *= 0.5
    for corners in outline.windows:
        window = np.zeros((_SIZE, _SIZE), np.uint8)
        cv2.fillPoly(window, [_pixels(corners)], 255)
        image[window > 0] = _glass(rng)[window > 0]
    image[118:134, :8] = (170, 24, 22)
    image[118:132, -12:] = (235, 232, 215)

    alpha = np.zeros((_SIZE, _SIZE), np.uint8)
    first, last = outline.profile[0], outline.profile[-1]
    body = ((first[0], clearance), *outline.profile, (last[0], clearance))
    cv2.fillPoly(alpha, [_pixels(body)], 255)
    rx, ry = (round(outline.wheel / size * _SIZE) for size in (outline.length, outline.height))
    for axle in outline.axles:
        center = (round(axle * _SIZE), _SIZE - ry)
        for factor, shade in ((1.22, 14.0), (1.0, 34.0), (0.66, 150.0), (0.5, 95.0), (0.16, 40.0)):
            axes = (round(rx * factor), round(ry * factor))
            cv2.ellipse(image, center, axes, 0, 0, 360, (shade,) * 3, -1, cv2.LINE_AA)
        cv2.ellipse(alpha, center, (rx, ry), 0, 0, 360, 255, -1)
    return Texture(np.clip(image, 0, 255).astype(np.uint8), alpha, repeat=False)


def _end(rng: np.random.Generator, outline: Outline, color: np.ndarray, front: bool) -> Texture:
    image = _painted(rng, color)
    top = outline.profile[-1 if front else 0][1]
    clearance = min(0.4, 0.55 * outline.wheel / outline.height / top)
    floor = int(_SIZE * (1 - clearance))
    image[floor - 50 : floor] *= 0.75
    if outline.label == _TRUCK and not front:
        image[:, 124:130] *= 0.5
        image[200:] *= 0.35
    elif outline.label == _BUS and not front:
        image[20:100, 24:232] = _glass(rng)[20:100, 24:232]
    lamp = (238, 236, 222) if front else (178, 22, 22)
    lamps = slice(floor - 120, floor - 84)
    image[lamps, 8:58] = lamp
    image[lamps, -58:-8] = lamp
    image[lamps, 8:58] *= (1 + 0.15 * fractal(rng, 36, 50, 0.8))[..., None]
    if front:
        image[floor - 110 : floor - 60, 72:184] = (30, 30, 32)
        for y in range(floor - 108, floor - 60, 10):
            image[y : y + 3, 72:184] = 120
    image[floor - 44 : floor - 20, 92:164] = (228, 226, 210)
    for x in range(98, 158, 12):
        image[floor - 40 : floor - 25, x : x + 7] = 30
    alpha = np.zeros((_SIZE, _SIZE), np.uint8)
    alpha[:floor] = 255
    tyre = round(0.2 / outline.width * _SIZE)
    for x in (8, _SIZE - 8 - tyre):
        alpha[floor:, x : x + tyre] = 255
        image[floor:, x : x + tyre] = 22
    return Texture(np.clip(image, 0, 255).astype(np.uint8), alpha, repeat=False)

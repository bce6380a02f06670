"""The ground's texture: asphalt with its marks and damages, kerbs, pavement and grass."""

from __future__ import annotations

import cv2
import numpy as np

from semdepth_ros.classes import ROAD, SIDEWALK, TERRAIN
from semdepth_ros.simulation.atlas import Texture
from semdepth_ros.simulation.noise import grain
from semdepth_ros.simulation.road import CrossSection

#: The ground texture repeats along the road after this many metres ...
GROUND_PERIOD = 48.0
#: ... and reaches so far to either side.
GROUND_REACH = 20.0
#: Its outer metres are open land, which goes on, mirrored, to the horizon.
GROUND_STRIP = 4.0
_GROUND_SIZE = (1024, 2048)  # across, along


def ground_texture(
    rng: np.random.Generator, street: CrossSection, verge: bool
) -> tuple[Texture, np.ndarray]:
    """Return the ground's texture (across, along) and its label for every row.

    Rows run from d = -GROUND_REACH to +GROUND_REACH. `verge` has grass beyond the pavement, else
    the ground is paved up to the walls.
    """
    rows = _GROUND_SIZE[0]
    d = np.abs((np.arange(rows) + 0.5) / rows * 2 - 1) * GROUND_REACH
    gray = rng.uniform(70, 115)
    warm = rng.uniform(-6, 8)
    road = _land(rng, (gray + warm, gray, gray - warm), 0.10, 0.6)
    _wear(rng, road, street)
    grass = _land(rng, _grass_color(rng), 0.28, 0.55)
    paving = _land(rng, (rng.uniform(115, 165),) * 3, 0.09, 0.6)
    _slabs(rng, paving)
    on_road, on_pavement = d < street.kerb, (d >= street.kerb) & (d < street.edge)
    paved = on_pavement | ((d >= street.edge) & (not verge) & (d < GROUND_REACH - GROUND_STRIP))
    image = np.where(on_road[:, None, None], road, np.where(paved[:, None, None], paving, grass))
    _marks(rng, image, street)
    label = np.full(rows, TERRAIN, np.uint8)
    label[paved] = SIDEWALK
    label[on_road] = ROAD
    return Texture(image.astype(np.uint8)), label


def _land(
    rng: np.random.Generator, color: tuple[float, float, float], contrast: float, slope: float
) -> np.ndarray:
    tile = grain(rng, (512, 512), color, contrast, slope)
    return np.tile(tile, (_GROUND_SIZE[0] // 512, _GROUND_SIZE[1] // 512, 1))


def _row(d: float) -> int:
    return round((d / GROUND_REACH + 1) / 2 * _GROUND_SIZE[0])


def _column(s: float) -> int:
    return round(s / GROUND_PERIOD * _GROUND_SIZE[1])


def _wear(rng: np.random.Generator, road: np.ndarray, street: CrossSection) -> None:
    """Wheel tracks, patches, cracks and manholes."""
    rows = (np.arange(len(road)) + 0.5) / len(road) * 2 * GROUND_REACH - GROUND_REACH
    track = np.cos((np.abs(rows) % street.lane_width) / street.lane_width * 4 * np.pi)
    road *= (1 + 0.05 * track)[:, None, None]
    for _ in range(rng.integers(4, 12)):
        s, d = rng.uniform(0, GROUND_PERIOD - 6), rng.uniform(-street.kerb, street.kerb)
        s1, d1 = s + rng.uniform(0.8, 6), d + rng.uniform(0.4, 2.5)
        patch = road[_row(d) : _row(d1), _column(s) : _column(s1)]
        patch *= rng.uniform(0.65, 1.2)
    for _ in range(rng.integers(5, 20)):
        start = np.array([rng.uniform(0, GROUND_PERIOD), rng.uniform(-street.kerb, street.kerb)])
        steps = rng.normal(0, 0.5, (12, 2)) + rng.normal(0, 0.4, 2)
        line = [(_column(s), _row(d)) for s, d in start + np.cumsum(steps, 0)]
        shade = float(road.mean() * 0.55)
        cv2.polylines(road, [np.array(line, np.int32)], False, (shade,) * 3, 2, cv2.LINE_AA)
    for _ in range(3):
        center = (_column(rng.uniform(2, 46)), _row(rng.uniform(-street.kerb, street.kerb)))
        axes = (_column(0.35), round(0.35 * _GROUND_SIZE[0] / (2 * GROUND_REACH)))
        cv2.ellipse(road, center, axes, 0, 0, 360, (52, 50, 48), -1, cv2.LINE_AA)
        cv2.ellipse(road, center, axes, 0, 0, 360, (128, 126, 122), 1, cv2.LINE_AA)


def _slabs(rng: np.random.Generator, paving: np.ndarray) -> None:
    size = rng.choice([0.5, 1.0])
    for s in np.arange(0, GROUND_PERIOD, size):
        for d in np.arange(-GROUND_REACH, GROUND_REACH, size):
            slab = paving[_row(d) : _row(d + size), _column(s) : _column(s + size)]
            slab *= rng.uniform(0.85, 1.1)
    for s in np.arange(0, GROUND_PERIOD, size):
        paving[:, _column(s) : _column(s) + 2] *= 0.75
    for d in np.arange(-GROUND_REACH, GROUND_REACH, size):
        paving[_row(d) : _row(d) + 1] *= 0.75


def _marks(rng: np.random.Generator, image: np.ndarray, street: CrossSection) -> None:
    """Lane marks, edge lines, parking bays and kerb stones."""
    paint = rng.uniform(0.5, 0.9)

    def line(d: float, width: float, spans: list[tuple[float, float]]) -> None:
        for s0, s1 in spans:
            area = image[_row(d - width / 2) : _row(d + width / 2), _column(s0) : _column(s1)]
            worn = np.clip(paint + 0.25 * rng.standard_normal(area.shape[:2]), 0, 1)[..., None]
            area += (np.array([225, 225, 218]) - area) * worn

    whole = [(0.0, GROUND_PERIOD)]
    dash = rng.choice([3.0, 4.0])
    gap = rng.choice([4.0, 8.0])
    period = GROUND_PERIOD / round(GROUND_PERIOD / (dash + gap))
    dashes = [(s, s + dash) for s in np.arange(0, GROUND_PERIOD - 1, period)]
    line(0, 0.16, whole if rng.random() < 0.35 else dashes)
    for side in (-1, 1):
        for k in range(1, street.lanes):
            line(side * k * street.lane_width, 0.14, dashes)
        edge = street.lanes * street.lane_width
        if street.parking:
            line(side * edge, 0.12, [(s, s + 1.2) for s in np.arange(0, GROUND_PERIOD, 6.0)])
        elif rng.random() < 0.7:
            line(side * (edge - 0.2), 0.14, whole)
        if street.pavement:
            # A kerb stone: a bright top, a dark gutter before it.
            stone = image[
                slice(*sorted((_row(side * street.kerb), _row(side * (street.kerb + 0.2)))))
            ]
            stone *= 0.35
            stone += 105
            for s in np.arange(0, GROUND_PERIOD, 1.0):
                stone[:, _column(s) : _column(s) + 2] *= 0.6
            gutter = slice(*sorted((_row(side * (street.kerb - 0.12)), _row(side * street.kerb))))
            image[gutter] *= 0.55


def _grass_color(rng: np.random.Generator) -> tuple[float, float, float]:
    green = rng.uniform(85, 130)
    return green * rng.uniform(0.75, 1.15), green, green * rng.uniform(0.4, 0.6)

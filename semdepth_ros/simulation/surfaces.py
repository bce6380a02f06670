"""Textures of what stands still: walls, roofs, plants, signs, people and the sky."""

from __future__ import annotations

import cv2
import numpy as np

from semdepth_ros.simulation.atlas import Texture
from semdepth_ros.simulation.noise import fractal, grain

SIZE = 256
#: Metres of wall that a facade texture covers: two bays, two storeys.
FACADE_TILE = 6.4
#: The sky texture spans all azimuths and elevations up to this tangent.
SKY_TANGENT = 1.2


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Return a picture as uint8, clipped."""
    return np.clip(image, 0, 255).astype(np.uint8)


def wall_color(rng: np.random.Generator) -> tuple[float, float, float]:
    """Return a colour that houses have: plaster, sandstone, brick or concrete."""
    palette = [
        (206, 196, 178), (184, 170, 146), (150, 92, 72), (172, 120, 96), (168, 168, 166),
        (196, 180, 140), (214, 210, 204), (140, 142, 148), (186, 150, 130),
    ]  # fmt: skip
    base = np.array(palette[rng.integers(len(palette))]) * rng.uniform(0.8, 1.08)
    return tuple(base)


def facade(rng: np.random.Generator) -> Texture:
    """Return two bays by two storeys of a wall with windows."""
    image = _masonry(rng, wall_color(rng), brick=rng.random() < 0.4)
    half = SIZE // 2
    wide, tall = int(rng.integers(38, 86)), int(rng.integers(50, 90))
    frame = tuple(float(c) for c in np.array([1, 1, 1]) * rng.choice([235, 90, 60, 200]))
    for i in range(2):
        for j in range(2):
            x0 = i * half + (half - wide) // 2
            y0 = j * half + (half - tall) // 2
            _window(rng, image, x0, y0, wide, tall, frame)
    if rng.random() < 0.5:
        image[half - 8 : half - 2] *= 0.8
        image[half - 10 : half - 8] *= 1.15
    return Texture(to_bytes(image))


def _window(
    rng: np.random.Generator,
    image: np.ndarray,
    x0: int,
    y0: int,
    wide: int,
    tall: int,
    frame: tuple[float, ...],
) -> None:
    cv2.rectangle(image, (x0 - 3, y0 - 3), (x0 + wide + 2, y0 + tall + 2), frame, -1)
    mirrored = np.linspace(rng.uniform(50, 120), rng.uniform(20, 60), tall)[:, None]
    glass = mirrored * (1 + 0.25 * fractal(rng, tall, wide, 1.3))
    image[y0 : y0 + tall, x0 : x0 + wide] = glass[..., None] * np.array([0.9, 1.0, 1.12])
    if rng.random() < 0.5:
        drop = rng.integers(tall // 6, tall // 2)
        image[y0 : y0 + drop, x0 : x0 + wide] = rng.uniform(150, 220)
    for x in range(x0, x0 + wide, max(18, wide // 2)):
        image[y0 : y0 + tall, x : x + 2] = frame
    image[y0 + tall // 3 : y0 + tall // 3 + 2, x0 : x0 + wide] = frame
    image[y0 + tall + 3 : y0 + tall + 8, x0 - 6 : x0 + wide + 6] *= 1.18
    image[y0 + tall + 8 : y0 + tall + 12, x0 - 6 : x0 + wide + 6] *= 0.6


def _masonry(
    rng: np.random.Generator, color: tuple[float, float, float], brick: bool
) -> np.ndarray:
    image = grain(rng, (SIZE, SIZE), color, 0.07, 0.9)
    if brick:
        # Courses of 10 cm: eight texels do not fit 2.5 cm texels evenly, four do.
        for row, y in enumerate(range(0, SIZE, 4)):
            for x in range(-(row % 2) * 5, SIZE, 10):
                image[y : y + 4, max(x, 0) : x + 10] *= rng.uniform(0.8, 1.15)
            image[y] *= 0.82
    return image


def blind_wall(rng: np.random.Generator) -> Texture:
    """Return a wall without windows."""
    return Texture(to_bytes(_masonry(rng, wall_color(rng), rng.random() < 0.5)))


def shop(rng: np.random.Generator) -> Texture:
    """Return a ground floor, 6.4 m wide and one storey high: windows, a door, a sign."""
    image = grain(rng, (SIZE, SIZE), wall_color(rng), 0.08)
    sign = rng.uniform(30, 200) + rng.uniform(-50, 50, 3)
    image[30:70] = sign * (1 + 0.05 * fractal(rng, 40, SIZE)[..., None])
    letters = np.full(3, 230.0 if sign.mean() < 120 else 40.0)
    x = int(rng.integers(10, 60))
    while x < 200:
        w, h = int(rng.integers(6, 16)), int(rng.integers(12, 26))
        cv2.rectangle(image, (x, 50 - h // 2), (x + w, 50 + h // 2), tuple(map(float, letters)), 3)
        x += w + int(rng.integers(4, 9))
    for x0, x1 in ((12, 110), (126, 176), (190, 246)):
        tall = 150 if x0 != 126 else 176
        pane = 45 + 22 * fractal(rng, tall, x1 - x0, 0.9)
        image[80 : 80 + tall, x0:x1] = np.clip(pane, 8, 170)[..., None] * np.array([1, 1.03, 1.08])
        cv2.rectangle(image, (x0, 80), (x1, 80 + tall), tuple(map(float, sign * 0.7)), 3)
    return Texture(to_bytes(image))


def roof(rng: np.random.Generator) -> Texture:
    """Return tiles."""
    color = [(140, 70, 52), (92, 84, 80), (120, 62, 50), (76, 78, 88)][rng.integers(4)]
    image = grain(rng, (SIZE, SIZE), color, 0.14, 0.7)
    for y in range(0, SIZE, 16):
        image[y : y + 3] *= 0.6
        for x in range((y // 16 % 2) * 8, SIZE, 16):
            image[y : y + 16, x : x + 2] *= 0.75
            image[y : y + 16, x : x + 16] *= rng.uniform(0.85, 1.12)
    return Texture(to_bytes(image))


def gable(rng: np.random.Generator) -> Texture:
    """Return the triangle under a roof."""
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillConvexPoly(alpha, np.array([[0, SIZE], [SIZE // 2, 0], [SIZE, SIZE]]), 255)
    image = _masonry(rng, wall_color(rng), False)
    _window(rng, image, 108, 150, 40, 60, (230.0, 230.0, 230.0))
    return Texture(to_bytes(image), alpha, repeat=False)


def leaves(rng: np.random.Generator, cut: bool) -> Texture:
    """Return foliage: a ragged round clump if `cut`, else a hedge's surface."""
    green = rng.uniform(60, 105)
    base = np.array([green * rng.uniform(0.6, 1.05), green, green * rng.uniform(0.3, 0.55)])
    image = grain(rng, (SIZE, SIZE), tuple(base * 0.75), 0.35, 0.9)
    for _ in range(700):
        center = tuple(int(c) for c in rng.integers(0, SIZE, 2))
        axes = (int(rng.integers(3, 9)), int(rng.integers(2, 4)))
        shade = tuple(float(c) for c in base * rng.uniform(0.45, 1.6))
        cv2.ellipse(image, center, axes, float(rng.uniform(0, 180)), 0, 360, shade, -1, cv2.LINE_AA)
    color = to_bytes(image)
    if not cut:
        return Texture(color)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    inside = 0.80 - np.hypot(x, y) + 0.13 * fractal(rng, SIZE, SIZE, 1.0)
    return Texture(color, np.where(inside > 0, 255, 0).astype(np.uint8), repeat=False)


def treeline(rng: np.random.Generator) -> Texture:
    """Return the edge of a wood, seen from afar; repeats across, ragged on top."""
    color = leaves(rng, cut=False).color.astype(np.float32)
    trunks = fractal(rng, 1, SIZE, 0.5)
    color[180:] *= 0.55 + 0.12 * trunks[..., None]
    top = 60 + 24 * fractal(rng, 1, SIZE, 1.2)[0]
    alpha = np.where(np.arange(SIZE)[:, None] > top, 255, 0).astype(np.uint8)
    return Texture(to_bytes(color), alpha)


def bark(rng: np.random.Generator) -> Texture:
    """Return a trunk's surface."""
    image = grain(rng, (SIZE, SIZE), (92, 76, 60), 0.2)
    image *= (1 + 0.3 * fractal(rng, 1, SIZE, 0.5))[..., None]
    return Texture(to_bytes(image))


def plain(rng: np.random.Generator, gray: float) -> Texture:
    """Return a gray surface with little grain, to be tinted."""
    return Texture(grain(rng, (SIZE, SIZE), (gray,) * 3, 0.05).astype(np.uint8))


def fence(rng: np.random.Generator) -> Texture:
    """Return 2.5 m of fence; the gaps are cut out."""
    color = (150, 126, 96) if rng.random() < 0.6 else (90, 96, 92)
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    for x in range(4, SIZE, 32):
        alpha[10:, x : x + 26] = 255
    for y in (60, 190):
        alpha[y : y + 18] = 255
    return Texture(grain(rng, (SIZE, SIZE), color, 0.2).astype(np.uint8), alpha)


def sign(rng: np.random.Generator, kind: int) -> Texture:
    """Return a traffic sign: 0 prohibition, 1 mandatory, 2 warning, 3 board."""
    image = np.full((SIZE, SIZE, 3), 235, np.float32)
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    red, blue, dark = (190.0, 25.0, 30.0), (25.0, 70.0, 170.0), (25.0, 25.0, 25.0)
    middle = (SIZE // 2, SIZE // 2)
    if kind in (0, 1):
        cv2.circle(alpha, middle, 124, 255, -1)
        image[:] = red if kind == 0 else blue
        if kind == 0:
            cv2.circle(image, middle, 92, (240.0, 240.0, 240.0), -1)
        text = dark if kind == 0 else (240.0, 240.0, 240.0)
        number = np.zeros((SIZE, SIZE), np.uint8)
        cv2.putText(number, str(rng.integers(1, 10) * 10), (58, 160), 2, 3.6, 255, 12)
        image[number > 127] = text
    elif kind == 2:
        outer = np.array([[4, 240], [252, 240], [128, 20]])
        cv2.fillConvexPoly(alpha, outer, 255)
        image[:] = red
        cv2.fillConvexPoly(image, np.array([[48, 215], [208, 215], [128, 72]]), (240.0,) * 3)
        cv2.rectangle(image, (118, 110), (138, 190), dark, -1)
    else:
        alpha[40:216] = 255
        image[:] = blue if rng.random() < 0.5 else (240.0, 200.0, 40.0)
        for y in (80, 130, 180):
            width = int(rng.integers(80, 200))
            cv2.rectangle(image, (28, y - 10), (28 + width, y + 10), (240.0,) * 3, -1)
    image *= 1 + 0.03 * fractal(rng, SIZE, SIZE)[..., None]
    return Texture(to_bytes(image), alpha, repeat=False)


def traffic_light(rng: np.random.Generator) -> Texture:
    """Return the face of a traffic light."""
    image = grain(rng, (SIZE, SIZE), (34, 36, 36), 0.2)
    lit = rng.integers(3)
    for k, color in enumerate([(230, 40, 30), (240, 170, 30), (40, 210, 110)]):
        shade = 1.0 if k == lit else 0.25
        cv2.ellipse(
            image, (128, 46 + 82 * k), (90, 34), 0, 0, 360, tuple(c * shade for c in color), -1
        )
    return Texture(to_bytes(image), repeat=False)


def person(rng: np.random.Generator) -> Texture:
    """Return somebody standing or walking, cut out; twice as high as wide on the street."""
    image = np.empty((SIZE, SIZE, 3), np.float32)
    image[:] = rng.uniform(25, 170) + rng.uniform(-30, 30, 3)
    image[134:] = rng.uniform(20, 100) + rng.uniform(-15, 20, 3)
    image[:40] = (190, 150, 125) if rng.random() < 0.6 else (110, 78, 60)
    image[:18] = rng.uniform(20, 110)
    image[240:] = 25
    image *= (1 + 0.15 * fractal(rng, SIZE, SIZE, 0.9))[..., None]
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    cv2.ellipse(alpha, (128, 21), (26, 20), 0, 0, 360, 255, -1)
    shoulders = [[70, 46], [186, 46], [204, 130], [176, 134], [176, 160], [80, 160], [80, 134]]
    cv2.fillPoly(alpha, [np.array([*shoulders, [52, 130]])], 255)
    stride = int(rng.integers(10, 50))
    for x in (-1, 1):
        cv2.line(alpha, (128 + x * 24, 150), (128 + x * stride, 236), 255, 40)
    return Texture(to_bytes(image), alpha, repeat=False)


def sky(rng: np.random.Generator) -> Texture:
    """Return all azimuths across, elevations from SKY_TANGENT down to the horizon."""
    height, width = 256, 1024
    up = np.linspace(1, 0, height, dtype=np.float32)[:, None, None]
    overcast = rng.random()
    zenith = np.array([70, 120, 200]) * (1 - overcast) + np.array([170, 175, 182]) * overcast
    horizon = np.array([205, 218, 232]) * (1 - overcast) + np.array([222, 222, 222]) * overcast
    image = horizon + (zenith - horizon) * np.sqrt(up)
    noise = fractal(rng, height, width, 1.5)[..., None]
    cover = np.clip((noise - 1.2 + 2 * overcast) * 0.8, 0, 0.85)
    shade = 1 - 0.25 * np.clip(fractal(rng, height, width, 1.7)[..., None], 0, 1)
    image = image * (1 - cover) + 245 * shade * cover
    return Texture(np.clip(image * rng.uniform(0.85, 1.0), 0, 255).astype(np.uint8))


def stains(rng: np.random.Generator) -> np.ndarray:
    """Return the large stains (SIZE, SIZE) float32 around 1 that tell repeated textures apart."""
    return np.clip(1 + 0.16 * fractal(rng, SIZE, SIZE, 1.7), 0.5, 1.5)

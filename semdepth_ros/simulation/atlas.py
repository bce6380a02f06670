"""One image that holds every texture of a world at every resolution, sampled without aliasing.

Each texture is stored as a ripmap: reduced by powers of two in u and in v independently. Streets
are seen at grazing angles, where a mipmap would blur the lane marks away or let them shimmer.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

_PAD = 2
_SMALLEST = 8
_MAX_LEVELS = 10


@dataclasses.dataclass(frozen=True)
class Texture:
    """A picture of a surface: `color` (h, w, 3) uint8, sizes powers of two.

    `alpha` (h, w) uint8 cuts a silhouette out where it is below 128. A texture that does not
    `repeat` is clamped at its edges.
    """

    color: np.ndarray
    alpha: np.ndarray | None = None
    repeat: bool = True


class Atlas:
    """Textures packed into one image; a layer is the index of a texture."""

    def __init__(self, textures: list[Texture], width: int = 8192) -> None:
        levels = [_ripmap(texture) for texture in textures]
        count = len(textures)
        #: Width and height of each layer in texels, float32.
        self.width = np.array([t.color.shape[1] for t in textures], np.float32)
        self.height = np.array([t.color.shape[0] for t in textures], np.float32)
        repeat = np.array([t.repeat for t in textures])
        self._inverse_width = np.where(repeat, 1 / self.width, 0).astype(np.float32)
        self._inverse_height = np.where(repeat, 1 / self.height, 0).astype(np.float32)
        self._x = np.zeros((count, _MAX_LEVELS + 1), np.float32)
        self._y = np.zeros((count, _MAX_LEVELS + 1), np.float32)
        self._top_u = np.array([len(level[0]) - 1 for level in levels], np.float32)
        self._top_v = np.array([len(level) - 1 for level in levels], np.float32)
        self._reduce = (0.5 ** np.arange(_MAX_LEVELS + 1)).astype(np.float32)
        #: Alpha pyramids by layer, None for what is opaque.
        self.alpha = [None if t.alpha is None else _pyramid(t.alpha) for t in textures]

        blocks = [(sum(i.shape[1] for i in r[0]), sum(i[0].shape[0] for i in r)) for r in levels]
        corners, rows = _shelves(blocks, width)
        self._image = np.zeros((rows, width, 3), np.uint8)
        for layer, (ripmap, (left, top)) in enumerate(zip(levels, corners)):
            y = top
            for j, row in enumerate(ripmap):
                x = left
                for i, image in enumerate(row):
                    self._image[y : y + image.shape[0], x : x + image.shape[1]] = image
                    # Pixel centres are at integers, hence the half pixel.
                    self._x[layer, i:] = x + _PAD - 0.5
                    x += image.shape[1]
                self._y[layer, j:] = y + _PAD - 0.5
                y += row[0].shape[0]

    def sample(
        self, layer: np.ndarray, u: np.ndarray, v: np.ndarray, du: np.ndarray, dv: np.ndarray
    ) -> np.ndarray:
        """Return the colours (h, w, 3) uint8 of surface points.

        Args:
            layer: (h, w) int32.
            u: (h, w) float32, across the texture, in texels of its full resolution.
            v: The same, down the texture.
            du: (h, w) float32, texels that the pixel covers across.
            dv: The same, down.
        """
        u = u - self.width.take(layer) * np.floor(u * self._inverse_width.take(layer))
        v = v - self.height.take(layer) * np.floor(v * self._inverse_height.take(layer))
        u = np.clip(u, 0, self.width.take(layer))
        v = np.clip(v, 0, self.height.take(layer))
        i, i_fraction = _level(du, self._top_u.take(layer))
        j, j_fraction = _level(dv, self._top_v.take(layer))
        base = layer * (_MAX_LEVELS + 1)
        maps_x = [self._x.take(base + i + k) + u * self._reduce.take(i + k) for k in (0, 1)]
        maps_y = [self._y.take(base + j + k) + v * self._reduce.take(j + k) for k in (0, 1)]
        rows = [
            cv2.blendLinear(
                cv2.remap(self._image, maps_x[0], map_y, cv2.INTER_LINEAR),
                cv2.remap(self._image, maps_x[1], map_y, cv2.INTER_LINEAR),
                1 - i_fraction,
                i_fraction,
            )
            for map_y in maps_y
        ]
        return cv2.blendLinear(rows[0], rows[1], 1 - j_fraction, j_fraction)


def _level(footprint: np.ndarray, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the finer of two levels and the weight of the coarser one."""
    level = np.clip(np.log2(np.maximum(footprint, 1)), 0, top)
    index = level.astype(np.int32)
    # The coarsest level is always the coarser of the two.
    index = np.minimum(index, np.maximum(top.astype(np.int32) - 1, 0))
    return index, level - index.astype(np.float32)


def _ripmap(texture: Texture) -> list[list[np.ndarray]]:
    """Return rows of images: [j][i] is reduced 2^i across and 2^j down, with a border."""
    mode = cv2.BORDER_WRAP if texture.repeat else cv2.BORDER_REPLICATE
    rows = []
    down = texture.color
    while True:
        row = []
        image = down
        while True:
            row.append(cv2.copyMakeBorder(image, _PAD, _PAD, _PAD, _PAD, mode))
            if image.shape[1] <= _SMALLEST:
                break
            image = cv2.resize(
                image, (image.shape[1] // 2, image.shape[0]), interpolation=cv2.INTER_AREA
            )
        rows.append(row)
        if down.shape[0] <= _SMALLEST:
            return rows
        down = cv2.resize(down, (down.shape[1], down.shape[0] // 2), interpolation=cv2.INTER_AREA)


def _pyramid(alpha: np.ndarray) -> list[np.ndarray]:
    levels = [alpha]
    while min(levels[-1].shape) > _SMALLEST:
        h, w = levels[-1].shape
        levels.append(cv2.resize(levels[-1], (w // 2, h // 2), interpolation=cv2.INTER_AREA))
    return levels


def _shelves(blocks: list[tuple[int, int]], width: int) -> tuple[list[tuple[int, int]], int]:
    """Place blocks (width, height) on shelves, tallest first; return corners and total height."""
    corners = [(0, 0)] * len(blocks)
    x = y = shelf = 0
    for index in sorted(range(len(blocks)), key=lambda k: -blocks[k][1]):
        w, h = blocks[index]
        if x + w > width:
            x, y, shelf = 0, y + shelf, 0
        corners[index] = (x, y)
        x, shelf = x + w, max(shelf, h)
    return corners, y + shelf

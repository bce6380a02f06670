"""Augmentation on the device: colour jitter and mirroring of network inputs, zoom of the views.

The loss always sees clean colours. What is drawn for a step depends on seed and step alone, for
the whole global batch at once: a resumed run, and one shared by several processes, augment exactly
as one that was never stopped or split.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from semdepth_ros.errors import SemdepthError

#: Luma of RGB (ITU-R BT.601), the grey that saturation and contrast move colours away from.
LUMA = (0.299, 0.587, 0.114)


class AugmentationError(SemdepthError):
    """An augmentation that cannot be drawn as asked."""


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """How network inputs are varied; the loss sees clean colours.

    Attributes:
        brightness: the brightness factor is drawn from 1 +- this.
        contrast: the contrast factor is drawn from 1 +- this.
        saturation: the saturation factor is drawn from 1 +- this.
        hue: colours turn by up to this share of the colour circle, either way.
        flip: probability that a depth network input is mirrored, its output mirrored back.
        zoom: half of the images are looked at through a window, anywhere in them, that is enlarged
            by up to this factor: as through longer lenses that look elsewhere. What is far is then
            not always in the middle. 1 keeps all images whole, as the paper does.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.05
    flip: float = 0.5
    zoom: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.zoom <= 4:
            raise AugmentationError(f'augmentation.zoom is {self.zoom}, expected 1 to 4')


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What was drawn for the images of one batch.

    Attributes:
        color_B34: affine map of RGB, one for all images of a triplet.
        contrast_B: factor by which colours move away from the image's mean grey.
        flip_B: whether the depth network's input is mirrored.
        zoom_B3: factor of the zoom, and where its window is between the left (0) and the right (1)
            of the image, and between top and bottom; None keeps all images whole.
    """

    color_B34: Tensor
    contrast_B: Tensor
    flip_B: Tensor
    zoom_B3: Tensor | None

    def part(self, start: int, stop: int) -> Augmentation:
        """Return the augmentation of the samples `start` to `stop` of the batch."""
        return self._each(lambda drawn: drawn[start:stop])

    def to(self, device: torch.device) -> Augmentation:
        """Return the augmentation on a device."""
        return self._each(lambda drawn: drawn.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Augmentation:
        return Augmentation(
            change(self.color_B34),
            change(self.contrast_B),
            change(self.flip_B),
            None if self.zoom_B3 is None else change(self.zoom_B3),
        )


def draw(config: AugmentationConfig, batch: int, seed: int, step: int) -> Augmentation:
    """Return the augmentation of a global batch: a pure function of its arguments."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)

    def uniform(reach: float) -> Tensor:
        return (torch.rand(batch, generator=generator, dtype=torch.float64) * 2 - 1) * reach

    brightness, saturation = 1 + uniform(config.brightness), 1 + uniform(config.saturation)
    contrast, hue = 1 + uniform(config.contrast), uniform(config.hue) * 2 * math.pi
    flip = torch.rand(batch, generator=generator) < config.flip
    grey = torch.tensor([LUMA] * 3, dtype=torch.float64)
    identity = torch.eye(3, dtype=torch.float64)
    s = saturation[:, None, None]
    matrix = brightness[:, None, None] * (s * identity + (1 - s) * grey) @ _hue_rotation(hue)
    color = torch.cat([matrix, torch.zeros(batch, 3, 1, dtype=torch.float64)], dim=2)
    zoom = None
    if config.zoom > 1:
        # What would be below 1 is 1: half of the images stay whole.
        factor = config.zoom ** uniform(1.0)
        zoom = torch.stack([factor.clamp(min=1), *((1 + uniform(1.0)) / 2 for _ in 'xy')], dim=1)
    return Augmentation(color.float(), contrast.float(), flip, zoom)


def jitter(images_BN3HW: Tensor, augmentation: Augmentation) -> Tensor:
    """Return images in [0, 1] with the batch's colour jitter; all N images of a sample alike."""
    matrix, offset = augmentation.color_B34[:, :, :3], augmentation.color_B34[:, :, 3]
    colored = torch.einsum('bij,bnjhw->bnihw', matrix, images_BN3HW)
    colored = colored + offset[:, None, :, None, None]
    luma = colored.new_tensor(LUMA)[:, None, None]
    grey = (colored * luma).sum(2, keepdim=True).mean((3, 4), keepdim=True)
    contrast = augmentation.contrast_B[:, None, None, None, None]
    return (contrast * (colored - grey) + grey).clamp(0, 1)


def mirror(x_BCHW: Tensor, flip_B: Tensor) -> Tensor:
    """Return the samples of a batch mirrored left to right where `flip_B` says so."""
    return torch.where(flip_B[:, None, None, None], x_BCHW.flip(-1), x_BCHW)


def zoom(images_BN3HW: Tensor, intrinsics_B4: Tensor, zoom_B3: Tensor) -> tuple[Tensor, Tensor]:
    """Return what all N images of a sample show in its window, enlarged, and the new intrinsics.

    Args:
        images_BN3HW: images of one camera for each sample.
        intrinsics_B4: fx, fy, cx, cy of these images in pixels.
        zoom_B3: see `Augmentation`.
    """
    batch, count, _, height, width = images_BN3HW.shape
    factor, place = zoom_B3[:, :1], zoom_B3[:, 1:]
    size = place.new_tensor([width, height])
    corner = place * (size - size / factor)
    # grid_sample takes the image's edges for -1 and 1.
    middle = (corner + size / factor / 2) / size * 2 - 1
    theta = torch.cat([torch.diag_embed(1 / factor.expand(-1, 2)), middle[..., None]], dim=2)
    grid = F.affine_grid(theta.float(), [batch, 1, height, width], align_corners=False)
    pixels = F.grid_sample(
        images_BN3HW.flatten(1, 2), grid, padding_mode='border', align_corners=False
    )
    # Pixel centres have integer coordinates: the window's corner lies half a pixel before one.
    centre = (intrinsics_B4[:, 2:] + 0.5 - corner) * factor - 0.5
    intrinsics = torch.cat([intrinsics_B4[:, :2] * factor, centre], dim=1)
    return pixels.unflatten(1, (count, 3)), intrinsics.to(intrinsics_B4)


def _hue_rotation(angle_B: Tensor) -> Tensor:
    """Return the rotations of RGB about the grey axis (Rodrigues), B33 float64."""
    cos, sin = angle_B.cos()[:, None, None], angle_B.sin()[:, None, None]
    axis = 1 / math.sqrt(3)
    cross = torch.tensor(
        [[0, -axis, axis], [axis, 0, -axis], [-axis, axis, 0]], dtype=torch.float64
    )
    third = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    return cos * torch.eye(3, dtype=torch.float64) + (1 - cos) * third + sin * cross

"""Augmentation on the device: colour jitter and mirroring, of network inputs alone.

The loss always sees the clean images. What is drawn for a step depends on seed and step alone, for
the whole global batch at once: a resumed run, and one shared by several processes, augment exactly
as one that was never stopped or split.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

#: Luma of RGB (ITU-R BT.601), the grey that saturation and contrast move colours away from.
LUMA = (0.299, 0.587, 0.114)


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """How network inputs are varied; the loss sees clean images.

    Attributes:
        brightness: the brightness factor is drawn from 1 +- this.
        contrast: the contrast factor is drawn from 1 +- this.
        saturation: the saturation factor is drawn from 1 +- this.
        hue: colours turn by up to this share of the colour circle, either way.
        flip: probability that a depth network input is mirrored, its output mirrored back.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.05
    flip: float = 0.5


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What was drawn for the images of one batch.

    Attributes:
        color_B34: affine map of RGB, one for all images of a triplet.
        contrast_B: factor by which colours move away from the image's mean grey.
        flip_B: whether the depth network's input is mirrored.
    """

    color_B34: Tensor
    contrast_B: Tensor
    flip_B: Tensor

    def part(self, start: int, stop: int) -> Augmentation:
        """Return the augmentation of the samples `start` to `stop` of the batch."""
        return Augmentation(
            self.color_B34[start:stop], self.contrast_B[start:stop], self.flip_B[start:stop]
        )

    def to(self, device: torch.device) -> Augmentation:
        """Return the augmentation on a device."""
        return Augmentation(
            self.color_B34.to(device), self.contrast_B.to(device), self.flip_B.to(device)
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
    return Augmentation(color.float(), contrast.float(), flip)


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


def _hue_rotation(angle_B: Tensor) -> Tensor:
    """Return the rotations of RGB about the grey axis (Rodrigues), B33 float64."""
    cos, sin = angle_B.cos()[:, None, None], angle_B.sin()[:, None, None]
    axis = 1 / math.sqrt(3)
    cross = torch.tensor(
        [[0, -axis, axis], [axis, 0, -axis], [-axis, axis, 0]], dtype=torch.float64
    )
    third = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    return cos * torch.eye(3, dtype=torch.float64) + (1 - cos) * third + sin * cross

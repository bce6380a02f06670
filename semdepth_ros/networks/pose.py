"""Pose network: how the camera moved between neighbouring images (docs/method.md section 3).

Parameters carry the names of the official checkpoints (what follows `model.pose_net.`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PoseNet(nn.Module):
    """Seven strided convolutions over the stacked images, a 1x1 convolution, a mean over space."""

    def __init__(self, context_images: int = 2) -> None:
        """Build with random weights.

        Args:
            context_images: how many neighbours of the target `forward` is given.
        """
        super().__init__()
        channels = (3 * (1 + context_images), 16, 32, 64, 128, 256, 256, 256)
        kernels = (7, 5, 3, 3, 3, 3, 3)
        self.context_images = context_images
        for index, size in enumerate(kernels):
            convolution = nn.Conv2d(channels[index], channels[index + 1], size, 2, size // 2)
            normalization = nn.GroupNorm(16, channels[index + 1])
            layer = nn.Sequential(convolution, normalization, nn.ReLU(inplace=True))
            self.add_module(f'conv{index + 1}', layer)
        self.pose_pred = nn.Conv2d(channels[-1], 6 * context_images, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, target: Tensor, contexts: Sequence[Tensor]) -> Tensor:
        """Return the pose of each context image, (B, N, 6): translation, then Euler angles.

        The translation is in metres where training knew the velocity, else in the units of the
        depth; angles are in radians.

        Args:
            target: RGB in [0, 1], B3HW.
            contexts: N images like it, in the order of time.
        """
        x = torch.cat((target, *contexts), 1)
        for index in range(1, 8):
            x = self.get_submodule(f'conv{index}')(x)
        pose = self.pose_pred(x).mean((2, 3))
        return 0.01 * pose.view(-1, self.context_images, 6)


def through_lens(pose_BN6: Tensor, magnification_B: Tensor) -> Tensor:
    """Return the poses of a camera whose images look like those of one with a shorter lens.

    A network that sees an image of focal length `m f` as one of `f` takes everything for 1 / m as
    far. Along the optical axis that is also how far it sees the camera move: forward motion is m
    times what it looks like, sideways motion and roll are the same; pitch and yaw are 1 / m of it
    around the optical axis, and the less exactly so the farther from it.

    Args:
        pose_BN6: translation and Euler angles as they look, small angles.
        magnification_B: m.
    """
    m = magnification_B[:, None]
    one = torch.ones_like(m)
    return pose_BN6 * torch.stack([one, one, m, 1 / m, 1 / m, one], dim=-1)

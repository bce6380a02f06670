"""Panoptic-FPN's semantic branch (A. Kirillov et al., CVPR 2019) on an image encoder.

This is the kind of network that guides the depth network in Guizilini et al., ICLR 2020, section
3.2: an encoder and a top-down decoder with lateral links, each decoder level a guidance feature.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from semdepth_ros.classes import CLASS_NAMES
from semdepth_ros.networks.efficientnet import EfficientNetLite0
from semdepth_ros.networks.resnet import ResNet
from semdepth_ros.networks.semantic.output import SemanticError, SemanticNetwork, SemanticOutput

#: Encoder levels that the pyramid reads, from coarse to fine.
STRIDES = (32, 16, 8, 4)
#: Channels of a group in the head's normalisation.
GROUPS = 16


class Fpn(SemanticNetwork):
    """Feature pyramid network with a semantic head.

    Args:
        encoder: gives features at strides 4 to 32 of an image in [0, 1], by stride.
        channels: of every pyramid level; a multiple of 16.
        head_channels: of the semantic head; a multiple of 16.

    Raises:
        SemanticError: when a number of channels is no positive multiple of 16; from `forward` for
            an image whose height or width is no multiple of 32.
    """

    def __init__(
        self,
        encoder: ResNet | EfficientNetLite0,
        channels: int = 256,
        head_channels: int = 128,
    ) -> None:
        super().__init__()
        for name, value in (('channels', channels), ('head_channels', head_channels)):
            if value < GROUPS or value % GROUPS:
                raise SemanticError(f'FPN: {name} is {value}, expected a multiple of {GROUPS}')
        self.encoder = encoder
        self.lateral = nn.ModuleList(
            nn.Conv2d(self.encoder.feature_channels[stride], channels, 1) for stride in STRIDES
        )
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, 1, 1) for _ in STRIDES)
        self.head = nn.ModuleList(_head_branch(channels, head_channels, s) for s in STRIDES)
        self.classify = nn.Conv2d(head_channels, len(CLASS_NAMES), 1)
        self.feature_channels = dict.fromkeys(STRIDES, channels)

    def forward(self, image_B3HW: Tensor) -> SemanticOutput:
        """Return logits of the 19 classes at the image's size, and features by stride."""
        height, width = image_B3HW.shape[-2:]
        if height % STRIDES[0] or width % STRIDES[0]:
            raise SemanticError(
                f'FPN: the image is {width}x{height}, expected multiples of {STRIDES[0]}'
            )
        encoded = self.encoder(image_B3HW)
        features: dict[int, Tensor] = {}
        coarser = None
        for stride, lateral, smooth in zip(STRIDES, self.lateral, self.smooth):
            level = lateral(encoded[stride])
            if coarser is not None:
                level = level + F.interpolate(coarser, scale_factor=2.0, mode='nearest')
            coarser = level
            features[stride] = smooth(level)
        merged = sum(branch(features[stride]) for stride, branch in zip(STRIDES, self.head))
        logits = F.interpolate(self.classify(merged), (height, width), mode='bilinear')
        return SemanticOutput(logits, features)


def _head_branch(channels: int, head_channels: int, stride: int) -> nn.Sequential:
    """Return the convolutions that bring a level to 1/4, doubling its size after each."""
    layers: list[nn.Module] = []
    for index in range(max(1, int(math.log2(stride // STRIDES[-1])))):
        layers += [
            nn.Conv2d(channels if index == 0 else head_channels, head_channels, 3, 1, 1),
            nn.GroupNorm(head_channels // GROUPS, head_channels),
            nn.ReLU(inplace=True),
        ]
        if stride > STRIDES[-1]:
            layers.append(nn.Upsample(scale_factor=2, mode='bilinear'))
    return nn.Sequential(*layers)

"""Semantic guidance of a depth decoder (Guizilini et al., ICLR 2020, section 3.2).

At each guided stride a channel-preserving pixel-adaptive convolution weighs neighbours by how alike
their semantic features are. Where the paper is silent, docs/method.md section 4 says what is done.

The guidance feature is a trained 1x1 convolution of the semantic feature to a few channels, brought
to unit length at every pixel. Unit length bounds the squared distance of two features by 4, so that
the kernel neither dies nor saturates, whatever network the features come from; on road scenes it
also told neighbours of one class from those of two best among the normalisations tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semdepth_ros.networks.layers import Guide
from semdepth_ros.networks.pixel_adaptive import PixelAdaptiveConv2d

#: Where sigma starts: with ESPNetv2's features and random projections the mean kernel is then 0.65
#: to 0.86 between neighbours of one class and 0.41 to 0.72 between those of two.
INITIAL_SIGMA = 0.5


class Guidance(nn.Module):
    """Guidance features and pixel-adaptive convolutions, one of each per guided stride.

    The convolutions start as the identity: a fresh guided network computes exactly what the
    unguided one does. No gradient flows into the semantic features.
    """

    def __init__(
        self,
        guided_channels: Mapping[int, int],
        feature_channels: Mapping[int, int],
        channels: int = 16,
        kernel_size: int = 3,
        fixed_kernel: bool = False,
    ) -> None:
        """Build for one pair of networks.

        Args:
            guided_channels: stride -> channels that the depth decoder hands over to be guided.
            feature_channels: stride -> channels of the semantic network's features; a stride that
                is missing takes the nearest one (the finer of two), resized.
            channels: of a guidance feature.
            kernel_size: of the pixel-adaptive convolutions, odd.
            fixed_kernel: fix the kernel to 1: ordinary convolutions at the same places, the
                ablation that tells what the semantic features add.
        """
        super().__init__()
        #: guided stride -> stride of the semantic feature that guides it.
        self.sources = {
            stride: _nearest_stride(stride, feature_channels) for stride in guided_channels
        }
        self.fixed_kernel = fixed_kernel
        self.convolutions = nn.ModuleDict()
        self.projections = nn.ModuleDict()
        for stride, width in guided_channels.items():
            convolution = PixelAdaptiveConv2d(
                width, width, kernel_size, INITIAL_SIGMA, fixed_kernel=fixed_kernel
            )
            convolution.init_identity()
            self.convolutions[str(stride)] = convolution
            if fixed_kernel:
                convolution.log_sigma.requires_grad_(False)
            else:
                semantic = feature_channels[self.sources[stride]]
                # A bias would add the same to every pixel and only blunt the angles between them.
                self.projections[str(stride)] = nn.Conv2d(semantic, channels, 1, bias=False)

    def bind(self, features: Mapping[int, Tensor]) -> Guide:
        """Return the guide for one batch of images.

        Args:
            features: stride -> (B, C, H / stride, W / stride) of the semantic network.
        """

        def guide(stride: int, x_BCHW: Tensor) -> Tensor:
            if self.fixed_kernel:
                return self.convolutions[str(stride)](x_BCHW, x_BCHW)
            feature = self._guidance_feature(stride, features, x_BCHW.shape[-2:])
            return self.convolutions[str(stride)](x_BCHW, feature)

        return guide

    @torch.no_grad()
    def kernel_statistics(self, features: Mapping[int, Tensor]) -> dict[int, float]:
        """Return the mean kernel between neighbours per stride, 0 to 1.

        Near 0 or near 1 everywhere means that the guidance does nothing.
        """
        if self.fixed_kernel:
            return dict.fromkeys(self.sources, 1.0)
        statistics = {}
        for stride, source in self.sources.items():
            size = [side * source // stride for side in features[source].shape[-2:]]
            feature = self._guidance_feature(stride, features, size)
            convolution = self.convolutions[str(stride)]
            assert isinstance(convolution, PixelAdaptiveConv2d)
            statistics[stride] = float(convolution.mean_kernel(feature))
        return statistics

    def _guidance_feature(
        self, stride: int, features: Mapping[int, Tensor], size: torch.Size | list[int]
    ) -> Tensor:
        """Return (B, channels, *size) of unit length at every pixel."""
        feature = self.projections[str(stride)](features[self.sources[stride]].detach())
        if feature.shape[-2:] != torch.Size(size):
            feature = F.interpolate(feature, tuple(size), mode='bilinear')
        # The greatest component goes to 1 first: squares then fit half precision. It cancels out of
        # the result, hence out of the gradient.
        greatest = feature.detach().abs().amax(1, keepdim=True).clamp(min=1e-4)
        return F.normalize(feature / greatest, dim=1, eps=1e-3)


def _nearest_stride(stride: int, feature_channels: Mapping[int, int]) -> int:
    """Return the available stride closest by ratio; of two, the finer."""
    return min(feature_channels, key=lambda other: (abs(math.log2(other / stride)), other))

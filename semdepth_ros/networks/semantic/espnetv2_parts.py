"""The building blocks of ESPNetv2 (S. Mehta et al., CVPR 2019, arXiv 1811.11431).

Module names are those of the published Cityscapes weights, which therefore load strictly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BRANCHES = 4
#: Sizes of the pyramid pooling's maps relative to its input, in the order of the weights.
PYRAMID_SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
PYRAMID_CHANNELS = 10


def convolution(
    channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Return a zero padded convolution without bias, as nearly all of ESPNetv2's are."""
    return nn.Conv2d(
        channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False
    )


class ConvBnAct(nn.Module):
    """Convolution, batch norm and, if asked for, PReLU, with the encoder's names."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.conv = convolution(channels_in, channels_out, kernel, stride, groups)
        self.bn = nn.BatchNorm2d(channels_out)
        self.act = nn.PReLU(channels_out) if activation else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels_out, H / stride, W / stride)."""
        x = self.bn(self.conv(x))
        return x if self.act is None else self.act(x)


class BnAct(nn.Module):
    """Batch norm and PReLU, with the encoder's names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised and activated map."""
        return self.act(self.bn(x))


class DecoderConvBnAct(nn.Module):
    """Convolution, batch norm, PReLU, with the decoder's names."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, groups: int = 1) -> None:
        super().__init__()
        self.cbr = nn.Sequential(
            convolution(channels_in, channels_out, kernel, groups=groups),
            nn.BatchNorm2d(channels_out),
            nn.PReLU(channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels_out, H, W)."""
        return self.cbr(x)


class DecoderBnAct(nn.Module):
    """Batch norm and PReLU, with the decoder's names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.br = nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised and activated map."""
        return self.br(x)


class DilatedDepthwise(nn.Module):
    """One branch of the spatial pyramid: a dilated 3x3 convolution of each channel by itself."""

    def __init__(self, channels: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels, channels, 3, stride, dilation, dilation, groups=channels, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels, H / stride, W / stride)."""
        return self.conv(x)


def branch_dilations(field_limit: int) -> list[int]:
    """Return the dilations of an EESP unit's branches: what exceeds the limit becomes 3x3."""
    fields = [3 + 2 * branch for branch in range(BRANCHES)]
    return sorted((field if field <= field_limit else 3) // 2 for field in fields)


class Eesp(nn.Module):
    """Extremely efficient spatial pyramid of depthwise dilated convolutions (section 3.1).

    With stride 2 it is a part of the down-sampler and ends before the residual and `module_act`,
    which the published weights carry all the same.
    """

    def __init__(
        self, channels_in: int, channels_out: int, field_limit: int, stride: int = 1
    ) -> None:
        super().__init__()
        width = channels_out // BRANCHES
        self.stride = stride
        self.proj_1x1 = ConvBnAct(channels_in, width, 1, groups=BRANCHES)
        self.spp_dw = nn.ModuleList(
            DilatedDepthwise(width, stride, dilation) for dilation in branch_dilations(field_limit)
        )
        self.br_after_cat = BnAct(channels_out)
        self.conv_1x1_exp = ConvBnAct(
            channels_out, channels_out, 1, groups=BRANCHES, activation=False
        )
        self.module_act = nn.PReLU(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels_out, H / stride, W / stride)."""
        projected = self.proj_1x1(x)
        # Hierarchical fusion: each branch adds the one before it, which removes gridding.
        fused = [self.spp_dw[0](projected)]
        for branch in list(self.spp_dw)[1:]:
            fused.append(branch(projected) + fused[-1])
        expanded = self.conv_1x1_exp(self.br_after_cat(torch.cat(fused, 1)))
        return expanded if self.stride == 2 else self.module_act(expanded + x)


def halve(x: Tensor) -> Tensor:
    """Return the 3x3 average at stride 2; zeros of the padding count, as in the weights."""
    return F.avg_pool2d(x, 3, 2, 1, count_include_pad=True)


class DownSampler(nn.Module):
    """Halves the size: pooled input beside a strided EESP unit, plus the image itself."""

    def __init__(self, channels_in: int, channels_out: int, field_limit: int) -> None:
        super().__init__()
        self.eesp = Eesp(channels_in, channels_out - channels_in, field_limit, stride=2)
        self.inp_reinf = nn.Sequential(
            ConvBnAct(3, 3, 3), ConvBnAct(3, channels_out, 1, activation=False)
        )
        self.act = nn.PReLU(channels_out)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """Return (B, channels_out, H / 2, W / 2); `image` is (B, 3, H / 2, W / 2)."""
        halved = torch.cat((halve(x), self.eesp(x)), 1)
        return self.act(halved + self.inp_reinf(image))


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Return `x` bilinearly resized to (height, width), corners aligned as in the weights."""
    return F.interpolate(x, (int(size[0]), int(size[1])), mode='bilinear', align_corners=True)


def average_bins(x: Tensor, size: Sequence[int]) -> Tensor:
    """Return `x` averaged to (height, width); bin j of b covers floor(ja/b) to ceil((j+1)a/b).

    It is `F.adaptive_avg_pool2d`, written so that it exports as a handful of operators instead of
    dozens of gathers, and runs faster.
    """
    (height, width), (rows, columns) = x.shape[-2:], size
    if height % rows == 0 and width % columns == 0:
        return F.avg_pool2d(x, (height // rows, width // columns))
    if 2 * height == 3 * rows and 2 * width == 3 * columns:
        # Every three values become two, the mean of the first and of the last pair.
        corners = [x[..., top:, left:] for top in (0, 1) for left in (0, 1)]
        pairs = torch.stack([F.avg_pool2d(corner, 2, 3) for corner in corners], 2)
        return F.pixel_shuffle(pairs.flatten(1, 2), 2)
    return _bin_weights(height, rows, x) @ (x @ _bin_weights(width, columns, x).T)


def _bin_weights(length: int, bins: int, like: Tensor) -> Tensor:
    """Return the (bins, length) matrix that averages `length` values into bins."""
    # Made on the device of `like`: a copy from the host could not be captured in a CUDA graph.
    index = torch.arange(length, device=like.device)
    edge = torch.arange(bins, device=like.device)[:, None] * length
    start, stop = edge // bins, (edge + length + bins - 1) // bins
    inside = (index >= start) & (index < stop)
    return inside.to(like.dtype) / (stop - start).to(like.dtype)


class PyramidPooling(nn.Module):
    """Efficient pyramid pooling: the same depthwise convolution at five sizes, then merged."""

    def __init__(self, channels_in: int, channels_out: int, last: bool = False) -> None:
        super().__init__()
        scales, width = len(PYRAMID_SCALES), PYRAMID_CHANNELS
        self.projection_layer = DecoderConvBnAct(channels_in, width, 1)
        self.stages = nn.ModuleList(convolution(width, width, 3, groups=width) for _ in range(5))
        self.merge_layer = nn.Sequential(
            DecoderBnAct(scales * width),
            nn.ChannelShuffle(scales),
            DecoderConvBnAct(scales * width, width, 3, groups=width),
            nn.Conv2d(width, channels_out, 1, bias=last),
        )
        self.br = None if last else DecoderBnAct(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels_out, H, W)."""
        x = self.projection_layer(x)
        size = x.shape[-2:]
        pyramid = []
        for scale, stage in zip(PYRAMID_SCALES, self.stages):
            scaled = [max(5, math.ceil(side * scale)) for side in size]
            if scale > 1:
                pyramid.append(average_bins(stage(resize(x, scaled)), size))
            elif scale < 1:
                pyramid.append(resize(stage(average_bins(x, scaled)), size))
            else:
                pyramid.append(stage(x))
        x = self.merge_layer(torch.cat(pyramid, 1))
        return x if self.br is None else self.br(x)


class GatedLink(nn.Module):
    """Lateral link from encoder to decoder, each channel gated by the mean of the whole map."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        groups = math.gcd(channels_in, channels_out)
        self.expansion_layer = DecoderConvBnAct(channels_in, channels_out, 3, groups)
        # Named positions of the weights: pooling 0, convolution 1, sigmoid 2.
        self.wt_layer = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels_in, channels_out, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels_out, H, W)."""
        return self.wt_layer(x) * self.expansion_layer(x)

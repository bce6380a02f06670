"""Packing's Conv3d and Conv2d as one Conv2d, exact to the border (see docs/fusion.md).

Shapes: D packed channels, d 3-D features, O output channels, k the 2-D kernel, r = k // 2.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class ComposedPacking(NamedTuple):
    """What one packing's two linear maps are together.

    Attributes:
        weight: (O, D, k + 2, k + 2).
        bias: (O,), the bias of the second map.
        inner_bias: (O, 1, k, k), the first map's bias seen through the second: a convolution of the
            image's indicator, because the zeros around the intermediate carry no bias.
        rows: (2, O * r, D, 1, k + 2), what the composition adds to the r top and r bottom rows
            through intermediate pixels just outside the image, from the image's first and last row.
        columns: (2, O * r, D, k + 2, 1), likewise left and right.
        corners: (4, O * r * r, D, 1, 1), what rows and columns count twice: top left, top right,
            bottom left, bottom right.
    """

    weight: Tensor
    bias: Tensor
    inner_bias: Tensor
    rows: Tensor
    columns: Tensor
    corners: Tensor


def compose(
    inner_weight: Tensor, inner_bias: Tensor, weight: Tensor, bias: Tensor
) -> ComposedPacking:
    """Compose Conv3d(1 -> d, 3, padding 1), flattening, and Conv2d(d D -> O, k, padding k // 2).

    Differentiable in all four arguments.

    Args:
        inner_weight: (d, 1, 3, 3, 3).
        inner_bias: (d,).
        weight: (O, d * D, k, k), k odd and at least 3.
        bias: (O,).
    """
    features = inner_weight.shape[0]
    outer = weight.unflatten(1, (features, -1))
    packed, size = outer.shape[2:4]
    radius = size // 2
    # A pixel just above the image is reached by the first `radius` kernel rows of the output rows
    # radius - 1 .. 0, and itself sees the image by its own last kernel row; and so on round.
    first, last = slice(0, radius), slice(radius + 1, None)
    sides = ((first, slice(2, 3)), (last, slice(0, 1)))

    rows = [_product(outer[..., p, :].flip(-2), inner_weight[..., u, :]) for p, u in sides]
    columns = [_product(outer[..., p].flip(-1), inner_weight[..., u]) for p, u in sides]
    corners = [
        _product(outer[..., p, q].flip(-2, -1), inner_weight[..., u, v])
        for p, u in sides
        for q, v in sides
    ]
    return ComposedPacking(
        weight=_product(outer, inner_weight),
        bias=bias,
        inner_bias=torch.einsum('odcyx,d->oyx', outer, inner_bias).unsqueeze(1),
        rows=torch.stack(rows).transpose(2, 3).reshape(2, -1, packed, 1, size + 2),
        columns=torch.stack(columns).movedim(4, 2).reshape(2, -1, packed, size + 2, 1),
        corners=torch.stack(corners).movedim(2, 4).reshape(4, -1, packed, 1, 1),
    )


def _product(outer: Tensor, inner_weight: Tensor) -> Tensor:
    """Convolve kernels (O, d, D, y, x) and (d, 1, 3, v, u) to (O, D, y + v - 1, x + u - 1)."""
    return F.conv_transpose3d(outer, inner_weight, padding=(1, 0, 0)).squeeze(1)


def apply_composed(x: Tensor, composed: ComposedPacking) -> Tensor:
    """Return what the two maps make of packed features x (B, D, h, w): (B, O, h, w).

    Exact at every size: one convolution, the bias of what lies inside, and by inclusion-exclusion
    minus the rows and columns that the intermediate's zero padding takes away.
    """
    weight, bias, inner_bias, rows, columns, corners = composed
    height, width = x.shape[-2:]
    size = inner_bias.shape[-1]
    radius, out_channels = size // 2, bias.shape[0]

    # The convolution's own output is safe to change in place: its backward does not read it.
    out = F.conv2d(x, weight, bias, padding=radius + 1)
    inside = torch.ones(1, 1, height, width, dtype=x.dtype, device=x.device)
    out += F.conv2d(inside, inner_bias, padding=radius)

    ends = (slice(0, 1), slice(-1, None))
    tall, wide = min(radius, height), min(radius, width)
    # Each strip is cut where the image is thinner than the kernel's radius.
    y_ranges = (slice(0, tall), slice(radius - tall, None))
    x_ranges = (slice(0, wide), slice(radius - wide, None))

    for side in range(2):
        strip = F.conv2d(x[:, :, ends[side], :], rows[side], padding=(0, radius + 1))
        strip = strip.view(-1, out_channels, radius, width)[:, :, y_ranges[side]]
        for other in range(2):
            corner = F.conv2d(x[:, :, ends[side], ends[other]], corners[2 * side + other])
            corner = corner.view(-1, out_channels, radius, radius)
            corner = corner[:, :, y_ranges[side], x_ranges[other]]
            strip = strip - _at_end(corner, other, width, 3)
        out -= _at_end(strip, side, height, 2)
    for side in range(2):
        strip = F.conv2d(x[:, :, :, ends[side]], columns[side], padding=(radius + 1, 0))
        strip = strip.view(-1, out_channels, radius, height)[:, :, x_ranges[side]]
        out -= _at_end(strip.transpose(2, 3), side, width, 3)
    return out


def _at_end(strip: Tensor, side: int, length: int, dim: int) -> Tensor:
    """Return zeros of a length but for a strip at the start (side 0) or end of dimension 2 or 3."""
    rest = length - strip.shape[dim]
    margins = (0, rest) if side == 0 else (rest, 0)
    return F.pad(strip, margins if dim == 3 else (0, 0, *margins))

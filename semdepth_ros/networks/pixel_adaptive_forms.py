"""Pixel-adaptive convolution in plain operations: the kernel, the reference and the export form.

Every form has one signature, `form(value, guide, weight, bias, log_sigma)`, and computes

    out_i = sum_j K(f_i, f_j) W[p_i - p_j] v_j + b,   K = exp(-|f_i - f_j|^2 / (2 sigma^2))

over a k x k window around each pixel i (H. Su et al., CVPR 2019; docs/method.md section 4). v is
zero outside the image. With K = 1 this is `torch.nn.functional.conv2d` with padding k // 2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def half_window(kernel_size: int) -> list[tuple[int, int]]:
    """Return the offsets (dy, dx) of the window that come after its centre, in reading order.

    K is symmetric, so the other half of the window needs no kernels of its own.
    """
    radius = kernel_size // 2
    span = range(-radius, radius + 1)
    return [(dy, dx) for dy in span for dx in span if (dy, dx) > (0, 0)]


def pairs(x: Tensor, offset: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the views x_i and x_(i + offset) over the pixels i for which both lie in the image.

    Args:
        x: (..., H, W).
        offset: (dy, dx) with dy >= 0, from `half_window`.
    """
    dy, dx = offset
    height, width = x.shape[-2:]
    first = x[..., : height - dy, max(-dx, 0) : width - max(dx, 0)]
    second = x[..., dy:, max(dx, 0) : width - max(-dx, 0)]
    return first, second


def pair_kernel(guide: Tensor, offset: tuple[int, int], log_sigma: Tensor) -> Tensor:
    """Return K(f_i, f_(i + offset)) for each pair of `pairs`.

    Args:
        guide: f, (B, G, H, W).
        offset: from `half_window`.
        log_sigma: scalar; the natural logarithm of sigma.

    Returns:
        (B, 1, H - dy, W - |dx|).
    """
    first, second = pairs(guide, offset)
    difference = first - second
    distance = (difference * difference).sum(1, keepdim=True)
    return torch.exp(distance * (-0.5 * torch.exp(-2 * log_sigma)))


def window_kernels(guide: Tensor, kernel_size: int, log_sigma: Tensor) -> list[Tensor]:
    """Return K(f_i, f_j) at every pixel i, one (B, 1, H, W) for each offset j - i of the window.

    Offsets are in reading order, the centre (K = 1) left out; pairs that leave the image get 0.
    """
    height, width = guide.shape[-2:]
    before, after = [], []
    for dy, dx in half_window(kernel_size):
        kernel = pair_kernel(guide, (dy, dx), log_sigma)
        rows, columns = height - kernel.shape[-2], width - kernel.shape[-1]
        left, right = (columns, 0) if dx < 0 else (0, columns)
        after.append(F.pad(kernel, (left, right, 0, rows)))
        before.append(F.pad(kernel, (right, left, rows, 0)))
    return before[::-1] + after


def pixel_adaptive_unfold(
    value: Tensor, guide: Tensor, weight: Tensor, bias: Tensor, log_sigma: Tensor
) -> Tensor:
    """Convolve by unfolding both inputs: the textbook form, the reference of tests and benchmarks.

    Args:
        value: v, (B, C, H, W).
        guide: f, (B, G, H, W).
        weight: W, (O, C, k, k) with odd k.
        bias: b, (O,).
        log_sigma: scalar; the natural logarithm of sigma.

    Returns:
        (B, O, H, W).
    """
    batch, channels, height, width = value.shape
    size = weight.shape[-1]
    taps = size * size
    values = F.unfold(value, size, padding=size // 2)
    values = values.view(batch, channels, taps, height * width)
    guides = F.unfold(guide, size, padding=size // 2)
    guides = guides.view(batch, guide.shape[1], taps, height * width)
    difference = guides - guide.flatten(2).unsqueeze(2)
    distance = (difference * difference).sum(1, keepdim=True)
    kernel = torch.exp(distance * (-0.5 * torch.exp(-2 * log_sigma)))
    modulated = (values * kernel).view(batch, channels * taps, height * width)
    out = weight.flatten(1) @ modulated + bias.view(1, -1, 1)
    return out.view(batch, -1, height, width)


def pixel_adaptive_shift(
    value: Tensor, guide: Tensor, weight: Tensor, bias: Tensor, log_sigma: Tensor
) -> Tensor:
    """Convolve tap by tap: the form for export, made of Pad, Slice, Sub, Mul, ReduceSum, Exp, Conv.

    Arguments and result are those of `pixel_adaptive_unfold`.
    """
    size = weight.shape[-1]
    radius = size // 2
    height, width = value.shape[-2:]
    kernels = window_kernels(guide, size, log_sigma)
    centre = size * size // 2
    out = F.conv2d(value, weight[:, :, radius : radius + 1, radius : radius + 1], bias)
    for tap in range(size * size):
        y, x = divmod(tap, size)
        if tap == centre or abs(y - radius) >= height or abs(x - radius) >= width:
            continue  # the centre is done, and beyond the image there is nothing
        # A margin on one side and as much cut off at the other: one Pad, where a slice of each axis
        # would copy twice.
        shifted = F.pad(value, (radius - x, x - radius, radius - y, y - radius))
        modulated = shifted * kernels[tap - (tap > centre)]
        out = out + F.conv2d(modulated, weight[:, :, y : y + 1, x : x + 1])
    return out


@torch.no_grad()
def mean_kernel(guide: Tensor, log_sigma: Tensor, kernel_size: int) -> Tensor:
    """Return the mean of K over all pairs of neighbours inside the image, the centre left out.

    Near 0 the convolution is 1x1, near 1 an ordinary one: either way the guidance does nothing
    (docs/method.md section 4), so training logs it per level.

    Args:
        guide: f, (B, G, H, W).
        log_sigma: scalar; the natural logarithm of sigma.
        kernel_size: k of the convolution.

    Returns:
        A scalar in [0, 1].
    """
    kernels = [pair_kernel(guide, o, log_sigma).flatten() for o in half_window(kernel_size)]
    return torch.cat(kernels).float().mean()

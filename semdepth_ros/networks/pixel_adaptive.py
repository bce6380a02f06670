"""Pixel-adaptive convolution (H. Su et al., CVPR 2019; docs/method.md section 4)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semdepth_ros.networks.pixel_adaptive_forms import (
    mean_kernel,
    pixel_adaptive_shift,
    pixel_adaptive_unfold,
)
from semdepth_ros.networks.pixel_adaptive_lean import pixel_adaptive_lean

__all__ = [
    'PixelAdaptiveConv2d',
    'mean_kernel',
    'pixel_adaptive_conv2d',
    'pixel_adaptive_lean',
    'pixel_adaptive_shift',
    'pixel_adaptive_unfold',
    'triton_form',
]


@functools.cache
def triton_form() -> Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor] | None:
    """Return the fused form for CUDA, or None where triton is not installed."""
    try:
        from semdepth_ros.networks.pixel_adaptive_triton import pixel_adaptive_triton
    except ImportError:
        return None
    return pixel_adaptive_triton


def pixel_adaptive_conv2d(
    value: Tensor, guide: Tensor, weight: Tensor, bias: Tensor, log_sigma: Tensor
) -> Tensor:
    """Convolve by the form that suits: shift under export, Triton on CUDA, else lean.

    Args:
        value: v, (B, C, H, W); zero outside the image.
        guide: f, (B, G, H, W).
        weight: W, (O, C, k, k) with odd k.
        bias: b, (O,).
        log_sigma: scalar; the natural logarithm of sigma.

    Returns:
        (B, O, H, W).
    """
    if torch.compiler.is_exporting() or torch.jit.is_tracing():
        return pixel_adaptive_shift(value, guide, weight, bias, log_sigma)
    fused = triton_form() if value.is_cuda and value.dtype != torch.float64 else None
    form = fused or pixel_adaptive_lean
    return form(value, guide, weight, bias, log_sigma)


class PixelAdaptiveConv2d(nn.Module):
    """A convolution whose window is weighted, at each pixel, by how alike the guide's features are.

    `out_i = sum_j K(f_i, f_j) W[p_i - p_j] v_j + b`, `K = exp(-|f_i - f_j|^2 / (2 sigma^2))`, with
    zero padding and one learnable sigma.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        sigma: float = 1.0,
        fixed_kernel: bool = False,
    ) -> None:
        """Build with random weights; see `init_identity`.

        Args:
            in_channels: C.
            out_channels: O.
            kernel_size: k, odd.
            sigma: where sigma starts, in the units of the guide; above 0.
            fixed_kernel: fix K to 1, which makes this an ordinary convolution of the same weights:
                the ablation that tells what the guide adds.

        Raises:
            ValueError: for an even kernel size or a sigma that is not above 0.
        """
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f'kernel size is {kernel_size}, expected an odd number above 0')
        if not sigma > 0:
            raise ValueError(f'sigma is {sigma}, expected a number above 0')
        self.fixed_kernel = fixed_kernel
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.log_sigma = nn.Parameter(torch.tensor(math.log(sigma)))
        nn.init.xavier_uniform_(self.weight)

    @torch.no_grad()
    def init_identity(self) -> None:
        """Set the weights so that the output is the input, exactly, whatever the guide.

        Raises:
            ValueError: when the numbers of input and output channels differ.
        """
        out_channels, in_channels, size, _ = self.weight.shape
        if out_channels != in_channels:
            raise ValueError(
                f'{in_channels} channels to {out_channels}: no identity, expected equal'
            )
        self.weight.zero_()
        self.weight[:, :, size // 2, size // 2] = torch.eye(in_channels)
        self.bias.zero_()

    def forward(self, value: Tensor, guide: Tensor) -> Tensor:
        """Return the guided features, (B, O, H, W).

        Args:
            value: (B, C, H, W).
            guide: (B, G, H, W) of the same size; its gradient flows.

        Raises:
            ValueError: when the sizes of value and guide differ.
        """
        if value.shape[-2:] != guide.shape[-2:]:
            raise ValueError(
                f'guide is {tuple(guide.shape[-2:])}, expected the size of the value, '
                f'{tuple(value.shape[-2:])}'
            )
        size = self.weight.shape[-1]
        if self.fixed_kernel:
            return F.conv2d(value, self.weight, self.bias, padding=size // 2)
        device = value.device.type
        if not torch.is_autocast_enabled(device):
            return pixel_adaptive_conv2d(value, guide, self.weight, self.bias, self.log_sigma)
        # The products in autocast's dtype, K in float32: its exponent grows with G.
        low = torch.get_autocast_dtype(device)
        with torch.autocast(device, enabled=False):
            return pixel_adaptive_conv2d(
                value.to(low),
                guide.float(),
                self.weight.to(low),
                self.bias.to(low),
                self.log_sigma,
            )

    def mean_kernel(self, guide: Tensor) -> Tensor:
        """Return the mean of K between neighbours for this layer's sigma, a scalar for the log."""
        return mean_kernel(guide, self.log_sigma, self.weight.shape[-1])

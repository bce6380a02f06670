"""Pixel-adaptive convolution on CUDA: one fused Triton kernel forward, the lean form backward.

A program computes a block of pixels for a block of output channels: for each tap of the window, K
from the guide, then the modulated values times that tap's weights, summed in registers. Neither the
window nor K reaches memory. With `TRITON_INTERPRET=1` it runs on CPU tensors, for tests.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from semdepth_ros.networks.pixel_adaptive_lean import LeanPixelAdaptive


@triton.jit
def _forward_kernel(
    value_ptr,
    guide_ptr,
    weight_ptr,
    bias_ptr,
    log_sigma_ptr,
    out_ptr,
    channels,
    guide_channels,
    out_channels,
    height,
    width,
    SIZE: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
    BLOCK_GUIDE: tl.constexpr,
    BLOCK_OUT: tl.constexpr,
    PRECISION: tl.constexpr,
):
    area = height * width
    pixel = tl.program_id(0) * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    out_channel = tl.program_id(1) * BLOCK_OUT + tl.arange(0, BLOCK_OUT)
    image = tl.program_id(2).to(tl.int64)
    value_ptr += image * channels * area
    guide_ptr += image * guide_channels * area
    out_ptr += image * out_channels * area
    inside = pixel < area
    y = pixel // width
    x = pixel % width
    sharpness = -0.5 * tl.exp(-2.0 * tl.load(log_sigma_ptr).to(tl.float32))
    bias = tl.load(bias_ptr + out_channel, mask=out_channel < out_channels, other=0.0)
    total = tl.zeros((BLOCK_OUT, BLOCK_PIXELS), tl.float32) + bias.to(tl.float32)[:, None]

    for tap in range(SIZE * SIZE):
        dy = tap // SIZE - SIZE // 2
        dx = tap % SIZE - SIZE // 2
        valid = inside & (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        neighbour = pixel + dy * width + dx
        distance = tl.zeros((BLOCK_PIXELS,), tl.float32)
        for first in range(0, guide_channels, BLOCK_GUIDE):
            channel = first + tl.arange(0, BLOCK_GUIDE)
            mask = (channel < guide_channels)[:, None] & valid[None, :]
            row = guide_ptr + channel[:, None] * area
            here = tl.load(row + pixel[None, :], mask=mask, other=0.0).to(tl.float32)
            there = tl.load(row + neighbour[None, :], mask=mask, other=0.0).to(tl.float32)
            distance += tl.sum((here - there) * (here - there), axis=0)
        kernel = tl.exp(distance * sharpness)
        for first in range(0, channels, BLOCK_CHANNELS):
            channel = first + tl.arange(0, BLOCK_CHANNELS)
            value = tl.load(
                value_ptr + channel[:, None] * area + neighbour[None, :],
                mask=(channel < channels)[:, None] & valid[None, :],
                other=0.0,
            )
            modulated = (value.to(tl.float32) * kernel[None, :]).to(value.dtype)
            weight = tl.load(
                weight_ptr
                + (out_channel[:, None] * channels + channel[None, :]) * SIZE * SIZE
                + tap,
                mask=(out_channel < out_channels)[:, None] & (channel < channels)[None, :],
                other=0.0,
            )
            total = tl.dot(weight, modulated, total, input_precision=PRECISION)

    tl.store(
        out_ptr + out_channel[:, None] * area + pixel[None, :],
        total.to(out_ptr.dtype.element_ty),
        mask=(out_channel < out_channels)[:, None] & inside[None, :],
    )


def _block(count: int, most: int) -> int:
    """Return a power of two that holds `count`, within what tl.dot takes and registers hold."""
    return max(16, min(most, triton.next_power_of_2(count)))


class TritonPixelAdaptive(LeanPixelAdaptive):
    """Fused forward; backward is inherited from the lean form, which recomputes everything."""

    @staticmethod
    def forward(ctx, value, guide, weight, bias, log_sigma):
        """Return the convolution; keep its inputs alone."""
        guide, weight = guide.contiguous(), weight.contiguous()
        ctx.save_for_backward(value, guide, weight, log_sigma)
        batch, channels, height, width = value.shape
        out_channels = weight.shape[0]
        out = value.new_empty(batch, out_channels, height, width)
        block_pixels, block_out = 64, _block(out_channels, 64)
        blocks = triton.cdiv(height * width, block_pixels)
        _forward_kernel[(blocks, triton.cdiv(out_channels, block_out), batch)](
            value,
            guide,
            weight,
            bias,
            log_sigma,
            out,
            channels,
            guide.shape[1],
            out_channels,
            height,
            width,
            SIZE=weight.shape[-1],
            BLOCK_PIXELS=block_pixels,
            BLOCK_CHANNELS=_block(channels, 32),
            BLOCK_GUIDE=_block(guide.shape[1], 16),
            BLOCK_OUT=block_out,
            # PyTorch's own switch decides whether float32 may be rounded to TensorFloat-32.
            PRECISION='tf32' if torch.backends.cuda.matmul.allow_tf32 else 'ieee',
        )
        return out


def pixel_adaptive_triton(
    value: Tensor, guide: Tensor, weight: Tensor, bias: Tensor, log_sigma: Tensor
) -> Tensor:
    """Convolve by the fused kernel; sums in float32, so float64 input is not taken.

    Arguments and result are those of `pixel_adaptive_forms.pixel_adaptive_unfold`.
    """
    return TritonPixelAdaptive.apply(value.contiguous(), guide, weight, bias, log_sigma)

"""Pixel-adaptive convolution for training: strips of rows, nothing kept that can be recomputed.

The modulated window, k*k times as large as the input, exists for a few rows at a time, where it
stays in the processor's cache and feeds one matrix product. Backward recomputes it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from semdepth_ros.networks.pixel_adaptive_forms import half_window, pairs, window_kernels

# Bytes of the modulated window held at once: what a core's cache holds, or what keeps a GPU busy.
_STRIP_BYTES = {'cpu': 4 << 20, 'cuda': 256 << 20}


def _strips(value: Tensor, taps: int) -> Iterator[tuple[int, int, int]]:
    """Yield (image, first row, end row) of strips whose modulated window fits the budget."""
    batch, channels, height, width = value.shape
    budget = _STRIP_BYTES.get(value.device.type, _STRIP_BYTES['cuda'])
    row = taps * channels * width * value.element_size()
    rows = min(height, max(1, budget // row))
    for image in range(batch):
        for top in range(0, height, rows):
            yield image, top, min(top + rows, height)


class _Window:
    """The window of a strip of rows: shifted views of its padded values, and their modulation."""

    def __init__(self, value: Tensor, kernels: list[Tensor], size: int) -> None:
        self.value, self.kernels = value, kernels
        self.size, self.radius = size, size // 2
        self.centre = size * size // 2

    def load(self, image: int, top: int, end: int) -> None:
        """Copy the strip's rows, and the `radius` rows around it, between zero margins."""
        _, channels, height, width = self.value.shape
        r = self.radius
        self.rows, self.width = end - top, width
        self.image, self.top, self.end = image, top, end
        self.first, self.last = max(top - r, 0), min(end + r, height)
        self.padded = self.value.new_zeros(channels, self.rows + 2 * r, width + 2 * r)
        self.inside(self.padded).copy_(self.value[image, :, self.first : self.last])

    def inside(self, padded: Tensor) -> Tensor:
        """Return the part of a padded strip that lies in the image."""
        r = self.radius
        shift = r - self.top
        return padded[:, self.first + shift : self.last + shift, r : r + self.width]

    def shifted(self, padded: Tensor, tap: int) -> Tensor:
        """Return x_(i + offset of tap) for the pixels i of the strip, as a view."""
        y, x = divmod(tap, self.size)
        return padded[:, y : y + self.rows, x : x + self.width]

    def kernel(self, tap: int) -> Tensor | None:
        """Return K of a tap over the strip, (1, rows, W); None at the centre, where it is 1."""
        if tap == self.centre:
            return None
        return self.kernels[tap - (tap > self.centre)][self.image, :, self.top : self.end]

    def modulate(self) -> Tensor:
        """Return K v for every tap, (k * k * C, rows * W)."""
        taps, channels = self.size**2, self.padded.shape[0]
        window = self.value.new_empty(taps, channels, self.rows, self.width)
        for tap in range(taps):
            kernel = self.kernel(tap)
            if kernel is None:
                window[tap].copy_(self.shifted(self.padded, tap))
            else:
                torch.mul(self.shifted(self.padded, tap), kernel, out=window[tap])
        return window.view(taps * channels, self.rows * self.width)


def _as_matrix(weight: Tensor) -> Tensor:
    """Return W with its columns in the order of the window, (O, k * k * C)."""
    return weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)


def _kernels(value: Tensor, guide: Tensor, weight: Tensor, log_sigma: Tensor) -> list[Tensor]:
    kernels = window_kernels(guide, weight.shape[-1], log_sigma)
    return [kernel.to(value.dtype) for kernel in kernels]


class LeanPixelAdaptive(torch.autograd.Function):
    """Strip-wise forward, recomputing backward; see `pixel_adaptive_lean`."""

    @staticmethod
    def forward(ctx, value, guide, weight, bias, log_sigma):
        """Return the convolution; keep its inputs alone."""
        ctx.save_for_backward(value, guide, weight, log_sigma)
        matrix = _as_matrix(weight)
        batch, _, height, width = value.shape
        out = value.new_empty(batch, weight.shape[0], height * width)
        window = _Window(value, _kernels(value, guide, weight, log_sigma), weight.shape[-1])
        for image, top, end in _strips(value, weight.shape[-1] ** 2):
            window.load(image, top, end)
            strip = out[image, :, top * width : end * width]
            torch.addmm(bias.unsqueeze(1), matrix, window.modulate(), out=strip)
        return out.view(batch, -1, height, width)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):
        """Return the gradients of value, guide, weight, bias and log_sigma."""
        value, guide, weight, log_sigma = ctx.saved_tensors
        size, taps = weight.shape[-1], weight.shape[-1] ** 2
        _, channels, height, width = value.shape
        needs_value, needs_guide, needs_weight, needs_bias, needs_sigma = ctx.needs_input_grad
        needs_kernel = needs_guide or needs_sigma

        matrix = _as_matrix(weight)
        kernels = _kernels(value, guide, weight, log_sigma)
        window = _Window(value, kernels, size)
        grad_out = grad_out.contiguous().flatten(2)
        grad_value = torch.zeros_like(value) if needs_value else None
        # Sums over many strips: in float32 at least, whatever autocast runs in.
        wide = torch.promote_types(value.dtype, torch.float32)
        grad_matrix = matrix.new_zeros(matrix.shape, dtype=wide) if needs_weight else None
        grad_kernel = None
        if needs_kernel:
            grad_kernel = guide.new_empty(taps, guide.shape[0], 1, height, width)

        for image, top, end in _strips(value, taps):
            window.load(image, top, end)
            grad_strip = grad_out[image, :, top * width : end * width]
            if grad_matrix is not None:
                grad_matrix += grad_strip @ window.modulate().T
            if grad_value is None and grad_kernel is None:
                continue
            grad_window = (matrix.T @ grad_strip).view(taps, channels, end - top, width)
            grad_padded = torch.zeros_like(window.padded)
            for tap in range(taps):
                kernel = window.kernel(tap)
                target = window.shifted(grad_padded, tap)
                if kernel is None:
                    target += grad_window[tap]
                    continue
                target.addcmul_(grad_window[tap], kernel)
                if grad_kernel is not None:
                    product = grad_window[tap].mul_(window.shifted(window.padded, tap))
                    grad_kernel[tap, image, 0, top:end] = product.sum(0)
            if grad_value is not None:
                grad_value[image, :, window.first : window.last] += window.inside(grad_padded)

        grad_guide = grad_sigma = grad_weight = grad_bias = None
        if grad_kernel is not None:
            grad_guide, grad_sigma = _through_kernel(grad_kernel, guide, kernels, log_sigma, size)
        if grad_matrix is not None:
            shape = (weight.shape[0], size, size, channels)
            grad_weight = grad_matrix.view(shape).permute(0, 3, 1, 2).to(weight.dtype)
        if needs_bias:
            grad_bias = grad_out.sum((0, 2), dtype=wide).to(weight.dtype)
        return grad_value, grad_guide, grad_weight, grad_bias, grad_sigma


def _through_kernel(
    grad_kernel: Tensor, guide: Tensor, kernels: list[Tensor], log_sigma: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Return the gradients of guide and log_sigma from those of K, (k * k, B, 1, H, W).

    With D = |f_i - f_j|^2: dK/dD = -K / (2 sigma^2) and dK/dlog_sigma = K D / sigma^2 = -2 K log K.
    Both directions of a pair share K, so their gradients add up first.
    """
    inverse_variance = torch.exp(-2 * log_sigma)
    grad_guide = torch.zeros_like(guide)
    grad_sigma = torch.zeros_like(log_sigma)
    centre = size * size // 2
    for number, offset in enumerate(half_window(size), start=1):
        here, _ = pairs(grad_kernel[centre + number], offset)
        _, there = pairs(grad_kernel[centre - number], offset)
        kernel, _ = pairs(kernels[centre + number - 1], offset)
        grad = here + there
        grad_sigma -= 2 * (grad * torch.xlogy(kernel, kernel)).sum()
        first, second = pairs(guide, offset)
        pull = (first - second).mul_(grad * kernel * -inverse_variance)
        grad_first, grad_second = pairs(grad_guide, offset)
        grad_first += pull
        grad_second -= pull
    return grad_guide, grad_sigma


def pixel_adaptive_lean(
    value: Tensor, guide: Tensor, weight: Tensor, bias: Tensor, log_sigma: Tensor
) -> Tensor:
    """Convolve in strips with little memory; the form for training and for eager inference.

    Arguments and result are those of `pixel_adaptive_forms.pixel_adaptive_unfold`. `value`,
    `weight` and `bias` share one dtype; `guide` and `log_sigma` may have a wider one.
    """
    return LeanPixelAdaptive.apply(value.contiguous(), guide, weight, bias, log_sigma)

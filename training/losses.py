"""The losses of the paper, each one small function (docs/method.md, section 5).

Images are float RGB in [0, 1], B3HW. Every function is a pure function of tensors; what is weighed
against what stands in `objective.py`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Stabilisers of SSIM for images in [0, 1]: (0.01)^2 and (0.03)^2.
SSIM_C1 = 1e-4
SSIM_C2 = 9e-4


#: Mean of an image and mean of its square over 3x3 windows, each B3HW.
Moments = tuple[Tensor, Tensor]


def _mean3x3(x_BCHW: Tensor) -> Tensor:
    # As a depthwise convolution, on CPU 2.7 times as fast as avg_pool2d, backward pass included.
    channels = x_BCHW.shape[1]
    kernel = x_BCHW.new_full((channels, 1, 3, 3), 1 / 9)
    return F.conv2d(F.pad(x_BCHW, (1, 1, 1, 1), mode='reflect'), kernel, groups=channels)


def moments(image_B3HW: Tensor) -> Moments:
    """Return the local mean of an image and of its square, for `ssim_distance`."""
    both = _mean3x3(torch.cat([image_B3HW, image_B3HW * image_B3HW], dim=1))
    mean, square = both.chunk(2, dim=1)
    return mean, square


def ssim_distance(
    estimate_B3HW: Tensor, target_B3HW: Tensor, target_moments: Moments | None = None
) -> Tensor:
    """Return (1 - SSIM) / 2 over 3x3 means, clamped to [0, 1], per pixel and channel, B3HW.

    `target_moments` are `moments(target_B3HW)`, for who compares many images with one target.
    """
    mean_b, square_b = target_moments or moments(target_B3HW)
    # One convolution over all statistics: it is bound by memory, not by arithmetic.
    pooled = _mean3x3(
        torch.cat([estimate_B3HW, estimate_B3HW.square(), estimate_B3HW * target_B3HW], dim=1)
    )
    mean_a, square_a, product = pooled.chunk(3, dim=1)
    mean_ab, mean_aa, mean_bb = mean_a * mean_b, mean_a.square(), mean_b.square()
    numerator = (2 * mean_ab + SSIM_C1) * (2 * (product - mean_ab) + SSIM_C2)
    variances = square_a - mean_aa + square_b - mean_bb
    denominator = (mean_aa + mean_bb + SSIM_C1) * (variances + SSIM_C2)
    return ((1 - numerator / denominator) / 2).clamp(0, 1)


def photometric_error(
    estimate_B3HW: Tensor,
    target_B3HW: Tensor,
    ssim_weight: float,
    target_moments: Moments | None = None,
) -> Tensor:
    """Return `w (1 - SSIM) / 2 + (1 - w) L1` per pixel, mean over RGB, B1HW.

    The paper's `ssim_weight` w is 0.85; `target_moments` as for `ssim_distance`.
    """
    l1 = (estimate_B3HW - target_B3HW).abs().mean(1, keepdim=True)
    ssim = ssim_distance(estimate_B3HW, target_B3HW, target_moments).mean(1, keepdim=True)
    return ssim_weight * ssim + (1 - ssim_weight) * l1


def minimum_reprojection(
    warped_errors_BNHW: Tensor, unwarped_errors_BNHW: Tensor | None = None
) -> Tensor:
    """Return the smallest photometric error of each pixel, B1HW.

    The minimum over the N context images forgives occlusion. Where `unwarped_errors_BNHW`, of the
    context images as they are, is given, it takes part: a pixel that does not change without any
    warping (it stands still in the image: a car of the camera's own speed, the sky, a standing
    camera) then has a constant for a minimum and teaches nothing (auto-mask).
    """
    smallest = warped_errors_BNHW.amin(1, keepdim=True)
    if unwarped_errors_BNHW is not None:
        smallest = torch.minimum(smallest, unwarped_errors_BNHW.amin(1, keepdim=True))
    return smallest


def smoothness(inv_depth_B1HW: Tensor, image_B3HW: Tensor) -> Tensor:
    """Return the edge-aware smoothness of mean-normalised inverse depth, a scalar.

    Neighbouring inverse depths may differ where the image does: `|d inv| exp(-|d image|)`. Dividing
    by the mean keeps the loss from rewarding depth that shrinks.
    """
    mean = inv_depth_B1HW.mean((2, 3), keepdim=True).clamp(min=1e-6)
    inv_depth = inv_depth_B1HW / mean
    terms = []
    for axis in (2, 3):
        depth_step = torch.diff(inv_depth, dim=axis).abs()
        image_step = torch.diff(image_B3HW, dim=axis).abs().mean(1, keepdim=True)
        terms.append((depth_step * torch.exp(-image_step)).mean())
    return terms[0] + terms[1]


def velocity_error(translation_BN3: Tensor, distance_BN: Tensor) -> Tensor:
    """Return `| |t| - v dt |` in metres, a scalar: what makes depth metric.

    `distance_BN` is the distance v dt that the camera moved between target and context, in metres,
    NaN where nobody measured it. Unknown pairs count as zero, so that the mean over a batch does
    not depend on how processes share it.
    """
    known = torch.isfinite(distance_BN)
    # The gradient of a norm at zero is NaN; a translation of a nanometre is as good as none.
    length = (translation_BN3.square().sum(-1) + 1e-18).sqrt()
    error = (length - torch.where(known, distance_BN, torch.zeros_like(distance_BN))).abs()
    return torch.where(known, error, torch.zeros_like(error)).mean()

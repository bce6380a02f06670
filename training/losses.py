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


def _mean3x3(x_BCHW: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(x_BCHW, (1, 1, 1, 1), mode='reflect'), 3, 1)


def ssim_distance(a_B3HW: Tensor, b_B3HW: Tensor) -> Tensor:
    """Return (1 - SSIM) / 2 over 3x3 means, clamped to [0, 1], per pixel and channel, B3HW."""
    channels = a_B3HW.shape[1]
    # One pooling over all five statistics: pooling is bound by memory, not by arithmetic.
    moments = torch.cat([a_B3HW, b_B3HW, a_B3HW * a_B3HW, b_B3HW * b_B3HW, a_B3HW * b_B3HW], dim=1)
    mean_a, mean_b, square_a, square_b, product = _mean3x3(moments).split(channels, dim=1)
    variance_a = square_a - mean_a * mean_a
    variance_b = square_b - mean_b * mean_b
    covariance = product - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + SSIM_C1) * (2 * covariance + SSIM_C2)
    denominator = (mean_a * mean_a + mean_b * mean_b + SSIM_C1) * (
        variance_a + variance_b + SSIM_C2
    )
    return ((1 - numerator / denominator) / 2).clamp(0, 1)


def photometric_error(estimate_B3HW: Tensor, target_B3HW: Tensor, ssim_weight: float) -> Tensor:
    """Return `w (1 - SSIM) / 2 + (1 - w) L1` per pixel, mean over RGB, B1HW.

    The paper's `ssim_weight` w is 0.85.
    """
    l1 = (estimate_B3HW - target_B3HW).abs().mean(1, keepdim=True)
    ssim = ssim_distance(estimate_B3HW, target_B3HW).mean(1, keepdim=True)
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

"""Pictures of a training: what the networks see, say and synthesise."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from semdepth_training import losses
from semdepth_training.objective import Batch, Objective


def color_inv_depth(inv_depth_HW: np.ndarray) -> np.ndarray:
    """Return inverse depth as colours, (H, W, 3) uint8 RGB; the nearest 2 % are brightest."""
    top = max(float(np.percentile(inv_depth_HW, 98)), 1e-6)
    shade = (np.clip(inv_depth_HW / top, 0, 1) * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(shade, cv2.COLORMAP_MAGMA), cv2.COLOR_BGR2RGB)


@torch.no_grad()
def explain(objective: Objective, batch: Batch) -> np.ndarray:
    """Return a picture of the first triplet of a batch, (5 H, W, 3) uint8 RGB.

    From top to bottom: target; inverse depth; target synthesised from the frame before it; smallest
    photometric error (black none, white 0.5); pixels that the auto-mask leaves out (white).
    """
    view = objective.view(batch)
    target = view.images_BN3HW[:, 0]
    weight = objective.config.ssim_weight
    warped = objective.warp(view)
    errors = torch.cat([losses.photometric_error(w, target, weight) for w in warped], 1)
    unwarped = torch.cat(
        [losses.photometric_error(view.images_BN3HW[:, n], target, weight) for n in (1, 2)], 1
    )
    error = (errors.amin(1, keepdim=True) * 2).clamp(0, 1)
    masked = (unwarped.amin(1, keepdim=True) < errors.amin(1, keepdim=True)).float()
    inv_depth = view.inv_depths[0][0, 0].cpu().numpy()
    return np.concatenate(
        [
            _rgb(target[0]),
            color_inv_depth(inv_depth),
            _rgb(warped[0][0]),
            _rgb(error[0].expand(3, -1, -1)),
            _rgb(masked[0].expand(3, -1, -1)),
        ]
    )


def _rgb(image_3HW: torch.Tensor) -> np.ndarray:
    return (image_3HW.permute(1, 2, 0) * 255).round().byte().cpu().numpy()

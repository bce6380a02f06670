"""View synthesis: the target image seen again through its depth and the camera's motion.

`intrinsics_B4` are fx, fy, cx, cy in pixels of the image at hand; pixel centres have integer
coordinates (semdepth_ros/camera.py holds the rule for every change of size).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Points behind or on the context camera's plane are projected from here, in metres.
SMALLEST_Z = 1e-3


def pixel_grid(height: int, width: int, like: Tensor) -> Tensor:
    """Return the integer pixel coordinates (x, y) of an image, 2HW, of `like`'s device and type."""
    y, x = torch.meshgrid(
        torch.arange(height, device=like.device, dtype=like.dtype),
        torch.arange(width, device=like.device, dtype=like.dtype),
        indexing='ij',
    )
    return torch.stack([x, y])


def unproject(depth_B1HW: Tensor, intrinsics_B4: Tensor) -> Tensor:
    """Return the points (B3HW, metres, camera frame) of a depth map in metres along Z."""
    height, width = depth_B1HW.shape[-2:]
    focal = intrinsics_B4[:, :2, None, None]
    centre = intrinsics_B4[:, 2:, None, None]
    rays = (pixel_grid(height, width, depth_B1HW) - centre) / focal
    return torch.cat([rays * depth_B1HW, depth_B1HW], dim=1)


def project(points_B3HW: Tensor, intrinsics_B4: Tensor) -> Tensor:
    """Return the pixels (B2HW) of points in the camera frame; those behind it land far outside."""
    z = points_B3HW[:, 2:].clamp(min=SMALLEST_Z)
    return (
        points_B3HW[:, :2] / z * intrinsics_B4[:, :2, None, None] + intrinsics_B4[:, 2:, None, None]
    )


def correspondences(
    depth_B1HW: Tensor, intrinsics_B4: Tensor, T_context_target_B44: Tensor
) -> Tensor:
    """Return where each target pixel lies in the context image, B2HW, in pixels."""
    points = unproject(depth_B1HW, intrinsics_B4)
    rotation, translation = T_context_target_B44[:, :3, :3], T_context_target_B44[:, :3, 3:]
    moved = rotation @ points.flatten(2) + translation
    return project(moved.view_as(points), intrinsics_B4)


def sample(image_BCHW: Tensor, pixels_B2HW: Tensor) -> Tensor:
    """Return an image read bilinearly at pixel coordinates, BCHW; beyond the border it repeats.

    Where a coordinate is not a number, neither is the result.
    """
    height, width = image_BCHW.shape[-2:]
    # align_corners=True puts -1 and 1 on the centres of the outer pixels, where coordinates are 0
    # and size - 1: the one setting under which integer coordinates are pixel centres.
    size = pixels_B2HW.new_tensor([width - 1, height - 1]).clamp(min=1)
    # On CPU the backward pass of grid_sample writes outside its memory for coordinates of NaN: a
    # diverged network would end in a segmentation fault, and its NaN would not show in the loss.
    known = torch.isfinite(pixels_B2HW).all(1, keepdim=True)
    pixels = torch.where(known, pixels_B2HW, torch.zeros_like(pixels_B2HW))
    grid = (pixels.permute(0, 2, 3, 1) / size) * 2 - 1
    sampled = F.grid_sample(
        image_BCHW, grid, mode='bilinear', padding_mode='border', align_corners=True
    )
    return sampled.masked_fill(~known, float('nan'))


def in_view(pixels_B2HW: Tensor, height: int, width: int) -> Tensor:
    """Return which pixel coordinates lie within an image, B1HW bool."""
    x, y = pixels_B2HW[:, :1], pixels_B2HW[:, 1:]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def synthesise(
    context_B3HW: Tensor, depth_B1HW: Tensor, intrinsics_B4: Tensor, T_context_target_B44: Tensor
) -> Tensor:
    """Return the target view, B3HW, made of a context image by the target's depth and the pose."""
    return sample(context_B3HW, correspondences(depth_B1HW, intrinsics_B4, T_context_target_B44))

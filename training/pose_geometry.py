"""From what the pose network says (translation, Euler angles) to rigid transforms."""

from __future__ import annotations

import torch
from torch import Tensor


def euler_to_rotation(angles_B3: Tensor) -> Tensor:
    """Return the rotations `Rx(a) Ry(b) Rz(c)` of Euler angles (a, b, c) in radians, B33.

    The order is that of the official PackNet release, so that its pose checkpoints keep their sense.
    """
    a, b, c = angles_B3.unbind(-1)
    sin_a, cos_a, sin_b, cos_b, sin_c, cos_c = a.sin(), a.cos(), b.sin(), b.cos(), c.sin(), c.cos()
    rows = [
        cos_b * cos_c, -cos_b * sin_c, sin_b,
        cos_a * sin_c + sin_a * sin_b * cos_c, cos_a * cos_c - sin_a * sin_b * sin_c, -sin_a * cos_b,
        sin_a * sin_c - cos_a * sin_b * cos_c, sin_a * cos_c + cos_a * sin_b * sin_c, cos_a * cos_b,
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def pose_matrix(pose_B6: Tensor) -> Tensor:
    """Return `T_context_target` (B44) of a pose vector: translation in metres, then Euler angles.

    `T_context_target` maps points of the target camera's frame to the context camera's.
    """
    rotation = euler_to_rotation(pose_B6[..., 3:])
    top = torch.cat([rotation, pose_B6[..., :3, None]], dim=-1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 3] = 1
    return torch.cat([top, bottom], dim=-2)

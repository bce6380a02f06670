"""From what the pose network says (translation, Euler angles) to rigid transforms."""

from __future__ import annotations

import torch
from torch import Tensor


def euler_to_rotation(angles_B3: Tensor) -> Tensor:
    """Return the rotations `Rx(a) Ry(b) Rz(c)` of Euler angles (a, b, c) in radians, B33.

    The order is that of the official PackNet release: its pose checkpoints keep their sense.
    """
    sa, sb, sc = angles_B3.sin().unbind(-1)
    ca, cb, cc = angles_B3.cos().unbind(-1)
    rows = [
        cb * cc, -cb * sc, sb,
        ca * sc + sa * sb * cc, ca * cc - sa * sb * sc, -sa * cb,
        sa * sc - ca * sb * cc, sa * cc + ca * sb * sc, ca * cb,
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

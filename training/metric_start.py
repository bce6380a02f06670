"""Untrained networks that start at the scale of the drive, instead of learning it step by step.

A fresh depth network says one metre everywhere, a fresh pose network that nothing moves. With
odometry the velocity loss pulls both to metres, but Adam moves the pose network's translation by a
fraction of a millimetre a step: thousands of steps, which the paper's data sets have and a user's
first bag has not. So the biases of the last layers start where the drive is: forward, by the mean
distance between frames, through a scene at ten times that distance, where parallax is a few pixels
(our own choice; the paper is silent).
"""

from __future__ import annotations

import math

import torch
from torch import nn

from semdepth_ros.networks.layers import InvDepthHead
from semdepth_ros.networks.pose import PoseNet

#: Distance of the first guess of the scene, in distances between frames.
SCENE = 10.0

#: What the pose network multiplies its output by.
POSE_UNIT = 0.01


@torch.no_grad()
def start_metric(depth: nn.Module, pose_network: PoseNet, distance: float) -> None:
    """Set the biases of the last layers; nothing else changes.

    Args:
        depth: an untrained depth network of this package.
        pose_network: an untrained pose network for the frame before and the frame after.
        distance: mean distance between the frames of a triplet, metres.
    """
    for head in depth.modules():
        if isinstance(head, InvDepthHead):
            share = min(max(head.min_depth / (SCENE * distance), 1e-3), 0.5)
            assert head.conv1.bias is not None
            head.conv1.bias.fill_(math.log(share / (1 - share)))
    bias = pose_network.pose_pred.bias
    assert bias is not None
    # Points of the target lie farther ahead of the frame before it, nearer to the frame after it.
    bias[2], bias[8] = distance / POSE_UNIT, -distance / POSE_UNIT

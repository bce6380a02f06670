"""The one module that every engine runs: fused, frozen, uint8 images in, a prediction out."""

from __future__ import annotations

import copy

import torch
from torch import nn

from semdepth_ros.networks.model import GuidedDepth, ImageToPrediction
from semdepth_ros.networks.packing import Packing, Unpacking
from semdepth_ros.networks.packnet import PackNet

DTYPES = {
    'float32': torch.float32,
    'bfloat16': torch.bfloat16,
    'float16': torch.float16,
}


def inference_module(model: GuidedDepth, precision: str = 'float32') -> nn.Module:
    """Return uint8 (B, H, W, 3) -> (inv_depth, label, confidence), each (B, H, W).

    The model is copied, not changed. PackNet's packings are composed into one convolution each,
    which is exact (docs/fusion.md).

    Args:
        model: in float32.
        precision: 'float32', 'bfloat16' or 'float16': of weights and arithmetic, not of the result.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    if isinstance(model.depth, PackNet):
        model.depth.fuse()
    return ImageToPrediction(model.to(DTYPES[precision])).eval()


def eager_module(model: GuidedDepth) -> nn.Module:
    """Return the same as `inference_module` with every layer as published: what benchmarks beat."""
    model = copy.deepcopy(model).eval().requires_grad_(False)
    for part in model.modules():
        if isinstance(part, Packing):
            part.compose_always = False
        elif isinstance(part, Unpacking):
            part.fused = False
    return ImageToPrediction(model).eval()

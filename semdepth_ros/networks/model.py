"""The whole model: a depth network, a semantic network that guides it, and the guidance between."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import torch
from torch import Tensor, nn

from semdepth_ros.classes import UNLABELLED
from semdepth_ros.networks.depth import build_depth_network
from semdepth_ros.networks.guidance import Guidance
from semdepth_ros.networks.model_config import GuidanceConfig, ModelConfig, ModelError
from semdepth_ros.networks.semantic.build import build_semantic_network
from semdepth_ros.networks.semantic.output import SemanticNetwork

__all__ = [
    'DepthOutput',
    'GuidanceConfig',
    'GuidedDepth',
    'ImageToPrediction',
    'ModelConfig',
    'ModelError',
    'build_model',
]

#: Inverse depth is never below it, 1/m, so that depth is finite (docs/method.md section 2).
MIN_INV_DEPTH = 1e-6


class DepthOutput(NamedTuple):
    """The answer of the model.

    Attributes:
        inv_depths: inverse depth (B, 1, H, W) at full size, 1/2, 1/4 and 1/8.
        logits: (B, 19, H, W) of the semantic network; None without one.
    """

    inv_depths: tuple[Tensor, Tensor, Tensor, Tensor]
    logits: Tensor | None


class GuidedDepth(nn.Module):
    """Depth network guided by a semantic network that is never trained with it.

    The semantic network is frozen and stays in evaluation mode whatever `train()` says: with moving
    batch statistics the guidance would drift (docs/method.md section 4).

    Args:
        depth: a network of `depth.build_depth_network`.
        semantic: a network of `semantic.build.build_semantic_network`, or None.
        guidance: between the two; None leaves the depth network unguided.

    Raises:
        ModelError: for guidance without a semantic network.
    """

    def __init__(
        self,
        depth: nn.Module,
        semantic: SemanticNetwork | None = None,
        guidance: Guidance | None = None,
    ) -> None:
        super().__init__()
        if guidance is not None and semantic is None:
            raise ModelError('model: guidance without a semantic network')
        self.depth = depth
        self.semantic = semantic
        self.guidance = guidance
        if semantic is not None:
            semantic.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> GuidedDepth:
        """Set the mode of everything but the semantic network, which stays in evaluation mode."""
        super().train(mode)
        if self.semantic is not None:
            self.semantic.eval()
        return self

    def forward(self, image_B3HW: Tensor) -> DepthOutput:
        """Return inverse depths and logits of RGB images in [0, 1]."""
        if self.semantic is None:
            return DepthOutput(self.depth(image_B3HW), None)
        # Under export nothing is differentiated, and a change of grad mode would split the graph.
        exporting = torch.compiler.is_exporting()
        with contextlib.nullcontext() if exporting else torch.no_grad():
            logits, features = self.semantic(image_B3HW)
        guide = None if self.guidance is None else self.guidance.bind(features)
        return DepthOutput(self.depth(image_B3HW, guide), logits)


def build_model(config: ModelConfig) -> GuidedDepth:
    """Return the untrained model of a configuration.

    Guidance starts neutral: the model computes what its depth network alone would.

    Raises:
        SemdepthError: when a network refuses its options.
    """
    depth = build_depth_network(config.depth, **config.depth_options)
    if config.semantic is None:
        return GuidedDepth(depth)
    semantic = build_semantic_network(config.semantic, **config.semantic_options)
    if config.guidance is None:
        return GuidedDepth(depth, semantic)
    guidance = Guidance(
        depth.guided_channels,
        semantic.feature_channels,
        channels=config.guidance.channels,
        kernel_size=config.guidance.kernel_size,
        fixed_kernel=config.guidance.fixed_kernel,
    )
    return GuidedDepth(depth, semantic, guidance)


class ImageToPrediction(nn.Module):
    """What engines run: uint8 images in, what `engines.Prediction` holds out.

    Arithmetic is in the model's own precision; inverse depth leaves in float32.
    """

    def __init__(self, model: GuidedDepth) -> None:
        super().__init__()
        self.model = model

    def forward(self, image_BHW3: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return inverse depth, labels and confidence of uint8 RGB images.

        Returns:
            inv_depth (B, H, W) float32, at least 1e-6; label (B, H, W) uint8, a Cityscapes train
            id; confidence (B, H, W) uint8, its probability times 255. Without a semantic network
            labels are 255 and confidence is 0.
        """
        # Cast first: TensorRT takes uint8 at its inputs, but not in a transposition.
        image = image_BHW3.to(torch.float32).permute(0, 3, 1, 2) / 255
        inv_depths, logits = self.model(image.to(next(self.model.parameters()).dtype))
        inv_depth = inv_depths[0][:, 0].to(torch.float32).clamp(min=MIN_INV_DEPTH)
        if logits is None:
            # Computed, not constant: TensorRT has no constants of uint8.
            zero = inv_depth.clamp(max=0)
            return inv_depth, (zero + UNLABELLED).to(torch.uint8), zero.to(torch.uint8)
        logits = logits.to(torch.float32)
        best, label = logits.max(1, keepdim=True)
        # The greatest probability is exp(best) / sum(exp(logits)): one exponential per logit.
        confidence = 255 / torch.exp(logits - best).sum(1)
        # By way of float32, because TensorRT has no cast between its integers and uint8.
        label = label[:, 0].to(torch.float32).to(torch.uint8)
        return inv_depth, label, (confidence + 0.5).to(torch.uint8)

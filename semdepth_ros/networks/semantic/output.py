"""What every semantic network is: 19 Cityscapes logits and features that can guide."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from semdepth_ros.errors import SemdepthError


class SemanticError(SemdepthError):
    """A semantic network that cannot be had, or an image that it cannot take."""


class SemanticOutput(NamedTuple):
    """The answer of a semantic network.

    Attributes:
        logits: (B, 19, H, W) at the image's size, in the order of the Cityscapes train ids.
        features: stride -> (B, C, ceil(H / stride), ceil(W / stride)).
    """

    logits: Tensor
    features: dict[int, Tensor]


class SemanticNetwork(nn.Module):
    """Base of the semantic networks: forward(image_B3HW in [0, 1]) -> SemanticOutput.

    Attributes:
        feature_channels: stride -> channels of that feature.
    """

    feature_channels: dict[int, int]

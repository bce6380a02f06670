"""Packing and unpacking: 3-D convolutions in place of pooling and upsampling (PackNet, section 4).

`fused=False` runs the layers as published. `fused=True` computes the same by cheaper means (see
docs/fusion.md); parameters and their names are the same either way.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semdepth_ros.networks.composition import ComposedPacking, apply_composed, compose
from semdepth_ros.networks.layers import ConvNormElu


class Packing(nn.Module):
    """Halve the size without loss: space-to-depth, Conv3d over channels, convolution."""

    def __init__(
        self, channels: int, kernel_size: int, features: int, compose_always: bool
    ) -> None:
        """Build with random weights.

        Args:
            channels: of input and output.
            kernel_size: of the 2-D convolution.
            features: 3-D features, d.
            compose_always: compose the two maps anew in every forward, so that training profits.
                Worth it where images are large and channels few. Without it the layers run one
                after the other until `fuse`.
        """
        super().__init__()
        self.conv = ConvNormElu(4 * channels * features, channels, kernel_size)
        self.conv3d = nn.Conv3d(1, features, 3, padding=1)
        self.compose_always = compose_always
        self.fused = False

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H / 2, W / 2) for x of shape (B, C, H, W)."""
        x = F.pixel_unshuffle(x, 2)
        if self.fused or self.compose_always:
            composed = self._composed() if self.fused else self._compose()
            return self.conv.activate(apply_composed(x, composed))
        return self.conv(self.conv3d(x.unsqueeze(1)).flatten(1, 2))

    def fuse(self) -> None:
        """Compose once and keep the result, until weights are loaded or training goes on."""
        with torch.no_grad():
            for name, tensor in self._compose()._asdict().items():
                self.register_buffer(f'composed_{name}', tensor.detach().clone(), persistent=False)
        self.fused = True

    def unfuse(self) -> None:
        """Forget what `fuse` composed."""
        if self.fused:
            self.fused = False
            for name in ComposedPacking._fields:
                delattr(self, f'composed_{name}')

    def train(self, mode: bool = True) -> Packing:
        """Switch between training and evaluation; training forgets what `fuse` composed."""
        if mode:
            self.unfuse()
        return super().train(mode)

    def _compose(self) -> ComposedPacking:
        convolution = self.conv.conv_base
        assert convolution.bias is not None and self.conv3d.bias is not None
        return compose(self.conv3d.weight, self.conv3d.bias, convolution.weight, convolution.bias)

    def _composed(self) -> ComposedPacking:
        return ComposedPacking(*(getattr(self, f'composed_{n}') for n in ComposedPacking._fields))

    def _load_from_state_dict(self, *arguments, **keywords) -> None:
        self.unfuse()
        super()._load_from_state_dict(*arguments, **keywords)


class Unpacking(nn.Module):
    """Double the size: convolution, Conv3d over channels, depth-to-space."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, features: int, fused: bool
    ) -> None:
        """Build with random weights.

        Args:
            in_channels: of the input.
            out_channels: of the output.
            kernel_size: of the 2-D convolution.
            features: 3-D features, d.
            fused: run the Conv3d as a 2-D convolution over three neighbouring channels.
        """
        super().__init__()
        self.conv = ConvNormElu(in_channels, 4 * out_channels // features, kernel_size)
        self.conv3d = nn.Conv3d(1, features, 3, padding=1)
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, 2 H, 2 W) for x of shape (B, in_channels, H, W)."""
        x = self.conv(x)
        if not self.fused:
            return F.pixel_shuffle(self.conv3d(x.unsqueeze(1)).flatten(1, 2), 2)
        channels = x.shape[1]
        padded = F.pad(x, (0, 0, 0, 0, 1, 1))
        neighbours = torch.stack([padded[:, i : i + channels] for i in range(3)], 2)
        weight, bias = self.conv3d.weight.squeeze(1), self.conv3d.bias
        features = F.conv2d(neighbours.flatten(0, 1), weight, bias, padding=1)
        features = features.unflatten(0, (-1, channels)).transpose(1, 2)
        return F.pixel_shuffle(features.flatten(1, 2), 2)

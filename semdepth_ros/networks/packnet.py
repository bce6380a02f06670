"""PackNet 1A and its slim variant (V. Guizilini et al., CVPR 2020; docs/method.md section 2).

Parameters carry the names of the official checkpoints (what follows `model.depth_net.`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semdepth_ros.networks.layers import (
    ConvNormElu,
    Guide,
    InvDepthHead,
    InvDepths,
    ResidualConv,
    check_multiple_of_32,
    upsample,
)
from semdepth_ros.networks.packing import Packing, Unpacking

MIN_DEPTH = 0.5
SLIM_CHANNELS = (32, 64, 128, 256, 512)
SLIM_FEATURES = 4


class PackNet(nn.Module):
    """Depth network whose strides are packings; skips are taken after them and concatenated.

    Attributes:
        guided_channels: channels of what flows into the guided decoder stages, by stride.
    """

    def __init__(
        self,
        channels: tuple[int, int, int, int, int] = (64, 64, 128, 256, 512),
        features: int = 8,
        dropout: float = 0.0,
        fused: bool = True,
    ) -> None:
        """Build with random weights.

        Args:
            channels: of the encoder's five stages, each a multiple of 16; the slim variant has
                `SLIM_CHANNELS`.
            features: 3-D features of packings and unpackings; the slim variant has `SLIM_FEATURES`.
            dropout: probability of dropping a channel in the residual shortcuts.
            fused: compute packings and unpackings by the exact, cheaper forms of docs/fusion.md;
                False runs every layer as published. Parameters are the same.
        """
        super().__init__()
        n1, n2, n3, n4, n5 = channels
        self.fused = fused

        def residuals(in_channels: int, out_channels: int, count: int) -> nn.Sequential:
            inputs = [in_channels] + [out_channels] * (count - 1)
            return nn.Sequential(*(ResidualConv(n, out_channels, dropout) for n in inputs))

        self.pre_calc = ConvNormElu(3, n1, 5)
        self.conv1 = ConvNormElu(n1, n1, 7)
        self.conv2 = residuals(n1, n2, 2)
        self.conv3 = residuals(n2, n3, 2)
        self.conv4 = residuals(n3, n4, 3)
        self.conv5 = residuals(n4, n5, 3)

        # In packings 4 and 5 composing in every step costs more than it saves.
        self.pack1 = Packing(n1, 5, features, compose_always=fused)
        self.pack2 = Packing(n2, 3, features, compose_always=fused)
        self.pack3 = Packing(n3, 3, features, compose_always=fused)
        self.pack4 = Packing(n4, 3, features, compose_always=False)
        self.pack5 = Packing(n5, 3, features, compose_always=False)

        self.unpack5 = Unpacking(n5, n5, 3, features, fused)
        self.unpack4 = Unpacking(n5, n4, 3, features, fused)
        self.unpack3 = Unpacking(n4, n3, 3, features, fused)
        self.unpack2 = Unpacking(n3, n2, 3, features, fused)
        self.unpack1 = Unpacking(n2, n1, 3, features, fused)
        self.guided_channels = {16: n5, 8: n4, 4: n3, 2: n2}

        # Unpacked features and skip; from the third on, the upsampled inverse depth too.
        self.iconv5 = ConvNormElu(n5 + n4, n5, 3)
        self.iconv4 = ConvNormElu(n4 + n3, n4, 3)
        self.iconv3 = ConvNormElu(n3 + n2 + 1, n3, 3)
        self.iconv2 = ConvNormElu(n2 + n1 + 1, n2, 3)
        self.iconv1 = ConvNormElu(n1 + n1 + 1, n1, 3)

        self.disp4_layer = InvDepthHead(n4, MIN_DEPTH)
        self.disp3_layer = InvDepthHead(n3, MIN_DEPTH)
        self.disp2_layer = InvDepthHead(n2, MIN_DEPTH)
        self.disp1_layer = InvDepthHead(n1, MIN_DEPTH)
        self.apply(_initialize)

    def forward(self, image_B3HW: Tensor, guide: Guide | None = None) -> InvDepths:
        """Return inverse depth, B1HW, at 1, 1/2, 1/4 and 1/8 of the image's size.

        Args:
            image_B3HW: RGB in [0, 1], both sides multiples of 32.
            guide: called as `guide(stride, features)` on what comes out of the unpackings at
                strides 16, 8, 4 and 2; returns features of the same shape.

        Raises:
            ImageSizeError: when a side is no multiple of 32.
        """
        check_multiple_of_32(image_B3HW)
        skip1 = self.pre_calc(image_B3HW)
        skip2 = self.pack1(self.conv1(skip1))
        skip3 = self.pack2(self.conv2(skip2))
        skip4 = self.pack3(self.conv3(skip3))
        skip5 = self.pack4(self.conv4(skip4))
        x = self.pack5(self.conv5(skip5))

        x = _guided(guide, 16, self.unpack5(x))
        x = self.iconv5(torch.cat((x, skip5), 1))

        x = _guided(guide, 8, self.unpack4(x))
        x = self.iconv4(torch.cat((x, skip4), 1))
        inv_depth4 = self.disp4_layer(x)

        x = _guided(guide, 4, self.unpack3(x))
        x = self.iconv3(torch.cat((x, skip3, upsample(inv_depth4)), 1))
        inv_depth3 = self.disp3_layer(x)

        x = _guided(guide, 2, self.unpack2(x))
        x = self.iconv2(torch.cat((x, skip2, upsample(inv_depth3)), 1))
        inv_depth2 = self.disp2_layer(x)

        x = self.iconv1(torch.cat((self.unpack1(x), skip1, upsample(inv_depth2)), 1))
        inv_depth1 = self.disp1_layer(x)
        return inv_depth1, inv_depth2, inv_depth3, inv_depth4

    def fuse(self) -> PackNet:
        """Compose all packings once, for inference and export; return the network itself.

        The state dict keeps its names and values. Loading weights or `train()` undoes it.
        """
        for packing in (self.pack1, self.pack2, self.pack3, self.pack4, self.pack5):
            packing.fuse()
        return self


def _guided(guide: Guide | None, stride: int, features: Tensor) -> Tensor:
    return features if guide is None else guide(stride, features)


def _initialize(module: nn.Module) -> None:
    """Draw Xavier-uniform weights and set biases to zero, as published."""
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

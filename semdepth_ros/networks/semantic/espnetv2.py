"""ESPNetv2 for segmentation (S. Mehta et al., CVPR 2019), as its Cityscapes weights want it."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from semdepth_ros.classes import CLASS_NAMES
from semdepth_ros.networks.imagenet import Normalize, load_strictly, read_state
from semdepth_ros.networks.semantic.espnetv2_parts import (
    ConvBnAct,
    DownSampler,
    Eesp,
    GatedLink,
    PyramidPooling,
    halve,
    resize,
)
from semdepth_ros.networks.semantic.output import (
    SemanticError,
    SemanticNetwork,
    SemanticOutput,
)

#: Channels of encoder levels 1 to 4 by the scale s.
ENCODER_CHANNELS = {
    0.5: (16, 32, 64, 128),
    1.0: (32, 64, 128, 256),
    1.5: (32, 96, 192, 384),
    2.0: (32, 128, 256, 512),
}
#: Outputs of the four decoder levels; the last are 19 classes and a background never trained.
DECODER_CHANNELS = (64, 48, 32, 20)
#: Height and width must be multiples of it, or encoder and decoder maps do not fit together.
MULTIPLE = 16


class Encoder(nn.Module):
    """Four levels that halve the size one after the other."""

    def __init__(self, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        c1, c2, c3, c4 = channels
        self.level1 = ConvBnAct(3, c1, 3, stride=2)
        self.level2_0 = DownSampler(c1, c2, field_limit=13)
        self.level3_0 = DownSampler(c2, c3, field_limit=11)
        self.level3 = nn.ModuleList(Eesp(c3, c3, field_limit=9) for _ in range(3))
        self.level4_0 = DownSampler(c3, c4, field_limit=9)
        self.level4 = nn.ModuleList(Eesp(c4, c4, field_limit=7) for _ in range(7))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the levels' maps at 1/2, 1/4, 1/8 and 1/16 of the normalised image."""
        quarter = halve(halve(image))
        eighth = halve(quarter)
        level1 = self.level1(image)
        level2 = self.level2_0(level1, quarter)
        level3 = self.level3_0(level2, eighth)
        for unit in self.level3:
            level3 = unit(level3)
        level4 = self.level4_0(level3, halve(eighth))
        for unit in self.level4:
            level4 = unit(level4)
        return level1, level2, level3, level4


class EspNetV2(SemanticNetwork):
    """ESPNetv2: encoder of EESP units, decoder with pyramid pooling and gated links.

    The features are the outputs of decoder levels 1 to 3 (strides 16, 8, 4) and the map that the
    last level classifies (stride 2).

    Args:
        scale: width of the encoder, one of 0.5, 1.0, 1.5, 2.0.

    Raises:
        SemanticError: for another scale; from `forward` for an image whose height or width is no
            multiple of 16.
    """

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        if scale not in ENCODER_CHANNELS:
            known = ', '.join(map(str, ENCODER_CHANNELS))
            raise SemanticError(f'ESPNetv2: scale is {scale!r}, expected one of {known}')
        c1, c2, c3, c4 = ENCODER_CHANNELS[scale]
        d1, d2, d3, d4 = DECODER_CHANNELS
        self.scale = scale
        self.feature_channels = {16: d1, 8: d2, 4: d3, 2: d3}
        self.normalize = Normalize()
        self.base_net = Encoder((c1, c2, c3, c4))
        self.bu_dec_l1 = PyramidPooling(c4, d1)
        self.bu_dec_l2 = PyramidPooling(d1, d2)
        self.bu_dec_l3 = PyramidPooling(d2, d3)
        self.bu_dec_l4 = PyramidPooling(d3, d4, last=True)
        self.merge_enc_dec_l2 = GatedLink(c3, d1)
        self.merge_enc_dec_l3 = GatedLink(c2, d2)
        self.merge_enc_dec_l4 = GatedLink(c1, d3)
        self.bu_br_l2 = nn.Sequential(nn.BatchNorm2d(d1), nn.PReLU(d1))
        self.bu_br_l3 = nn.Sequential(nn.BatchNorm2d(d2), nn.PReLU(d2))
        self.bu_br_l4 = nn.Sequential(nn.BatchNorm2d(d3), nn.PReLU(d3))

    def forward(self, image_B3HW: Tensor) -> SemanticOutput:
        """Return logits of the 19 classes at the image's size, and features by stride."""
        height, width = image_B3HW.shape[-2:]
        if height % MULTIPLE or width % MULTIPLE:
            raise SemanticError(
                f'ESPNetv2: the image is {width}x{height}, expected multiples of {MULTIPLE}'
            )
        level1, level2, level3, level4 = self.base_net(self.normalize(image_B3HW))
        decoded1 = self.bu_dec_l1(level4)
        link = self.merge_enc_dec_l2(level3)
        decoded2 = self.bu_dec_l2(self.bu_br_l2(link + resize(decoded1, link.shape[-2:])))
        link = self.merge_enc_dec_l3(level2)
        decoded3 = self.bu_dec_l3(self.bu_br_l3(link + resize(decoded2, link.shape[-2:])))
        link = self.merge_enc_dec_l4(level1)
        merged4 = self.bu_br_l4(link + resize(decoded3, link.shape[-2:]))
        # The 20th class was never taught as an answer.
        logits = self.bu_dec_l4(merged4)[:, : len(CLASS_NAMES)]
        features = {16: decoded1, 8: decoded2, 4: decoded3, 2: merged4}
        return SemanticOutput(resize(logits, (height, width)), features)


def load_espnetv2(source: str | os.PathLike) -> EspNetV2:
    """Return the network of a Cityscapes checkpoint (.pth or .safetensors), its scale found in it.

    Raises:
        SemdepthError: when the file cannot be read, holds more than tensors, or is of another
            network.
    """
    state = read_state(Path(source))
    widest = state.get('bu_dec_l1.projection_layer.cbr.0.weight', torch.empty(0, 0)).shape[1]
    scales = {channels[3]: scale for scale, channels in ENCODER_CHANNELS.items()}
    if widest not in scales:
        raise SemanticError(f'{source}: no ESPNetv2 segmentation checkpoint, expected 526 tensors')
    network = EspNetV2(scales[widest])
    load_strictly(network, state, classifier=())
    return network.eval()

"""The depth networks by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

from semdepth_ros.errors import SemdepthError
from semdepth_ros.networks.efficientnet import EfficientNetLite0
from semdepth_ros.networks.encoder_decoder import DECODER_CHANNELS, EncoderDecoder
from semdepth_ros.networks.packnet import SLIM_CHANNELS, SLIM_FEATURES, PackNet
from semdepth_ros.networks.resnet import ResNet

DepthNetwork = PackNet | EncoderDecoder


class DepthNetworkError(SemdepthError):
    """A depth network that does not exist or does not take an option."""


def _packnet(dropout: float = 0.0, fused: bool = True) -> PackNet:
    return PackNet(dropout=dropout, fused=fused)


def _packnet_slim(dropout: float = 0.0, fused: bool = True) -> PackNet:
    return PackNet(SLIM_CHANNELS, SLIM_FEATURES, dropout, fused)


def _resnet18(decoder_channels: Sequence[int] = DECODER_CHANNELS) -> EncoderDecoder:
    return EncoderDecoder(ResNet(18), decoder_channels)


def _resnet50(decoder_channels: Sequence[int] = DECODER_CHANNELS) -> EncoderDecoder:
    return EncoderDecoder(ResNet(50), decoder_channels)


def _efficientnet_lite0(decoder_channels: Sequence[int] = DECODER_CHANNELS) -> EncoderDecoder:
    return EncoderDecoder(EfficientNetLite0(), decoder_channels)


#: Name to builder; its arguments are the options of that network.
DEPTH_NETWORKS: dict[str, Callable[..., DepthNetwork]] = {
    'packnet': _packnet,
    'packnet_slim': _packnet_slim,
    'resnet18': _resnet18,
    'resnet50': _resnet50,
    'efficientnet_lite0': _efficientnet_lite0,
}


def build_depth_network(name: str, **options: object) -> DepthNetwork:
    """Return a depth network with random weights; all answer alike (docs/design.md).

    Args:
        name: `packnet` (1A, 128.3 M parameters), `packnet_slim` (77.0 M), `resnet18`, `resnet50` or
            `efficientnet_lite0`.
        options: of the PackNets `dropout` (0) in residual shortcuts, `fused` (True; False runs all
            layers as published); of the others `decoder_channels` at strides 1, 2, 4, 8 and 16.

    Raises:
        DepthNetworkError: for an unknown name or option.
        EncoderDecoderError: for decoder channels that make no sense.
    """
    builder = DEPTH_NETWORKS.get(name)
    if builder is None:
        raise DepthNetworkError(
            f'depth network is {name!r}, expected one of {", ".join(DEPTH_NETWORKS)}'
        )
    known = list(inspect.signature(builder).parameters)
    unknown = sorted(options.keys() - set(known))
    if unknown:
        raise DepthNetworkError(
            f'depth network {name} has no option {unknown[0]!r}, expected {" or ".join(known)}'
        )
    return builder(**options)

"""Semantic networks by name; every name stands here, none is looked up from a string."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from semdepth_ros.networks.efficientnet import EfficientNetLite0
from semdepth_ros.networks.imagenet import load_strictly, read_state
from semdepth_ros.networks.resnet import ResNet
from semdepth_ros.networks.semantic.espnetv2 import EspNetV2, load_espnetv2
from semdepth_ros.networks.semantic.fpn import Fpn
from semdepth_ros.networks.semantic.output import SemanticError, SemanticNetwork
from semdepth_ros.networks.semantic.transformers_network import TransformersSegmentation


def _fpn_resnet18(channels: int = 256, head_channels: int = 128) -> SemanticNetwork:
    return Fpn(ResNet(18), channels, head_channels)


def _fpn_resnet50(channels: int = 256, head_channels: int = 128) -> SemanticNetwork:
    return Fpn(ResNet(50), channels, head_channels)


def _fpn_efficientnet_lite0(channels: int = 256, head_channels: int = 128) -> SemanticNetwork:
    return Fpn(EfficientNetLite0(), channels, head_channels)


#: name -> what builds it from its options.
SEMANTIC_NETWORKS: dict[str, Callable[..., SemanticNetwork]] = {
    'espnetv2': EspNetV2,
    'fpn_resnet18': _fpn_resnet18,
    'fpn_resnet50': _fpn_resnet50,
    'fpn_efficientnet_lite0': _fpn_efficientnet_lite0,
    'transformers': TransformersSegmentation,
}


def build_semantic_network(name: str, **options: Any) -> SemanticNetwork:
    """Return an untrained semantic network.

    Args:
        name: espnetv2 (option scale), fpn_resnet18, fpn_resnet50 or fpn_efficientnet_lite0
            (options channels, head_channels), transformers (options config, mean, std).
        options: arguments of the network.

    Raises:
        SemanticError: for an unknown name or option, or a value that the network refuses.
    """
    if name not in SEMANTIC_NETWORKS:
        known = ', '.join(SEMANTIC_NETWORKS)
        raise SemanticError(f'semantic network {name!r} is unknown, expected one of {known}')
    try:
        return SEMANTIC_NETWORKS[name](**options)
    except TypeError as error:
        raise SemanticError(f'semantic network {name}: {error}') from error


def load_semantic_network(
    name: str, source: str | os.PathLike, **options: Any
) -> tuple[SemanticNetwork, dict]:
    """Return a pretrained semantic network and the options that build it again.

    Args:
        name: as for `build_semantic_network`.
        source: for espnetv2 a Cityscapes checkpoint; for transformers a name on the model hub or a
            folder; for the others a state dict (.pth or .safetensors).
        options: of the others, where they are not those that the source tells (the widths).

    Raises:
        SemdepthError: when the name is unknown, or the source cannot be read or does not fit.
    """
    if name == 'espnetv2':
        espnetv2 = load_espnetv2(source)
        return espnetv2, {'scale': espnetv2.scale}
    if name == 'transformers':
        pretrained = TransformersSegmentation.from_pretrained(source)
        return pretrained, pretrained.options
    state = read_state(Path(source))
    for option, tensor in (('channels', 'smooth.0.weight'), ('head_channels', 'head.0.0.weight')):
        if tensor in state and state[tensor].ndim:
            options.setdefault(option, state[tensor].shape[0])
    network = build_semantic_network(name, **options)
    load_strictly(network, state, classifier=())
    return network.eval(), options

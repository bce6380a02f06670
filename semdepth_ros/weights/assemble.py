"""A model put together from parts that come separately."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from semdepth_ros.networks.model import GuidanceConfig, GuidedDepth, ModelConfig, build_model
from semdepth_ros.networks.semantic.build import load_semantic_network
from semdepth_ros.networks.semantic.output import SemanticNetwork
from semdepth_ros.weights.card import WeightsError

#: Source of the semantic network that the default weights hold.
SHIPPED = 'shipped'


def assemble_model(
    depth: str,
    depth_options: Mapping[str, Any] | None = None,
    *,
    semantic: str | None = None,
    semantic_source: str | os.PathLike[str] | None = None,
    semantic_options: Mapping[str, Any] | None = None,
    guidance: GuidanceConfig | None = None,
    seed: int = 0,
) -> tuple[GuidedDepth, ModelConfig]:
    """Return a model with untrained depth network and guidance, and its configuration.

    Args:
        depth: name of the depth network.
        depth_options: its options.
        semantic: name of the semantic network, None for none.
        semantic_source: what it is loaded from, see `load_semantic_network`; 'shipped' takes it
            from the default weights; None for random weights.
        semantic_options: its options; ESPNetv2 checkpoints, transformers and the default weights
            know their own.
        guidance: None for an unguided depth network.
        seed: of the random weights.

    Raises:
        SemdepthError: when a name, an option or the source does not fit.
    """
    options = dict(semantic_options or {})
    pretrained = None
    if semantic is not None and semantic_source is not None:
        if str(semantic_source) == SHIPPED:
            pretrained, options = _shipped(semantic)
        else:
            pretrained, options = load_semantic_network(semantic, semantic_source, **options)
    config = ModelConfig(depth, dict(depth_options or {}), semantic, options, guidance)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(config)
    if pretrained is not None and model.semantic is not None:
        model.semantic.load_state_dict(pretrained.state_dict())
    return model.eval(), config


def _shipped(semantic: str) -> tuple[SemanticNetwork, dict[str, Any]]:
    # Here, because the default weights are made by this module while there are none.
    from semdepth_ros.weights.default import default_weights
    from semdepth_ros.weights.files import load

    path = default_weights()
    if path is None:
        raise WeightsError('no default weights are installed to take the semantic network from')
    given = load(path)
    if given.model.semantic is None or given.card.model.semantic != semantic:
        raise WeightsError(
            f'the default weights hold the semantic network {given.card.model.semantic}, '
            f'not {semantic}'
        )
    return given.model.semantic, dict(given.card.model.semantic_options)

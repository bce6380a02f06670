"""From a configuration to the networks and losses of one stage."""

from __future__ import annotations

import math

import torch

from semdepth_ros.errors import SemdepthError
from semdepth_ros.networks.encoder_decoder import EncoderDecoder
from semdepth_ros.networks.model import ModelConfig
from semdepth_ros.networks.pose import PoseNet
from semdepth_ros.weights import load
from semdepth_ros.weights.assemble import assemble_model
from semdepth_ros.weights.default import named_weights
from semdepth_training.config import TrainConfig
from semdepth_training.metric_start import start_metric
from semdepth_training.objective import Objective


class BuildError(SemdepthError):
    """Networks that cannot start from the weights they are given."""


def build_objective(
    config: TrainConfig, focal_length: float, distance: float
) -> tuple[Objective, ModelConfig]:
    """Return the networks as they start, and the configuration that builds them again.

    Args:
        config: of the training; `seed` decides every random weight.
        focal_length: see `Objective`.
        distance: mean distance between the frames of a triplet, metres; NaN where unknown.

    Raises:
        SemdepthError: when pretrained weights cannot be read or do not fit.
    """
    wanted = config.model
    model, model_config = assemble_model(
        wanted.depth,
        wanted.depth_options,
        semantic=wanted.semantic,
        semantic_source=config.pretrained.semantic or None,
        semantic_options=wanted.semantic_options,
        guidance=wanted.guidance,
        seed=config.seed,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        pose_network = PoseNet()
    if config.metric_start and config.loss.velocity > 0 and math.isfinite(distance):
        start_metric(model.depth, pose_network, distance)
    if config.pretrained.encoder:
        if not isinstance(model.depth, EncoderDecoder):
            raise BuildError(
                f'pretrained.encoder is {config.pretrained.encoder!r}, but {wanted.depth} has no '
                'ImageNet encoder'
            )
        source = config.pretrained.encoder
        model.depth.load_imagenet(None if source == 'package' else source)
    if config.pretrained.weights:
        given = load(named_weights(config.pretrained.weights))
        theirs, ours = given.card.model, model_config
        if config.pretrained.parts == 'depth':
            # Two unguided networks remain to be compared.
            theirs, ours = (ModelConfig(m.depth, m.depth_options) for m in (theirs, ours))
        if theirs != ours:
            raise BuildError(
                f'pretrained.weights {config.pretrained.weights} holds {theirs.depth} '
                f'with other settings, expected those of this configuration ({wanted.depth})'
            )
        if config.pretrained.parts == 'depth':
            model.depth.load_state_dict(given.model.depth.state_dict())
        else:
            model = given.model
        pose_network = given.pose or pose_network
    objective = Objective(model, pose_network, config.loss, focal_length, config.freeze_batch_norm)
    return objective, model_config

"""Weights with a card: one safetensors file from the trainer to the robot."""

from semdepth_ros.weights.card import WeightsCard, WeightsError
from semdepth_ros.weights.default import default_weights, load_or_untrained, untrained_model
from semdepth_ros.weights.files import LoadedWeights, load, read_card, save

__all__ = [
    'LoadedWeights',
    'WeightsCard',
    'WeightsError',
    'default_weights',
    'load',
    'load_or_untrained',
    'read_card',
    'save',
    'untrained_model',
]

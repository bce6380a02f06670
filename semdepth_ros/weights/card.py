"""The card of a weights file: what the numbers are, and what they may be trusted with."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from semdepth_ros.classes import CLASS_NAMES
from semdepth_ros.errors import SemdepthError
from semdepth_ros.networks.model_config import ModelConfig, ModelError, check_keys

FORMAT_VERSION = 1
SCALES = ('metric', 'up_to_scale')
#: Width and height of a network's input are multiples of it.
SIZE_MULTIPLE = 32
_MAX_SIDE = 8192
#: A card of this many characters is no card; one with an embedded network has a few thousand.
_MAX_LENGTH = 1 << 20


class WeightsError(SemdepthError):
    """A weights file, or its card, that cannot be read, written or used."""


@dataclasses.dataclass(frozen=True)
class WeightsCard:
    """What stands beside the tensors of a weights file. Nothing in it is ever opened.

    Attributes:
        model: the networks and their options.
        width: of the network's input, pixels; a multiple of 32.
        height: of the network's input, pixels; a multiple of 32.
        scale: 'metric' if inverse depth is in 1/m, 'up_to_scale' if its unit is unknown.
        focal_length: fx of the training camera in pixels of the network's input.
        trained: False for random weights, with which depth means nothing.
        camera_height: of the training camera above the ground, metres, if known.
        licence: of the weights, with what follows from the training data.
        provenance: data, seed, code version and the like, as text.
        metrics: measured figures by name.
        classes: names by Cityscapes train id; always those of `classes.CLASS_NAMES`.
        has_pose: whether the file holds the pose network; set when it is saved.
        format_version: of card and file.

    Raises:
        WeightsError: when it is made with impossible values, naming the key.
    """

    model: ModelConfig
    width: int
    height: int
    scale: str
    focal_length: float
    trained: bool
    camera_height: float | None = None
    licence: str = 'unknown'
    provenance: Mapping[str, str] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    classes: tuple[str, ...] = CLASS_NAMES
    has_pose: bool = False
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION or isinstance(self.format_version, bool):
            raise WeightsError(
                f'weights card: format_version is {self.format_version!r}, expected '
                f'{FORMAT_VERSION}: a newer semdepth_ros may read it'
            )
        if not isinstance(self.model, ModelConfig):
            raise WeightsError(f'weights card: model is {self.model!r}, expected a ModelConfig')
        for name in ('width', 'height'):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or value % SIZE_MULTIPLE or not 0 < value <= _MAX_SIDE:
                raise WeightsError(
                    f'weights card: {name} is {value!r}, expected a multiple of {SIZE_MULTIPLE} '
                    f'up to {_MAX_SIDE}'
                )
        if self.scale not in SCALES:
            raise WeightsError(
                f'weights card: scale is {self.scale!r}, expected one of {", ".join(SCALES)}'
            )
        if not _is_number(self.focal_length) or not self.focal_length > 0:
            raise WeightsError(
                f'weights card: focal_length is {self.focal_length!r}, expected pixels above 0'
            )
        height = self.camera_height
        if height is not None and not (_is_number(height) and 0 < height < 1000):
            raise WeightsError(
                f'weights card: camera_height is {height!r}, expected metres above 0 or null'
            )
        for name in ('trained', 'has_pose'):
            if not isinstance(getattr(self, name), bool):
                raise WeightsError(
                    f'weights card: {name} is {getattr(self, name)!r}, expected true or false'
                )
        if self.classes != CLASS_NAMES:
            raise WeightsError(
                f'weights card: classes are {str(self.classes)[:80]}, expected the '
                f'{len(CLASS_NAMES)} of Cityscapes in the order of their train ids'
            )
        if not isinstance(self.licence, str):
            raise WeightsError(f'weights card: licence is {self.licence!r}, expected text')
        for name, value in _items('provenance', self.provenance):
            if not isinstance(value, str):
                raise WeightsError(
                    f'weights card: provenance: {name!r} is {value!r}, expected text'
                )
        for name, value in _items('metrics', self.metrics):
            if not _is_number(value):
                raise WeightsError(
                    f'weights card: metrics: {name!r} is {value!r}, expected a number'
                )

    def to_json(self) -> str:
        """Return the card as the text that stands in the file."""
        content = dataclasses.asdict(self) | {'model': self.model.to_json()}
        return json.dumps(content, indent=1)

    @classmethod
    def from_json(cls, text: str) -> WeightsCard:
        """Return the card that `to_json` wrote.

        Raises:
            WeightsError: for anything else, in one sentence.
        """
        if len(text) > _MAX_LENGTH:
            raise WeightsError(f'weights card: {len(text)} characters, expected {_MAX_LENGTH}')
        try:
            content = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise WeightsError(f'weights card: is no JSON ({error})') from error
        version = content.get('format_version') if isinstance(content, dict) else None
        if version != FORMAT_VERSION:
            # Before the keys: a newer version may well have others.
            raise WeightsError(
                f'weights card: format_version is {version!r}, expected {FORMAT_VERSION}'
            )
        try:
            values = dict(check_keys('weights card', content, cls))
            values['model'] = ModelConfig.from_json(values['model'])
        except ModelError as error:
            raise WeightsError(str(error)) from error
        if isinstance(values.get('classes'), list):
            values['classes'] = tuple(values['classes'])
        return cls(**values)


def _items(what: str, mapping: Any) -> list[tuple[str, Any]]:
    if not isinstance(mapping, Mapping) or not all(isinstance(key, str) for key in mapping):
        raise WeightsError(f'weights card: {what} is {str(mapping)[:60]}, expected a mapping')
    return list(mapping.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refuse_constant(name: str) -> float:
    raise ValueError(f'{name} is no number')

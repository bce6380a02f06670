"""Which networks a model is made of, in a form that a weights file can carry."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from semdepth_ros.errors import SemdepthError
from semdepth_ros.networks.depth import DEPTH_NETWORKS
from semdepth_ros.networks.semantic.build import SEMANTIC_NETWORKS

#: Greatest number in the options of a network: far above use, far below what exhausts memory.
_MAX_OPTION = 4096


class ModelError(SemdepthError):
    """A model that cannot be built as described."""


@dataclasses.dataclass(frozen=True)
class GuidanceConfig:
    """How the semantic features guide the depth decoder; see `guidance.Guidance`.

    Attributes:
        channels: of a guidance feature.
        kernel_size: of the pixel-adaptive convolutions, odd.
        fixed_kernel: fix the kernel to 1, the ablation.
    """

    channels: int = 16
    kernel_size: int = 3
    fixed_kernel: bool = False

    def __post_init__(self) -> None:
        if not _is_int(self.channels) or not 1 <= self.channels <= 256:
            raise ModelError(f'guidance: channels is {self.channels!r}, expected 1 to 256')
        if self.kernel_size not in (3, 5, 7):
            raise ModelError(f'guidance: kernel_size is {self.kernel_size!r}, expected 3, 5 or 7')
        if not isinstance(self.fixed_kernel, bool):
            raise ModelError(
                f'guidance: fixed_kernel is {self.fixed_kernel!r}, expected true or false'
            )


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Names and options of the networks; nothing in it points to a file.

    Attributes:
        depth: name of the depth network, one of `depth.DEPTH_NETWORKS`.
        depth_options: arguments of its builder; numbers, texts and booleans.
        semantic: name of the semantic network, one of `build.SEMANTIC_NETWORKS`; None for none.
        semantic_options: arguments of its builder.
        guidance: how it guides; None for an unguided depth network beside it.

    Raises:
        ModelError: when it is made with something else.
    """

    depth: str
    depth_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    semantic: str | None = None
    semantic_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    guidance: GuidanceConfig | None = None

    def __post_init__(self) -> None:
        _check_name('depth', self.depth, DEPTH_NETWORKS)
        _check_options('depth_options', self.depth_options)
        if self.semantic is None:
            if self.semantic_options != {}:
                raise ModelError('model: semantic_options without a semantic network')
            if self.guidance is not None:
                raise ModelError('model: guidance without a semantic network, expected its name')
        else:
            _check_name('semantic', self.semantic, SEMANTIC_NETWORKS)
            # A configuration of transformers has rules of its own, checked where it is built.
            _check_options('semantic_options', self.semantic_options, embedded='config')
        for name in ('depth_options', 'semantic_options'):
            # As JSON has them: a configuration equals itself after a file.
            object.__setattr__(self, name, json.loads(json.dumps(getattr(self, name))))
        if not isinstance(self.guidance, GuidanceConfig | None):
            raise ModelError(f'model: guidance is {self.guidance!r}, expected its settings or null')

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes, made of JSON types alone."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, content: Any) -> ModelConfig:
        """Return the configuration that `to_json` wrote.

        Raises:
            ModelError: for anything else, naming the key.
        """
        values = dict(check_keys('model', content, cls))
        if values.get('guidance') is not None:
            guidance = check_keys('guidance', values['guidance'], GuidanceConfig)
            values['guidance'] = GuidanceConfig(**guidance)
        return cls(**values)


def check_keys(what: str, content: Any, cls: Any) -> Mapping[str, Any]:
    """Return `content` if it is a mapping with the fields of a dataclass, none unknown or missing.

    Raises:
        ModelError: naming the key.
    """
    if not isinstance(content, Mapping):
        raise ModelError(f'{what}: is {_short(content)}, expected a mapping')
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(map(str, content)) - set(fields))
    if unknown:
        raise ModelError(f'{what}: key {unknown[0]!r} is unknown, expected {", ".join(fields)}')
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in content:
            raise ModelError(f'{what}: key {name!r} is missing')
    return content


def _check_name(what: str, name: Any, known: Mapping[str, Any]) -> None:
    if not isinstance(name, str) or name not in known:
        raise ModelError(
            f'model: {what} network {_short(name)} is unknown, expected one of {", ".join(known)}'
        )


def _check_options(what: str, options: Any, embedded: str | None = None) -> None:
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise ModelError(f'model: {what} is {_short(options)}, expected names and values')
    for name, value in options.items():
        if name == embedded:
            continue
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, bool | str):
                continue
            if not isinstance(item, int | float) or not math.isfinite(item):
                raise ModelError(f'model: {what}: {name} is {_short(value)}, expected a number')
            if abs(item) > _MAX_OPTION:
                raise ModelError(
                    f'model: {what}: {name} is {_short(value)}, expected at most {_MAX_OPTION}'
                )


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + '...'

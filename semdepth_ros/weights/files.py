"""One safetensors file per model: its tensors, and its card in the header."""

from __future__ import annotations

import dataclasses
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from semdepth_ros.errors import SemdepthError
from semdepth_ros.files import atomic_path
from semdepth_ros.networks.model import GuidedDepth, build_model
from semdepth_ros.networks.pose import PoseNet
from semdepth_ros.weights.card import WeightsCard, WeightsError

CARD_KEY = 'semdepth_card'
_POSE_PREFIX = 'pose.'
#: The header lists tensors and holds the card; PackNet's has 30 kB.
_MAX_HEADER = 16 << 20
_FLOAT_TYPES = ('F32', 'F16', 'BF16')


@dataclasses.dataclass(frozen=True)
class LoadedWeights:
    """What a weights file holds, ready to run on the CPU in float32.

    Attributes:
        model: in evaluation mode.
        card: what it is.
        pose: the pose network it was trained with, in evaluation mode, if the file holds one.
        path: where it came from; None if it was made here.
        half: whether the file stores its weights in float16.
    """

    model: GuidedDepth
    card: WeightsCard
    pose: PoseNet | None = None
    path: Path | None = None
    half: bool = False


def save(
    path: str | os.PathLike[str],
    model: GuidedDepth,
    card: WeightsCard,
    pose: PoseNet | None = None,
    half: bool = False,
) -> None:
    """Write a weights file; it is whole or not there.

    Args:
        path: ends in .safetensors.
        model: as built from `card.model`.
        card: what it is; `has_pose` is set here.
        pose: the pose network, for scale by odometry.
        half: store weights of two and more dimensions in float16. Biases and the statistics of
            norms stay in float32, whose range they may need.

    Raises:
        WeightsError: when the model does not fit its card, holds NaN or infinity, or the file
            cannot be written.
    """
    path = Path(path)
    if path.suffix != '.safetensors':
        raise WeightsError(f'weights file {path}: expected a name that ends in .safetensors')
    card = dataclasses.replace(card, has_pose=pose is not None)
    tensors = {}
    for name, tensor in _state(model, pose).items():
        _check_finite(path.name, name, tensor)
        value = tensor.detach().cpu()
        if value.is_floating_point():
            value = value.to(torch.float16 if half and value.ndim > 1 else torch.float32)
            _check_finite(path.name, f'{name} in {value.dtype}', value)
        tensors[name] = value.contiguous().clone()
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    _check_shapes(path.name, shapes, _expected_shapes(card))
    try:
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, {CARD_KEY: card.to_json()})
    except (OSError, SafetensorError) as error:
        raise WeightsError(f'weights file {path}: cannot be written ({error})') from error


def load(path: str | os.PathLike[str]) -> LoadedWeights:
    """Read a weights file. Nothing in it is executed, and nothing it names is opened.

    Memory stays within what its networks need, whatever the file claims.

    Raises:
        WeightsError: in one sentence, when the file is no weights file of this package, or its
            tensors are not those of the networks that its card names.
        SemdepthError: when a network refuses the card's options.
    """
    path = Path(path)
    metadata, entries = _read_header(path)
    if CARD_KEY not in metadata:
        raise WeightsError(
            f'weights file {path.name}: has no card, expected a file of semdepth train, '
            '`semdepth weights import` or `semdepth weights assemble`'
        )
    try:
        card = WeightsCard.from_json(metadata[CARD_KEY])
        expected = _expected_shapes(card)
    except SemdepthError as error:
        raise WeightsError(f'weights file {path.name}: {error}') from error
    _check_shapes(path.name, {n: tuple(e['shape']) for n, e in entries.items()}, expected)
    # A file must not change what random numbers come next.
    with torch.random.fork_rng(devices=[]):
        model = build_model(card.model)
        pose = PoseNet() if card.has_pose else None
    try:
        with safe_open(path, framework='pt') as file, torch.no_grad():
            for name, tensor in _state(model, pose).items():
                stored = file.get_tensor(name)
                if stored.is_floating_point() != tensor.is_floating_point():
                    raise WeightsError(
                        f'weights file {path.name}: {name} is {stored.dtype}, expected numbers '
                        f'like {tensor.dtype}'
                    )
                _check_finite(path.name, name, stored)
                tensor.copy_(stored)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f'weights file {path.name}: cannot be read ({error})') from error
    half = any(entry['dtype'] == 'F16' for entry in entries.values())
    return LoadedWeights(model.eval(), card, None if pose is None else pose.eval(), path, half)


def read_card(path: str | os.PathLike[str]) -> WeightsCard:
    """Return the card of a weights file without building its networks.

    Raises:
        WeightsError: as `load`.
    """
    metadata, _ = _read_header(Path(path))
    if CARD_KEY not in metadata:
        raise WeightsError(f'weights file {Path(path).name}: has no card')
    return WeightsCard.from_json(metadata[CARD_KEY])


def _state(model: nn.Module, pose: nn.Module | None) -> dict[str, Tensor]:
    """Return the tensors of a file by name; they are those of the modules, not copies."""
    state = dict(model.state_dict())
    if pose is not None:
        state |= {f'{_POSE_PREFIX}{name}': value for name, value in pose.state_dict().items()}
    return state


def _expected_shapes(card: WeightsCard) -> dict[str, tuple[int, ...]]:
    """Return names and shapes that belong to a card, without allocating any of it."""
    try:
        with torch.device('meta'):
            pose = PoseNet() if card.has_pose else None
            state = _state(build_model(card.model), pose)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(f'model cannot be built: {reason}') from error
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _check_shapes(
    file: str,
    found: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    missing = [name for name in expected if name not in found]
    if missing:
        raise WeightsError(
            f'weights file {file}: tensor {missing[0]} is missing ({len(missing)} of '
            f'{len(expected)} are)'
        )
    extra = [name for name in found if name not in expected]
    if extra:
        raise WeightsError(
            f'weights file {file}: tensor {extra[0][:100]} does not belong to the model of its '
            f'card ({len(extra)} do not)'
        )
    for name, shape in expected.items():
        if found[name] != shape:
            raise WeightsError(
                f'weights file {file}: tensor {name} has shape {found[name]}, expected {shape}'
            )


def _check_finite(file: str, name: str, tensor: Tensor) -> None:
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        raise WeightsError(
            f'weights file {file}: tensor {name} holds NaN or infinity, expected finite numbers'
        )


def _read_header(path: Path) -> tuple[dict[str, str], dict[str, dict]]:
    """Return metadata and entries (dtype, shape, offsets) of a safetensors file.

    Read here and not by the library, so that a hostile header is bounded before it is parsed.
    """
    wrong = f'weights file {path.name}: is no safetensors file'
    try:
        with path.open('rb') as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            length = struct.unpack('<Q', start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(_MAX_HEADER, size - 8):
                raise WeightsError(wrong)
            text = file.read(length)
    except OSError as error:
        raise WeightsError(f'weights file {path}: cannot be read ({error.strerror})') from error
    try:
        header = json.loads(text)
        metadata = header.pop('__metadata__', None) or {}
        for entry in header.values():
            if entry['dtype'] not in (*_FLOAT_TYPES, 'I64') or not all(
                isinstance(side, int) for side in entry['shape']
            ):
                raise ValueError(f'dtype {entry["dtype"]}, shape {entry["shape"]}')
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError) as error:
        raise WeightsError(f'{wrong} that this package writes ({str(error)[:100]})') from error
    return metadata, header

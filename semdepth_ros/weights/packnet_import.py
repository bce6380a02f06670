"""Checkpoints of the official PackNet-SfM release (*.ckpt), read without running what they pickle.

They hold tensors under `state_dict` and, beside them, a yacs configuration object, which PyTorch's
safe unpickler refuses. An inert stand-in takes the place of that one class; everything else that is
no tensor or plain container is refused.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from semdepth_ros.networks.pose import PoseNet
from semdepth_ros.weights.card import WeightsError

DEPTH_PREFIX = 'model.depth_net.'
POSE_PREFIX = 'model.pose_net.'
#: What tells the variants apart: channels of the first convolution, features of the first packing.
_VARIANTS = {(64, 8): 'packnet', (32, 4): 'packnet_slim'}


class _InertConfig:
    """Stands for yacs.config.CfgNode, which pickles as a dictionary: it becomes a plain one."""

    def __new__(cls, *args: Any) -> Any:
        return OrderedDict()


def read_packnet_checkpoint(
    path: str | os.PathLike[str],
) -> tuple[str, dict[str, Tensor], dict[str, Tensor] | None]:
    """Return the variant and the tensors of an official checkpoint.

    Returns:
        Name of the depth network ('packnet' or 'packnet_slim'); its tensors by our names; those of
        the pose network, or None where there is none.

    Raises:
        WeightsError: in one sentence, when the file is no such checkpoint.
    """
    path = Path(path)
    content = _load_tensors_only(path)
    state = content.get('state_dict', content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise WeightsError(f'{path.name}: holds no state_dict, expected a PackNet-SfM checkpoint')
    depth = _with_prefix(state, DEPTH_PREFIX)
    pose = _with_prefix(state, POSE_PREFIX)
    first = depth.get('pre_calc.conv_base.weight', torch.empty(0))
    packing = depth.get('pack1.conv3d.weight', torch.empty(0))
    kind = (first.shape[0], packing.shape[0])
    if kind not in _VARIANTS:
        raise WeightsError(
            f'{path.name}: no PackNet among its {len(state)} tensors, expected names that begin '
            f'with {DEPTH_PREFIX}pre_calc'
        )
    return _VARIANTS[kind], depth, pose or None


def fill(network: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Copy tensors into a network; every one must be there, fit, and be finite.

    Raises:
        WeightsError: naming the tensor.
    """
    own = network.state_dict()
    for kind, names in (
        ('lacks', own.keys() - tensors.keys()),
        ('has the unknown', tensors.keys() - own.keys()),
    ):
        if names:
            raise WeightsError(
                f'{name}: {kind} tensor {min(names)} ({len(names)} such), expected the '
                f'{len(own)} of {type(network).__name__}'
            )
    with torch.no_grad():
        for key, target in own.items():
            value = tensors[key]
            if value.shape != target.shape:
                raise WeightsError(
                    f'{name}: tensor {key} has shape {tuple(value.shape)}, expected '
                    f'{tuple(target.shape)}'
                )
            if not torch.isfinite(value).all():
                raise WeightsError(
                    f'{name}: tensor {key} holds NaN or infinity, expected finite numbers'
                )
            target.copy_(value)


def pose_network(tensors: Mapping[str, Tensor], name: str) -> PoseNet:
    """Return the pose network of an official checkpoint.

    Raises:
        WeightsError: when a tensor does not fit.
    """
    network = PoseNet()
    fill(network, tensors, name)
    return network.eval()


def _with_prefix(state: Mapping[Any, Any], prefix: str) -> dict[str, Tensor]:
    return {
        str(name)[len(prefix) :]: value
        for name, value in state.items()
        if str(name).startswith(prefix) and isinstance(value, Tensor)
    }


def _load_tensors_only(path: Path) -> Any:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                # PyTorch never compresses: whoever does may want to fill the memory.
                if any(entry.compress_type for entry in archive.infolist()):
                    raise WeightsError(f'{path.name}: is compressed, expected a PyTorch checkpoint')
        with torch.serialization.safe_globals([(_InertConfig, 'yacs.config.CfgNode')]):
            return torch.load(path, map_location='cpu', weights_only=True)
    except OSError as error:
        raise WeightsError(f'{path}: cannot be read ({error.strerror})') from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f'{path.name}: holds more than tensors and settings, or is no PyTorch checkpoint; '
            'refused, because reading it could run foreign code'
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError) as error:
        raise WeightsError(f'{path.name}: is no whole PyTorch checkpoint') from error

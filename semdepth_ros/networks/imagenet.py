"""What encoders pretrained on ImageNet share: their input statistics and how their files load."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from semdepth_ros.errors import SemdepthError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class EncoderWeightsError(SemdepthError):
    """Pretrained weights that cannot be read or do not fit the encoder they are given to."""


class Normalize(nn.Module):
    """Shift and scale RGB in [0, 1] to what the encoder was pretrained on; has no saved state."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, mean: tuple[float, float, float] = MEAN, std: tuple[float, float, float] = STD
    ) -> None:
        super().__init__()
        self.register_buffer('mean', torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image_B3HW: Tensor) -> Tensor:
        """Return (image - mean) / std."""
        return (image_B3HW - self.mean) / self.std


def read_state(source: str | Path | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a state dict given as a mapping or as a `.pth` or `.safetensors` file.

    Nothing but tensors and plain containers is ever unpickled.

    Raises:
        EncoderWeightsError: when the file is missing, unreadable or no state dict.
    """
    if isinstance(source, Mapping):
        return dict(source)
    path = Path(source)
    if not path.is_file():
        raise EncoderWeightsError(f'encoder weights {path}: no such file, expected a state dict')
    try:
        if path.suffix == '.safetensors':
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location='cpu', weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EncoderWeightsError(
            f'encoder weights {path}: cannot be read as a state dict ({reason})'
        ) from error
    except Exception as error:
        if type(error).__name__ != 'SafetensorError':
            raise
        raise EncoderWeightsError(
            f'encoder weights {path}: cannot be read as safetensors ({error})'
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise EncoderWeightsError(
            f'encoder weights {path}: expected a state dict of names and tensors'
        )
    return state


def load_strictly(
    encoder: nn.Module,
    source: str | Path | Mapping[str, Tensor],
    classifier: tuple[str, ...],
) -> None:
    """Copy a pretrained state dict into an encoder; every tensor has to fit.

    Args:
        encoder: the module to fill.
        source: state dict, or the path of one.
        classifier: prefixes of the names that belong to the classifier, which an encoder lacks.

    Raises:
        EncoderWeightsError: naming the first tensor that is missing, extra, misshapen or infinite.
    """
    state = {k: v for k, v in read_state(source).items() if not k.startswith(classifier)}
    own = encoder.state_dict()
    # Files older than PyTorch 0.4.1 lack these counters, which no forward pass reads.
    counters = {k for k in own if k.endswith('num_batches_tracked')}
    name = type(encoder).__name__
    missing = sorted(own.keys() - counters - state.keys())
    extra = sorted(state.keys() - own.keys())
    for kind, names in (('lack', missing), ('have the unknown', extra)):
        if names:
            raise EncoderWeightsError(
                f'encoder weights {kind} {names[0]} ({len(names)} such tensors), '
                f'expected exactly those of {name}'
            )
    for key, value in state.items():
        if value.shape != own[key].shape:
            raise EncoderWeightsError(
                f'encoder weights: {key} has shape {tuple(value.shape)}, '
                f'expected {tuple(own[key].shape)}'
            )
        if not torch.isfinite(value).all():
            raise EncoderWeightsError(
                f'encoder weights: {key} holds NaN or Inf, expected finite numbers'
            )
    encoder.load_state_dict({k: own[k] for k in counters} | state)

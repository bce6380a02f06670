"""The weights that run when none are named."""

from __future__ import annotations

from pathlib import Path

from semdepth_ros.networks.model import GuidanceConfig
from semdepth_ros.weights.assemble import SHIPPED, assemble_model
from semdepth_ros.weights.card import WeightsCard, WeightsError
from semdepth_ros.weights.files import LoadedWeights, load

#: Architecture and input of the default weights: small enough for a CPU.
DEFAULT_DEPTH = 'efficientnet_lite0'
DEFAULT_DEPTH_OPTIONS = {'decoder_channels': [16, 24, 40, 64, 96]}
DEFAULT_SEMANTIC = 'espnetv2'
DEFAULT_SEMANTIC_OPTIONS = {'scale': 0.5}
DEFAULT_SIZE = (640, 192)
#: fx of KITTI's colour camera relative to the image's width.
_FOCAL_LENGTH_PER_WIDTH = 0.581


def default_weights() -> Path | None:
    """Return the weights file that is installed with the package; None if there is none.

    Raises:
        WeightsError: when there are several.
    """
    found = sorted(Path(__file__).parent.glob('*.safetensors'))
    if len(found) > 1:
        names = ', '.join(path.name for path in found)
        raise WeightsError(f'default weights: {names} lie in {found[0].parent}, expected one file')
    return found[0] if found else None


def named_weights(name: str) -> Path:
    """Return the path of a weights file by what a user calls it: a path, or 'shipped'.

    Raises:
        WeightsError: when nothing is shipped.
    """
    if name != SHIPPED:
        return Path(name)
    shipped = default_weights()
    if shipped is None:
        raise WeightsError(
            f"weights {name!r}: this installation ships none, expected a file's path"
        )
    return shipped


def untrained_model(seed: int = 0) -> LoadedWeights:
    """Return a model of the default architecture with random weights, the same for each seed.

    Its depth and labels mean nothing (`card.trained` is False); everything around it works.
    """
    model, config = assemble_model(
        DEFAULT_DEPTH,
        DEFAULT_DEPTH_OPTIONS,
        semantic=DEFAULT_SEMANTIC,
        semantic_options=DEFAULT_SEMANTIC_OPTIONS,
        guidance=GuidanceConfig(),
        seed=seed,
    )
    width, height = DEFAULT_SIZE
    card = WeightsCard(
        model=config,
        width=width,
        height=height,
        scale='up_to_scale',
        focal_length=_FOCAL_LENGTH_PER_WIDTH * width,
        trained=False,
        licence='Apache-2.0',
        provenance={'origin': f'random numbers, seed {seed}'},
    )
    return LoadedWeights(model, card)


def load_or_untrained(path: Path | None) -> LoadedWeights:
    """Return the weights of a file; without one the default ones, or untrained ones.

    Whoever calls it tells the user when `card.trained` is False.

    Raises:
        WeightsError: as `files.load`.
    """
    path = path or default_weights()
    return untrained_model() if path is None else load(path)

"""From the class names of a foreign network to the 19 Cityscapes train ids."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from semdepth_ros.classes import CLASS_NAMES
from semdepth_ros.networks.semantic.output import SemanticError

#: What other data sets (ADE20K, Mapillary Vistas, BDD100K) call the classes of Cityscapes.
ALIASES = {
    'pavement': 'sidewalk',
    'house': 'building',
    'skyscraper': 'building',
    'streetlight': 'pole',
    'street light': 'pole',
    'signboard': 'traffic sign',
    'tree': 'vegetation',
    'plant': 'vegetation',
    'grass': 'terrain',
    'earth': 'terrain',
    'pedestrian': 'person',
    'bicyclist': 'rider',
    'motorcyclist': 'rider',
    'van': 'car',
    'motorbike': 'motorcycle',
    'minibike': 'motorcycle',
    'bike': 'bicycle',
}
#: Logit of a class that the network does not know; its probability is 0 in half precision too.
ABSENT = -1e4


class LabelMapping(nn.Module):
    """Rearrange a network's logits into the order of the Cityscapes train ids.

    Where several of its classes mean one of Cityscapes, the greatest logit counts. Its other
    classes are left out: a pixel of theirs gets the best of the 19, as in any 19-class network.

    Raises:
        SemanticError: when none of the names is a class of Cityscapes.
    """

    def __init__(self, id2label: Mapping[int, str]) -> None:
        super().__init__()
        channels: dict[int, list[int]] = {}
        for channel, label in sorted(id2label.items()):
            train_id = _train_id(label)
            if train_id is not None:
                channels.setdefault(train_id, []).append(channel)
        if not channels:
            shown = ', '.join(list(id2label.values())[:5])
            raise SemanticError(
                f'semantic network: none of its {len(id2label)} classes ({shown}, ...) is a class '
                'of Cityscapes, expected labels such as road, building or car'
            )
        #: Names of the classes that the network can answer, by train id.
        self.known = tuple(CLASS_NAMES[train_id] for train_id in sorted(channels))
        self._channels = [channels.get(train_id, []) for train_id in range(len(CLASS_NAMES))]

    def forward(self, logits_BCHW: Tensor) -> Tensor:
        """Return (B, 19, H, W)."""
        maps = [
            logits_BCHW[:, own].amax(1) if own else torch.full_like(logits_BCHW[:, 0], ABSENT)
            for own in self._channels
        ]
        return torch.stack(maps, 1)


def _train_id(label: str) -> int | None:
    """Return the train id of a class name; ADE20K separates synonyms by commas or semicolons."""
    for name in label.lower().replace(';', ',').split(','):
        name = ' '.join(name.replace('_', ' ').replace('-', ' ').split())
        name = ALIASES.get(name, name)
        if name in CLASS_NAMES:
            return CLASS_NAMES.index(name)
    return None

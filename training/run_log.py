"""What a run leaves to look at: a line of JSON for each step, and TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from semdepth_ros.files import write_atomically


class RunLog:
    """Writes `history.jsonl` and TensorBoard events into a run's folder.

    A run that goes on from a checkpoint first forgets what was logged after it, so that the curves
    are those of a run that was never stopped.

    Args:
        folder: folder of the run; it exists.
        step: number of steps that the run has done.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self._path = folder / 'history.jsonl'
        kept = [line for line in read_history(folder) if line['step'] <= step]
        write_atomically(self._path, ''.join(json.dumps(line) + '\n' for line in kept).encode())
        self._stream: IO[str] = self._path.open('a')
        self._writer = SummaryWriter(str(folder / 'tensorboard'), purge_step=step + 1)

    def scalars(self, step: int, values: Mapping[str, float], to_tensorboard: bool = True) -> None:
        """Log named numbers after `step` steps; names with a slash share a TensorBoard section."""
        self._stream.write(json.dumps({'step': step, **values}) + '\n')
        self._stream.flush()
        if to_tensorboard:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, image_HW3: np.ndarray) -> None:
        """Log a picture, uint8 RGB, to TensorBoard."""
        self._writer.add_image(name, image_HW3, step, dataformats='HWC')

    def close(self) -> None:
        """Write what is waiting; nothing can be logged afterwards."""
        self._stream.close()
        self._writer.close()


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's history, oldest first, without a last one cut by a crash."""
    path = folder / 'history.jsonl'
    lines = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines

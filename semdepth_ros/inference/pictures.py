"""Results as files: depth as PNG and numpy, labels, pictures for people, PLY clouds."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

from semdepth_ros.errors import SemdepthError
from semdepth_ros.files import write_atomically
from semdepth_ros.inference.ply import ply_bytes
from semdepth_ros.inference.sources import SourceFrame
from semdepth_ros.pipeline import FrameResult
from semdepth_ros.postprocessing import to_millimetres

#: What can be written, and what it is.
KINDS = {
    'depth16': 'depth_mm/NAME.png, uint16 millimetres, 0 where there is none within 65.535 m',
    'depth': 'depth/NAME.npy, float32 metres, NaN invalid, +Inf sky or beyond range',
    'labels': 'label/NAME.png, uint8 Cityscapes train ids, 255 unlabelled',
    'pictures': 'picture/NAME.png, image, depth and labels in colour, one above the other',
    'clouds': 'cloud/NAME.ply, x y z in metres (optical frame), colour and label of finite points',
}


class PictureOutput:
    """Writes one file per frame and kind into a folder."""

    def __init__(self, folder: Path, kinds: tuple[str, ...] = tuple(KINDS)) -> None:
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown or not kinds:
            raise SemdepthError(
                f'output kind {", ".join(unknown) or "(none)"} is unknown, '
                f'expected some of {", ".join(KINDS)}'
            )
        if folder.exists() and not folder.is_dir():
            raise SemdepthError(f'output {folder} is a file, expected a folder')
        self._folder, self._kinds = folder, kinds

    def write(self, frame: SourceFrame, result: FrameResult) -> None:
        """Write the chosen kinds of a frame.

        Raises:
            SemdepthError: when the disk is full or the folder cannot be written.
        """
        writers = {
            'depth16': ('depth_mm', 'png', lambda: png_bytes(to_millimetres(result.depth_HW))),
            'depth': ('depth', 'npy', lambda: _npy_bytes(result.depth_HW)),
            'labels': ('label', 'png', lambda: png_bytes(result.label_HW)),
            'pictures': ('picture', 'png', lambda: png_bytes(picture(result))),
            'clouds': ('cloud', 'ply', lambda: ply_bytes(result.points())),
        }
        for kind in self._kinds:
            folder, suffix, data = writers[kind]
            path = self._folder / folder / f'{frame.name}.{suffix}'
            try:
                write_atomically(path, data())
            except OSError as error:
                raise SemdepthError(f'output {path} cannot be written: {error}') from error

    def __enter__(self) -> PictureOutput:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def picture(result: FrameResult) -> np.ndarray:
    """Return image, depth and labels of a frame, one above the other, uint8 RGB."""
    return np.vstack([result.image_HW3, result.depth_color(), result.label_color()])


def png_bytes(image: np.ndarray) -> bytes:
    """Return a PNG file of an RGB (H, W, 3) or single-channel image, uint8 or uint16."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.png', image)[1].tobytes()


def _npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()

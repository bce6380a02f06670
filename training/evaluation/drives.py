"""The frames of drives as an evaluation needs them: rectified image, truth, labels, pose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from semdepth_ros.bags.drive import Drive
from semdepth_ros.bags.errors import BagError
from semdepth_ros.errors import SemdepthError
from semdepth_ros.rectification import rectify
from semdepth_training.evaluation.frames import EvaluationFrame
from semdepth_training.evaluation.poses import camera_poses
from semdepth_training.evaluation.truth import Truth


class FrameRangeError(SemdepthError):
    """A range of frames that selects nothing, or that is no range."""


def frame_range(text: str) -> slice:
    """Return the half-open range `A:B` of frame numbers; either end may be left out.

    Raises:
        FrameRangeError: for anything else, and for a range that is empty whatever the bag.
    """
    match = re.fullmatch(r'(\d*):(\d*)', text)
    if match is None:
        raise FrameRangeError(f'frames is {text!r}, expected A:B (half open) such as 0:53')
    start = int(match[1] or 0)
    stop = int(match[2]) if match[2] else None
    if stop is not None and stop <= start:
        raise FrameRangeError(f'frames {text} is empty, expected A below B')
    return slice(start, stop)


class DriveFrames:
    """The frames of several drives that have a truth, in order; may be iterated again.

    Frames that cannot be read, or that have no truth, are passed over and named in `problems`.

    Args:
        drives: the drives.
        truths: the truth of each.
        frames: which frames of each drive.

    Raises:
        FrameRangeError: when a drive has no frame in the range.
    """

    def __init__(
        self, drives: Sequence[Drive], truths: Sequence[Truth], frames: slice | None = None
    ) -> None:
        self.problems: list[str] = []
        self._parts = []
        for drive, truth in zip(drives, truths):
            indices = range(len(drive))[frames or slice(None)]
            if not indices:
                raise FrameRangeError(
                    f'frames {frames.start}:{frames.stop} selects none of the {len(drive)} frames '
                    f'of bag {drive.path}'
                    if frames
                    else f'bag {drive.path} has no frames'
                )
            self._parts.append((drive, truth, indices))

    def __len__(self) -> int:
        return sum(len(indices) for _, _, indices in self._parts)

    def truths(self) -> Iterator[np.ndarray]:
        """Yield the true depth of each frame, (H, W) float32 metres, without reading its image."""
        for _, truth, indices in self._parts:
            for index in indices:
                try:
                    depth = truth.depth(index)
                except BagError:
                    continue
                if depth is not None:
                    yield depth

    def __iter__(self) -> Iterator[EvaluationFrame]:
        self.problems = []
        for drive, truth, indices in self._parts:
            poses = camera_poses(drive)
            for index in indices:
                try:
                    frame = evaluation_frame(drive, truth, index, poses[index])
                except BagError as error:
                    self.problems.append(str(error))
                    continue
                if frame is None:
                    self.problems.append(f'{drive.name}:{index} has no truth')
                    continue
                yield frame


def evaluation_frame(
    drive: Drive, truth: Truth, index: int, T_world_camera: np.ndarray | None = None
) -> EvaluationFrame | None:
    """Return a frame of a drive with its truth; None where it has none.

    Raises:
        BagError: when image or truth cannot be read.
    """
    depth = truth.depth(index)
    if depth is None:
        return None
    camera = drive.camera.undistorted()
    return EvaluationFrame(
        name=f'{drive.name}:{index}',
        image_HW3=rectify(drive.image(index), drive.camera, camera),
        camera=camera,
        truth_HW=depth,
        label_HW=truth.label(index),
        T_world_camera=T_world_camera,
        drive=str(drive.path),
    )

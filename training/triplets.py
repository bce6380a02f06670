"""The triplets of many drives behind one index, and the split into training and validation."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

import numpy as np

from semdepth_ros.errors import SemdepthError
from semdepth_training.frame_cache import PreparedDrive
from semdepth_training.selection import Motion, Selection, SelectionConfig, select


class TripletError(SemdepthError):
    """Bags that do not yield the triplets that a training needs."""


@dataclasses.dataclass(frozen=True)
class Part:
    """Some triplets of one drive: their middle frames and the frames between their images."""

    drive: PreparedDrive
    centers: np.ndarray
    stride: int


class Triplets:
    """Triplets of one or many drives, read by one index; see `loader.TripletData`.

    Attributes:
        parts: the triplets drive by drive, in the order of the index.
        size: width and height of every image.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(part for part in parts if len(part.centers))
        self._starts = np.concatenate([[0], np.cumsum([len(p.centers) for p in self.parts])])
        self.size = self.parts[0].drive.fit.camera.size if self.parts else (0, 0)

    def __len__(self) -> int:
        """Return the number of triplets."""
        return int(self._starts[-1])

    def locate(self, index: int) -> tuple[Part, int]:
        """Return the part that a triplet belongs to, and the frame in its middle."""
        number = int(np.searchsorted(self._starts, index, side='right')) - 1
        part = self.parts[number]
        return part, int(part.centers[index - self._starts[number]])

    def read(self, index: int, out_NHW3: np.ndarray) -> None:
        """Write target, previous and next image of a triplet into `out_NHW3`, uint8 RGB."""
        part, center = self.locate(index)
        for out, frame in zip(out_NHW3, (center, center - part.stride, center + part.stride)):
            part.drive.read(frame, out)

    def intrinsics(self, index: int) -> tuple[float, float, float, float]:
        """Return fx, fy, cx, cy in pixels of the images."""
        camera = self.locate(index)[0].drive.fit.camera
        return camera.fx, camera.fy, camera.cx, camera.cy

    def distances(self, index: int) -> tuple[float, float]:
        """Return the metres from the target to the previous and the next frame, NaN if unknown."""
        part, center = self.locate(index)
        drive = part.drive.drive
        return (
            float(drive.distance(center - part.stride, center)),
            float(drive.distance(center, center + part.stride)),
        )

    def focal_length(self) -> float:
        """Return the median focal length fx over all triplets, in pixels of the images."""
        return statistics.median(
            part.drive.fit.camera.fx for part in self.parts for _ in range(len(part.centers))
        )

    def known_distances(self) -> tuple[float, float]:
        """Return the share of image pairs whose distance is known, and their mean in metres."""
        distances = np.array([self.distances(index) for index in range(len(self))])
        known = np.isfinite(distances)
        if not known.any():
            return 0.0, float('nan')
        return float(known.mean()), float(distances[known].mean())

    def subset(self, keep: np.ndarray) -> Triplets:
        """Return the triplets for which `keep`, one bool for each, is true."""
        return Triplets(
            [
                dataclasses.replace(
                    part, centers=part.centers[keep[start : start + len(part.centers)]]
                )
                for part, start in zip(self.parts, self._starts)
            ]
        )


def select_triplets(drive: PreparedDrive, config: SelectionConfig) -> Selection:
    """Return the triplets of a prepared drive."""
    stamps = drive.drive.stamps
    distance = np.array([drive.drive.distance(i, i + 1) for i in range(len(stamps) - 1)])
    return select(stamps, drive.corrupt, Motion(distance, drive.flow), config)


def split(
    drives: Sequence[PreparedDrive],
    selections: Sequence[Selection],
    validation_bags: Sequence[str],
    validation_share: float,
) -> tuple[Triplets, Triplets]:
    """Return training and validation triplets: by drive where bags are named, else by time.

    By time, the last `validation_share` of each drive's frames is for validation, and a triplet
    that reaches over the cut is in neither. Frames are never shuffled between the two.

    Args:
        drives: the prepared drives.
        selections: the triplets of each drive.
        validation_bags: names of drives that are for validation alone; empty splits by time.
        validation_share: share of each drive's frames, 0 to 1.

    Raises:
        TripletError: for a validation bag that is not there, or when nothing is left to train on.
    """
    names = [drive.drive.name for drive in drives]
    for bag in validation_bags:
        if bag not in names:
            raise TripletError(
                f'data.validation_bags names {bag!r}, expected some of {", ".join(names)}'
            )
    training: list[Part] = []
    validation: list[Part] = []
    for drive, selection in zip(drives, selections):
        centers, stride = selection.centers, selection.stride
        if validation_bags:
            held_out = drive.drive.name in validation_bags
            (validation if held_out else training).append(Part(drive, centers, stride))
        else:
            cut = round(selection.frames * (1 - validation_share))
            training.append(Part(drive, centers[centers + stride < cut], stride))
            validation.append(Part(drive, centers[centers - stride >= cut], stride))
    result = Triplets(training), Triplets(validation)
    if not len(result[0]):
        reasons = '; '.join(f'{name}: {selection}' for name, selection in zip(names, selections))
        raise TripletError(f'no triplets to train on ({reasons})')
    return result

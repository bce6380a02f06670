"""What the student learns from: recordings that the teachers label, and rendered streets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from semdepth_ros.bags.drive import Drive
from semdepth_ros.errors import SemdepthError
from semdepth_ros.postprocessing import resize_nearest
from semdepth_ros.preprocessing import fit
from semdepth_ros.rectification import rectify
from semdepth_ros.simulation import StreetConfig, StreetDrive
from semdepth_training.distillation.student import LabelledImage
from semdepth_training.distillation.teachers import Teacher, agreement


def recorded_images(
    drive: Drive, teachers: list[Teacher], size: tuple[int, int], every: int = 1
) -> Iterator[LabelledImage]:
    """Yield every n-th frame of a drive at network size, labelled where all teachers agree."""
    camera = drive.camera.undistorted()
    fitted = fit(camera, *size)
    for index in range(0, len(drive), every):
        try:
            image = rectify(drive.image(index), drive.camera, camera)
        except SemdepthError:
            # A damaged frame teaches nothing; `semdepth bag inspect` names it.
            continue
        label = agreement(image, teachers)[fitted.window]
        small = resize_nearest(np.ascontiguousarray(label), *size)
        yield LabelledImage(fitted.apply(image), small)


def street_images(
    seeds: Sequence[int], frames: int, size: tuple[int, int]
) -> Iterator[LabelledImage]:
    """Yield `frames` frames, a second apart, of the street of every seed with their true labels."""
    for seed in seeds:
        drive = StreetDrive(StreetConfig(seed=seed, frames=10 * frames))
        for index in range(frames):
            frame = drive.frame(10 * index)
            fitted = fit(frame.camera, *size)
            label = resize_nearest(np.ascontiguousarray(frame.label[fitted.window]), *size)
            yield LabelledImage(fitted.apply(frame.image), label)

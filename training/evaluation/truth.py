"""Where true depth comes from: LiDAR or a depth image in the bag, or a folder of PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from semdepth_ros.bags.drive import Drive
from semdepth_ros.bags.reader import Bag
from semdepth_ros.camera import Camera
from semdepth_ros.classes import UNLABELLED
from semdepth_ros.errors import SemdepthError
from semdepth_ros.rectification import rectification_maps

#: Depth of KITTI's PNG files is metres times this; 0 is unknown.
PNG_SCALE = 256.0


class TruthError(SemdepthError):
    """True depth or true labels that cannot be read, or that fit no frame."""


class Truth(Protocol):
    """True depth of the frames of one drive."""

    def depth(self, index: int) -> np.ndarray | None:
        """Return the depth of a frame, (H, W) float32 metres, NaN where unknown; or None."""
        ...

    def label(self, index: int) -> np.ndarray | None:
        """Return the labels of a frame at the size of its depth, uint8 train ids; or None."""
        ...


class BagTruth:
    """Truth in the bag itself: a depth image topic, else LiDAR through tf_static.

    True labels are taken from a topic `label_mask` beside the depth (`/truth/depth/image_rect` and
    `/truth/label_mask`), where there is one.

    Args:
        drive: the drive, its topic of truth chosen.

    Raises:
        TruthError: when the bag has no depth to compare with.
    """

    def __init__(self, drive: Drive) -> None:
        if not drive.has_truth:
            raise TruthError(
                f'bag {drive.path} has no truth, expected a depth image topic, or PointCloud2 and '
                'its transform on /tf_static (--truth names a topic or a folder of PNG files)'
            )
        self._drive = drive
        self._camera = drive.camera.undistorted()
        self._labels = _LabelTopic.beside(drive)

    @property
    def has_labels(self) -> bool:
        """Whether the bag has true labels."""
        return self._labels is not None

    def depth(self, index: int) -> np.ndarray:
        """Return the depth of a frame, (H, W) float32 metres."""
        return self._drive.truth(index, self._camera)

    def label(self, index: int) -> np.ndarray | None:
        """Return the true labels of a frame, or None."""
        if self._labels is None:
            return None
        return self._labels.read(int(self._drive.stamps[index]), self._drive.camera)


class FolderTruth:
    """Truth in a folder of 16-bit PNG files, metres times 256, 0 where unknown: KITTI's form.

    A file belongs to the frame whose number or whose stamp in nanoseconds its name is, such as
    `0000000005.png`. For several bags, each has its folder of its own name inside.

    Args:
        folder: the folder.
        drive: the drive whose frames the files belong to.

    Raises:
        TruthError: when no file belongs to a frame.
    """

    def __init__(self, folder: Path, drive: Drive) -> None:
        if (folder / drive.name).is_dir():
            folder = folder / drive.name
        by_stamp = {int(stamp): index for index, stamp in enumerate(drive.stamps)}
        self._files: dict[int, Path] = {}
        for file in sorted(folder.glob('*.png')):
            if file.stem.isdecimal():
                number = int(file.stem)
                self._files[by_stamp.get(number, number)] = file
        if not any(index < len(drive) for index in self._files):
            raise TruthError(
                f'folder {folder} has no truth for bag {drive.path}, expected 16-bit PNG files '
                'named by frame number or by stamp in nanoseconds'
            )

    def depth(self, index: int) -> np.ndarray | None:
        """Return the depth of a frame, (H, W) float32 metres; None where there is no file.

        Raises:
            TruthError: when the file is no 16-bit image of one channel.
        """
        if index not in self._files:
            return None
        image = cv2.imread(str(self._files[index]), cv2.IMREAD_UNCHANGED)
        if image is None or image.dtype != np.uint16 or image.ndim != 2:
            raise TruthError(
                f'truth {self._files[index]} is no 16-bit PNG of one channel (metres times 256)'
            )
        return np.where(image > 0, image / np.float32(PNG_SCALE), np.float32(np.nan))

    def label(self, index: int) -> np.ndarray | None:
        """Return None: a folder holds depth alone."""
        return None


def open_truth(drive: Drive, folder: Path | None) -> Truth:
    """Return the truth of a drive: that of `folder`, or by default the one in its bag.

    Raises:
        TruthError: when there is none.
    """
    return FolderTruth(folder, drive) if folder is not None else BagTruth(drive)


class _LabelTopic:
    """True labels in a bag: mono8 images with the stamps of the camera's."""

    def __init__(self, bag: Bag, topic: str) -> None:
        self._bag, self._topic = bag, topic
        self._numbers = {int(s): i for i, s in enumerate(bag.header_stamps(topic))}

    @classmethod
    def beside(cls, drive: Drive) -> _LabelTopic | None:
        """Return the label topic that belongs to the drive's topic of truth, or None."""
        prefix, separator, _ = (drive.truth_topic or '').rpartition('/depth/')
        topic = f'{prefix}/label_mask'
        if not separator:
            return None
        bag = drive.frames.bag
        return cls(bag, topic) if topic in bag.topics else None

    def read(self, stamp: int, camera: Camera) -> np.ndarray | None:
        """Return the labels of a stamp as the rectified camera sees them, (H, W) uint8, or None.

        `camera` is that of the images as recorded.

        Raises:
            TruthError: when they are no mono8 image of the camera's size.
        """
        if stamp not in self._numbers:
            return None
        message = self._bag.message(self._topic, self._numbers[stamp])
        size = message.width, message.height
        if message.encoding not in ('mono8', '8UC1') or size != camera.size:
            raise TruthError(
                f'labels on {self._topic} are {message.encoding} {size[0]}x{size[1]}, '
                f'expected mono8 {camera.width}x{camera.height}'
            )
        rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
        label = rows[:, : message.width]
        if not camera.is_distorted:
            return label
        # Fixed-point maps: whole pixels, and the fraction in 32nds. Labels take the nearest pixel.
        whole, fraction = rectification_maps(camera, camera.undistorted())
        whole = whole + np.stack([(fraction & 31) >= 16, (fraction >> 5) >= 16], axis=-1)
        return cv2.remap(
            label,
            whole.astype(np.int16),
            np.zeros_like(fraction),
            cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=UNLABELLED,
        )

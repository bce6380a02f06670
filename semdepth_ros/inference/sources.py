"""Where frames come from: an image, a folder of images, a video or a bag."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import cv2
import numpy as np
import yaml

from semdepth_ros.camera import Camera
from semdepth_ros.encodings import decode_compressed
from semdepth_ros.errors import SemdepthError

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')
VIDEO_SUFFIXES = ('.mp4', '.avi', '.mkv', '.mov', '.webm')


class SourceError(SemdepthError):
    """An input that holds no frames, or none that can be read."""


@dataclasses.dataclass(frozen=True)
class SourceFrame:
    """One image to process.

    Attributes:
        name: unique within the source, fit for a file name.
        stamp_ns: header stamp of a bag's message; time within a video; 0 for images.
        frame_id: header frame of a bag's message, else 'camera'.
        image_HW3: uint8 RGB.
        camera: camera of the image, None where nothing is known of it.
        rectified: the pinhole camera to rectify to; None where the image needs none.
    """

    name: str
    stamp_ns: int
    frame_id: str
    image_HW3: np.ndarray
    camera: Camera | None
    rectified: Camera | None = None


class Source(Protocol):
    """Frames in order. A frame that cannot be read is a SemdepthError in its place."""

    def __len__(self) -> int:
        """Return how many frames there are, readable or not; 0 if that is unknown."""
        ...

    def __iter__(self) -> Iterator[SourceFrame | SemdepthError]:
        """Yield every frame, or what is wrong with it."""
        ...


def open_source(path: Path, camera_file: Path | None = None, topic: str | None = None) -> Source:
    """Return the frames of an image, a folder of images, a video or a bag.

    Args:
        path: what to read.
        camera_file: intrinsics of images and videos, as ROS's camera_calibration writes them.
        topic: image topic of a bag that has several.

    Raises:
        SourceError: for a path that is none of these.
    """
    if not path.exists():
        raise SourceError(f'input {path} does not exist')
    camera = None if camera_file is None else read_camera_file(camera_file)
    suffix = path.suffix.lower()
    if path.is_file() and suffix in IMAGE_SUFFIXES:
        return ImageSource([path], camera)
    if path.is_file() and suffix in VIDEO_SUFFIXES:
        return VideoSource(path, camera)
    if path.is_dir() and not (path / 'metadata.yaml').exists():
        images = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if images:
            return ImageSource(images, camera)
        if not any(path.glob('*.mcap')) and not any(path.glob('*.db3')):
            raise SourceError(
                f'folder {path} holds no images ({", ".join(IMAGE_SUFFIXES)}) and no bag'
            )
    elif path.is_file() and suffix not in ('.bag', '.mcap', '.db3'):
        raise SourceError(
            f'input {path} is none of image ({", ".join(IMAGE_SUFFIXES)}), '
            f'video ({", ".join(VIDEO_SUFFIXES)}), folder of images, or bag'
        )
    if camera is not None:
        raise SourceError(
            'a bag brings its own camera_info, --camera-info is for images and videos'
        )
    return BagSource(path, topic)


class ImageSource:
    """Image files, each by itself."""

    def __init__(self, paths: list[Path], camera: Camera | None) -> None:
        self._paths, self._camera = paths, camera

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[SourceFrame | SemdepthError]:
        stems = [path.stem for path in self._paths]
        for path in self._paths:
            name = path.stem if stems.count(path.stem) == 1 else path.name.replace('.', '_')
            try:
                image = decode_compressed(path.suffix.lstrip('.').lower(), path.read_bytes())
            except (SemdepthError, OSError) as error:
                yield SourceError(f'image {path}: {error}')
                continue
            yield SourceFrame(name, 0, 'camera', image, self._camera)


class VideoSource:
    """A video file, decoded by OpenCV."""

    def __init__(self, path: Path, camera: Camera | None) -> None:
        self._path, self._camera = path, camera
        capture = cv2.VideoCapture(str(path))
        self._count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        opened = capture.isOpened()
        capture.release()
        if not opened:
            raise SourceError(f'video {path} cannot be opened')

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[SourceFrame | SemdepthError]:
        capture = cv2.VideoCapture(str(self._path))
        try:
            index = 0
            while True:
                stamp_ns = int(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
                ok, image = capture.read()
                if not ok:
                    break
                rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                yield SourceFrame(f'{index:06d}', stamp_ns, 'camera', rgb, self._camera)
                index += 1
            # A container knows its length; what the decoder cannot give is named, not lost.
            for missing in range(index, self._count):
                yield SourceError(f'video {self._path}: frame {missing} cannot be decoded')
        finally:
            capture.release()


class BagSource:
    """The image topic of a rosbag2 or rosbag1."""

    def __init__(self, path: Path, topic: str | None) -> None:
        # Late, because images and videos need no bag library.
        from semdepth_ros.bags.drive import Drive, Topics

        self.drive = Drive(path, Topics(image=topic))

    def __len__(self) -> int:
        return len(self.drive)

    def __iter__(self) -> Iterator[SourceFrame | SemdepthError]:
        drive = self.drive
        for index, stamp in enumerate(drive.stamps.tolist()):
            try:
                image = drive.image(index)
            except SemdepthError as error:
                yield error
                continue
            yield SourceFrame(
                str(stamp), stamp, drive.frame_id, image, drive.camera, drive.rectified
            )


def read_camera_file(path: Path) -> Camera:
    """Return the camera of a calibration file in the format of ROS's camera_calibration.

    Raises:
        SourceError: for a file that lacks a field.
        CameraError: for impossible values.
    """
    try:
        content: Any = yaml.safe_load(path.read_text())
        info = SimpleNamespace(
            width=int(content['image_width']),
            height=int(content['image_height']),
            k=content['camera_matrix']['data'],
            d=content.get('distortion_coefficients', {}).get('data', []),
            r=content.get('rectification_matrix', {}).get('data', []),
            p=content.get('projection_matrix', {}).get('data', [0.0] * 12),
            distortion_model=content.get('distortion_model', 'plumb_bob'),
            binning_x=0,
            binning_y=0,
            roi=SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SourceError(f'camera file {path} cannot be read: {error}') from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(
            f'camera file {path} lacks {error}, expected the format of camera_calibration'
        ) from error
    return Camera.from_camera_info(info)

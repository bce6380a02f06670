"""A recording as training and evaluation see it: frames, camera, speed, height, depth truth."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.frames import Frames
from semdepth_ros.bags.motion import read_motion
from semdepth_ros.bags.reader import Bag
from semdepth_ros.bags.topics import Topics, find_topics, is_rectified
from semdepth_ros.bags.transforms import TransformTree
from semdepth_ros.bags.truth import Truth
from semdepth_ros.camera import Camera, CameraError

__all__ = ['Drive', 'Topics', 'open_drives']

#: Frames that are tried until one can be decoded.
_TRIALS = 50


class Drive:
    """One camera's drive in one bag.

    Making one indexes the bag; images and truth are then read one by one, at random. Drives can be
    pickled and used after a fork.

    Attributes:
        path: of the bag; `name` is its last part.
        topics: the topics in use.
        problems: sentences about what is wrong but was passed over: a file cut off, damaged
            messages, odometry that does not cover the frames.
        stamps: (N,) int64 ns, header stamps of the frames, strictly increasing.
        camera: of the images as recorded. Images of a topic with `rect` in its name, or with
            coefficients of zero, are rectified; others keep their distortion.
        is_rectified: whether the images are taken as rectified.
        rectified: the pinhole camera that the node rectifies a distorted `camera` to (P of its
            camera_info); `camera` itself where the images are rectified.
        frame_id: of the camera.
        camera_height: metres over the ground frame in `/tf_static` (base_footprint or base_link),
            or None.
        speed: (N,) float64 m/s of the camera at every frame, NaN where it is not known.

    Raises:
        BagError: if the bag cannot be read, has no frames or no camera_info, or if size or
            intrinsics change on the way or contradict the images.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        topics: Topics | None = None,
        rectified: bool | None = None,
    ) -> None:
        """Index a bag; `topics` names what is not to be found by type.

        `rectified` says whether images are (None: by the name of their topic).
        """
        self._bag = Bag(path)
        self.path = self._bag.path
        self.name = self._bag.name
        self.problems = self._bag.problems
        self.topics = find_topics(self._bag, topics or Topics())
        assert self.topics.image is not None and self.topics.camera_info is not None
        self.frames = Frames(self._bag, self.topics.image)
        if not len(self.frames):
            raise BagError(f'bag {self.path} has no readable frame on {self.topics.image}')
        if rectified is None:
            rectified = is_rectified(self.topics.image)
        self.is_rectified = rectified
        self.stamps = self.frames.stamps
        self.frame_id = self.frames.frame_id()
        self.camera = _constant_camera(self._bag, self.topics.camera_info, rectified)
        self.rectified = self.camera
        if self.camera.is_distorted:
            self.rectified = _constant_camera(self._bag, self.topics.camera_info, rectified=True)
        self._check_a_frame()
        self.tree = TransformTree.of_bag(self._bag)
        self.camera_height = self.tree.height(self.frame_id)
        self._read_motion()
        self._truth: Truth | None = None
        if self.topics.truth is not None:
            try:
                self._truth = Truth(
                    self._bag, self.topics.truth, self.camera, self.frame_id, self.tree
                )
            except BagError as error:
                if topics is not None and topics.truth is not None:
                    raise
                self.problems.append(str(error))

    def __len__(self) -> int:
        return len(self.frames)

    def image(self, index: int) -> np.ndarray:
        """Return frame `index`, (H, W, 3) uint8 RGB of the size of `camera`.

        Raises:
            BagError: naming bag, frame and stamp, if it is damaged or has another size.
        """
        image = self.frames.image(index)
        if image.shape[:2] != (self.camera.height, self.camera.width):
            raise BagError(
                f'bag {self.path}: frame {index} is {image.shape[1]}x{image.shape[0]}, '
                f'its camera_info says {self.camera.width}x{self.camera.height}'
            )
        return image

    @property
    def topic_names(self) -> list[str]:
        """Every topic of the bag."""
        return list(self._bag.topics)

    @property
    def has_speed(self) -> bool:
        """Whether the speed is known at any frame."""
        return bool(np.isfinite(self.speed).any())

    def distance(self, start: int, end: int) -> float:
        """Return the metres driven between two frames, NaN if not known."""
        if self._motion is None:
            return float('nan')
        return float(self._motion.distance(self.stamps[start], self.stamps[end]))

    def steps(self) -> np.ndarray:
        """Return the metres driven from each frame to the next, (N - 1,), NaN where not known."""
        if self._motion is None:
            return np.full(max(0, len(self) - 1), np.nan)
        return self._motion.distance(self.stamps[:-1], self.stamps[1:])

    @property
    def has_truth(self) -> bool:
        """Whether there is depth truth that can be brought into the camera's frame."""
        return self._truth is not None

    @property
    def truth_topic(self) -> str | None:
        """The topic of the depth truth, or None."""
        return self._truth.topic if self._truth is not None else None

    def truth(self, index: int, camera: Camera) -> np.ndarray:
        """Return the depth truth of a frame as `camera` sees it, (H, W) float32 metres.

        NaN where nothing is known. `camera` is any pinhole with the view of the rectified image,
        such as `drive.camera.undistorted().resized(640, 192)`.

        Raises:
            BagError: if the drive has no truth, or the message cannot be read.
        """
        if self._truth is None:
            raise BagError(
                f'bag {self.path} has no depth truth: expected a depth image, or a PointCloud2 '
                'and its transform to the camera in /tf_static'
            )
        return self._truth.depth(int(self.stamps[index]), camera)

    def _read_motion(self) -> None:
        self._motion = None
        self.speed = np.full(len(self), np.nan)
        if self.topics.odometry is None:
            return
        self._motion = read_motion(self._bag, self.topics.odometry, self.tree, self.frame_id)
        if self._motion is None:
            self.problems.append(f'{self.topics.odometry} has no usable velocity')
            return
        self.speed = self._motion.speed_at(self.stamps)
        known = np.isfinite(self.speed).mean()
        if known < 0.9:
            times = [t / 1e9 for t in (*self._motion.stamps[[0, -1]], *self.stamps[[0, -1]])]
            self.problems.append(
                f'{self.topics.odometry} covers {known:.0%} of the frames: it is stamped from '
                f'{times[0]:.1f} to {times[1]:.1f} s, the images from {times[2]:.1f} to '
                f'{times[3]:.1f} s'
            )

    def _check_a_frame(self) -> None:
        """Refuse images that contradict their camera_info before anybody trains on them."""
        error: BagError | None = None
        for index in np.unique(np.linspace(0, len(self) - 1, _TRIALS).astype(int)).tolist():
            try:
                image = self.frames.image(index)
            except BagError as damaged:
                error = damaged
                continue
            if image.shape[:2] != (self.camera.height, self.camera.width):
                raise BagError(
                    f'bag {self.path}: images are {image.shape[1]}x{image.shape[0]}, their '
                    f'camera_info says {self.camera.width}x{self.camera.height}'
                )
            return
        assert error is not None
        raise error


def open_drives(
    paths: Iterable[str | os.PathLike[str]],
    topics: Topics | None = None,
    rectified: bool | None = None,
) -> list[Drive]:
    """Return one drive per bag, in the order given.

    Raises:
        BagError: if a bag is named twice or cannot be used.
    """
    seen: set[Path] = set()
    drives = []
    for path in paths:
        resolved = Path(path).resolve()
        if resolved in seen:
            raise BagError(f'bag {path} is named twice')
        seen.add(resolved)
        drives.append(Drive(path, topics, rectified))
    return drives


def _constant_camera(bag: Bag, topic: str, rectified: bool) -> Camera:
    """Return the camera that every readable CameraInfo of a topic describes.

    Messages are compared behind their stamps, byte by byte, and only read where bytes differ.
    """
    camera: Camera | None = None
    known: set[bytes] = set()
    damaged = 0
    for number in range(bag.topics[topic].count):
        try:
            content = bag.raw(topic, number)[12:]
            if content in known:
                continue
            known.add(content)
            found = Camera.from_camera_info(bag.message(topic, number), rectified)
        except BagError:
            damaged += 1
            continue
        except CameraError as error:
            raise BagError(f'bag {bag.path}: {topic}, message {number}: {error}') from error
        if camera is not None and found != camera:
            raise BagError(
                f'bag {bag.path}: the camera changes at message {number} of {topic}: from '
                f'{_words(camera)} to {_words(found)}'
            )
        camera = found
    if damaged:
        bag.problems.append(f'{topic}: {damaged} damaged messages')
    if camera is None:
        raise BagError(f'bag {bag.path}: no message of {topic} can be read')
    return camera


def _words(camera: Camera) -> str:
    return (
        f'{camera.width}x{camera.height}, fx {camera.fx:g}, fy {camera.fy:g}, '
        f'cx {camera.cx:g}, cy {camera.cy:g}'
    )

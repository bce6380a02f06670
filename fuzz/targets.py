"""What is done with hostile bytes: a result or a `SemdepthError`, anything else is a finding."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.lidar import points_xyz
from semdepth_ros.bags.reader import Bag
from semdepth_ros.camera import Camera
from semdepth_ros.encodings import decode_compressed, image_to_rgb
from semdepth_ros.errors import SemdepthError
from semdepth_ros.weights import WeightsCard, load

#: In memory where there is one: the same few files are written a hundred thousand times.
_FOLDER = Path(
    tempfile.mkdtemp(prefix='semdepth-fuzz-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
)
#: Messages that are looked at in a bag whose index claims any number of them.
_MESSAGES = 20


def image(data: bytes) -> None:
    """Decode a compressed image; it has the size that its header says."""
    try:
        picture = decode_compressed('jpeg', data)
    except SemdepthError as error:
        _check(error)
        return
    assert picture.ndim == 3 and picture.dtype == np.uint8


def bag(data: bytes) -> None:
    """Open a bag of the format that the first bytes say, and read what its index promises."""
    suffix = '.db3' if data.startswith(b'SQLite') else '.mcap'
    path = _FOLDER / f'bag{suffix}'
    path.write_bytes(data)
    try:
        recording = Bag(path)
    except SemdepthError as error:
        _check(error)
        return
    for name, topic in itertools.islice(recording.topics.items(), _MESSAGES):
        recording.header_stamps(name)
        for number in range(min(topic.count, _MESSAGES)):
            try:
                _use(recording.message(name, number), topic.msgtype)
            except SemdepthError as error:
                _check(error)


def weights(data: bytes) -> None:
    """Load a weights file, or read a card where the bytes are JSON."""
    try:
        if data.lstrip().startswith(b'{'):
            WeightsCard.from_json(data.decode(errors='replace'))
        else:
            path = _FOLDER / 'model.safetensors'
            path.write_bytes(data)
            load(path)
    except SemdepthError as error:
        _check(error)


def _use(message: object, msgtype: str) -> None:
    """Do with a message what the package does with it."""
    kind = msgtype.rsplit('/', 1)[-1]
    try:
        if kind == 'Image':
            image_to_rgb(
                message.encoding, message.width, message.height, message.step,
                bool(message.is_bigendian), message.data,
            )  # fmt: skip
        elif kind == 'CameraInfo':
            Camera.from_camera_info(message)
        elif kind == 'PointCloud2':
            points_xyz(message)
    except SemdepthError as error:
        _check(error)


def _check(error: SemdepthError) -> None:
    # A line of a user's terminal.
    assert '\n' not in str(error), repr(str(error))
    assert not isinstance(error, BagError) or str(error)


TARGETS: dict[str, Callable[[bytes], None]] = {'image': image, 'bag': bag, 'weights': weights}

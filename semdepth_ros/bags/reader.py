"""Recordings read without ROS: rosbag2 (sqlite3, mcap; split, compressed) and ROS 1 bags."""

from __future__ import annotations

import dataclasses
import os
import shutil
import struct
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import yaml
from rosbags.typesys.store import Typestore

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.mcap import McapFile
from semdepth_ros.bags.messages import ros1_typestore, typestore
from semdepth_ros.bags.rosbag1 import Rosbag1File
from semdepth_ros.bags.sqlite import SqliteFile
from semdepth_ros.bags.storage import MAX_UNPACKED_BYTES, Storage, unpack, zstd

_FORMATS: dict[str, Callable[[Path], Storage]] = {
    '.mcap': McapFile,
    '.db3': SqliteFile,
    '.bag': Rosbag1File,
    '.active': Rosbag1File,
}
#: How much smaller compression can make a recording; more is a decompression bomb.
_MAX_PACKING = 200
#: The header stamp of a message that cannot be read.
NO_STAMP = np.iinfo(np.int64).min


@dataclasses.dataclass(frozen=True)
class Topic:
    """A topic of a bag: name, type (`package/msg/Name`), serialization, number of messages."""

    name: str
    msgtype: str
    serialization: str
    count: int


class Bag:
    """One recording: a rosbag2 folder, one of its files, or a ROS 1 bag file.

    Indexed when it is made; messages are then read in any order. `problems` says what is wrong
    with a recording that is read in part: a missing metadata.yaml, a file cut off, and messages
    that could not be read so far. Objects can be pickled and used after a fork: every process
    opens its own files.

    Raises:
        BagError: if `path` is no bag, or none of it can be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.problems: list[str] = []
        if not self.path.exists():
            raise BagError(f'bag {self.path} does not exist')
        files, self._packed_messages, packed_files = self._find_files()
        if packed_files:
            files = self._unpack(files)
        self._storages: list[Storage] = []
        for file in files:
            self._open(file)
        if not self._storages:
            raise BagError(f'bag {self.path} cannot be read: {"; ".join(self.problems)}')
        self._index: dict[str, np.ndarray] = {}
        self.topics: dict[str, Topic] = {}
        self._join()

    @property
    def name(self) -> str:
        """The name of the folder or file, without the ending."""
        return self.path.name if self.path.is_dir() else self.path.stem

    def log_times(self, topic: str) -> np.ndarray:
        """Return when each message of a topic was recorded, (n,) int64 ns, ascending."""
        return self._rows(topic)[:, 0]

    def raw(self, topic: str, number: int, limit: int | None = None) -> bytes:
        """Return the serialized bytes of message `number`, or the first `limit` of them.

        Raises:
            BagError: if they cannot be read.
        """
        _, file, a, b = self._rows(topic)[number].tolist()
        if not self._packed_messages:
            return self._storages[file].read(a, b, limit)
        packed = self._storages[file].read(a, b)
        return unpack(packed, 'zstd', MAX_UNPACKED_BYTES if limit is None else limit)

    def message(self, topic: str, number: int) -> Any:
        """Return message `number` of a topic as an object with the fields of its type.

        Raises:
            BagError: naming topic, number and time, if it cannot be read.
        """
        seconds = self.log_times(topic)[number] / 1e9
        info = self.topics[topic]
        store, is_ros1 = _types(info.serialization)
        try:
            raw = self.raw(topic, number)
            if is_ros1:
                return store.deserialize_ros1(raw, info.msgtype)
            return store.deserialize_cdr(raw, info.msgtype)
        except Exception as error:
            # A damaged message fails in as many ways as there are fields.
            reason = str(error) if isinstance(error, BagError) else type(error).__name__
            raise BagError(
                f'bag {self.path}: message {number} of {topic}, recorded at {seconds:.3f} s, '
                f'cannot be read: {reason}'
            ) from error

    def messages(self, topic: str) -> Iterator[tuple[int, Any]]:
        """Yield number and message of a topic; those that cannot be read go to `problems`."""
        damaged = []
        for number in range(len(self._rows(topic))):
            try:
                message = self.message(topic, number)
            except BagError as error:
                damaged.append(str(error))
                continue
            yield number, message
        if damaged:
            self.problems.append(f'{topic}: {len(damaged)} damaged messages, first: {damaged[0]}')

    def header_stamps(self, topic: str) -> np.ndarray:
        """Return the header stamp of each message, (n,) int64 ns; `NO_STAMP` if it is unreadable.

        Reads the first bytes of each message only, so its type must begin with a header.
        """
        stamps = np.full(len(self._rows(topic)), NO_STAMP)
        is_ros1 = self.topics[topic].serialization == 'ros1'
        for number in range(len(stamps)):
            try:
                head = self.raw(topic, number, limit=12)
                # CDR: four bytes of encapsulation, of which the second says little-endian or not.
                order = '<' if is_ros1 or head[1] & 1 else '>'
                seconds, nanoseconds = struct.unpack_from(f'{order}II', head, 4)
            except (BagError, IndexError, struct.error):
                continue
            stamps[number] = seconds * 10**9 + nanoseconds
        return stamps

    def of_type(self, *msgtypes: str) -> list[Topic]:
        """Return the topics of these types that have messages, by name."""
        return [t for _, t in sorted(self.topics.items()) if t.msgtype in msgtypes and t.count]

    @property
    def span_ns(self) -> tuple[int, int]:
        """Log times of the first and last message; (0, 0) for an empty bag."""
        times = [rows[[0, -1], 0] for rows in self._index.values() if len(rows)]
        if not times:
            return 0, 0
        return int(min(t[0] for t in times)), int(max(t[1] for t in times))

    def _rows(self, topic: str) -> np.ndarray:
        if topic not in self._index:
            raise BagError(
                f'bag {self.path} has no topic {topic}, it has: {", ".join(sorted(self.topics))}'
            )
        return self._index[topic]

    def _find_files(self) -> tuple[list[Path], bool, bool]:
        """Return the files of the bag, whether messages are compressed, and whether files are."""
        if self.path.is_file():
            return [self.path], False, self.path.suffix == '.zstd'
        metadata = self._metadata()
        mode = str(metadata.get('compression_mode', '')).lower()
        kind = metadata.get('compression_format')
        if mode in ('file', 'message') and kind != 'zstd':
            raise BagError(f'bag {self.path} is compressed with {kind!r}, expected zstd')
        # Names only: a bag cannot point outside its folder.
        names = [PurePath(str(name)).name for name in metadata.get('relative_file_paths') or []]
        files = [self.path / name for name in names]
        self.problems += [f'{file.name} is missing' for file in files if not file.exists()]
        files = [file for file in files if file.exists()]
        if not names:
            files = sorted(
                file
                for file in self.path.iterdir()
                if file.name.removesuffix('.zstd').endswith(tuple(_FORMATS))
            )
        if not files:
            raise BagError(
                f'{self.path} is no bag: there is neither a metadata.yaml that names a file in it '
                'nor a .mcap, .db3 or .bag file'
            )
        return files, mode == 'message', mode == 'file' or files[0].suffix == '.zstd'

    def _metadata(self) -> dict[str, Any]:
        path = self.path / 'metadata.yaml'
        try:
            metadata = yaml.safe_load(path.read_text())['rosbag2_bagfile_information']
            names = metadata['relative_file_paths']
            if not isinstance(names, list):
                raise TypeError
            return metadata
        except FileNotFoundError:
            self.problems.append('metadata.yaml is missing')
        except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
            self.problems.append('metadata.yaml is damaged')
        return {}

    def _unpack(self, files: list[Path]) -> list[Path]:
        """Unpack files that are compressed as a whole to a folder that goes with this object."""
        folder = Path(tempfile.mkdtemp(prefix='semdepth-bag-'))
        weakref.finalize(self, _remove_folder, folder, os.getpid())
        unpacked = []
        for file in files:
            target = folder / file.stem
            try:
                limit = _MAX_PACKING * file.stat().st_size + 2**20
                with zstd.open(file, 'rb') as source, target.open('wb') as sink:
                    while block := source.read(2**20):
                        sink.write(block)
                        if sink.tell() > limit:
                            raise BagError(
                                f'{file} unpacks to more than {_MAX_PACKING} times its size'
                            )
            except (zstd.ZstdError, EOFError):
                self.problems.append(f'{file.name} is cut off or damaged')
            except OSError as error:
                raise BagError(f'bag {self.path} cannot be unpacked: {error}') from error
            if target.exists():
                unpacked.append(target)
        return unpacked

    def _open(self, file: Path) -> None:
        make = _FORMATS.get(file.suffix)
        if make is None:
            raise BagError(f'{file} is no bag, expected a folder, or a .mcap, .db3 or .bag file')
        try:
            storage = make(file)
        except BagError as error:
            self.problems.append(str(error))
            return
        if storage.problem:
            self.problems.append(storage.problem)
        self._storages.append(storage)

    def _join(self) -> None:
        """Join what the files and their channels hold of each topic, in the order of time."""
        parts: dict[str, list[np.ndarray]] = {}
        for file, storage in enumerate(self._storages):
            for channel, (topic, msgtype, serialization) in storage.channels.items():
                rows = storage.index.get(channel, np.empty((0, 3), np.int64))
                known = self.topics.setdefault(topic, Topic(topic, msgtype, serialization, 0))
                if (known.msgtype, known.serialization) != (msgtype, serialization):
                    self.problems.append(f'{topic} is {known.msgtype} and {msgtype} by turns')
                    continue
                parts.setdefault(topic, []).append(np.insert(rows, 1, file, axis=1))
        for topic, tables in parts.items():
            table = np.concatenate(tables)
            self._index[topic] = table[np.argsort(table[:, 0], kind='stable')]
            self.topics[topic] = dataclasses.replace(self.topics[topic], count=len(table))


def _types(serialization: str) -> tuple[Typestore, bool]:
    """Return the message types of a serialization, and whether it is that of ROS 1."""
    if serialization == 'ros1':
        return ros1_typestore(), True
    if serialization == 'cdr':
        return typestore(), False
    raise BagError(f'messages are serialized as {serialization!r}, expected cdr or ros1')


def _remove_folder(folder: Path, process: int) -> None:
    # Processes forked from the one that made the folder share it.
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)

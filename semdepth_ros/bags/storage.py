"""What the three file formats of bags have in common: an index of messages, and chunks of them."""

from __future__ import annotations

import bz2
import os
import threading
from collections import OrderedDict
from io import FileIO
from pathlib import Path
from typing import NamedTuple, Protocol

import lz4.frame
import numpy as np

try:
    from compression import zstd
except ImportError:
    from backports import zstd

from semdepth_ros.bags.errors import BagError

#: A chunk or message that says it unpacks to more is refused, however small it lies in the file.
MAX_UNPACKED_BYTES = 512 * 2**20
#: Unpacked chunks that are kept for the next message, in bytes (the last one is kept always).
CHUNK_CACHE_BYTES = 64 * 2**20


class Channel(NamedTuple):
    """A topic with its message type (`package/msg/Name`) and serialization (`cdr` or `ros1`)."""

    topic: str
    msgtype: str
    serialization: str


class Storage(Protocol):
    """One file of a bag, indexed when it is made and opened anew in every process that reads it.

    `channels` maps a channel id to what it carries, `index` the same id to an (n, 3) int64 array:
    log time in ns and two numbers that `read` takes. `problem` says what is wrong with the file if
    not all of it could be indexed.
    """

    channels: dict[int, Channel]
    index: dict[int, np.ndarray]
    problem: str | None

    def read(self, a: int, b: int, limit: int | None = None) -> bytes:
        """Return the bytes of one message, or the first `limit` of them.

        Raises:
            BagError: if they cannot be read.
        """
        ...


class Chunk(NamedTuple):
    """Where a run of messages lies in the file and how it is packed ('' for not at all)."""

    start: int
    size: int
    compression: str
    unpacked_size: int


def ros2_type(name: str) -> str:
    """Return `sensor_msgs/msg/Image` for `sensor_msgs/Image`, as ROS 1 spells it."""
    package, _, rest = name.partition('/')
    return name if '/' in rest or not rest else f'{package}/msg/{rest}'


def unpack(data: bytes, compression: str, limit: int) -> bytes:
    """Return at most `limit` bytes of what was packed by zstd, lz4 or bz2, even of a cut-off piece.

    Raises:
        BagError: for damaged data or an unknown compression.
    """
    try:
        if compression in ('', 'none'):
            return data[:limit]
        if compression == 'zstd':
            return zstd.ZstdDecompressor().decompress(data, max_length=limit)
        if compression == 'lz4':
            return lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=limit)
        if compression == 'bz2':
            return bz2.BZ2Decompressor().decompress(data, max_length=limit)
    except (zstd.ZstdError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise BagError(f'{compression} data of {len(data)} bytes is damaged: {error}') from error
    raise BagError(f'compression {compression!r} is unknown, expected zstd, lz4 or bz2')


class ChunkedFile:
    """Reads messages out of the chunks of one file; a base of the mcap and ROS 1 formats.

    Reads go by position (`pread`), so that processes after a fork may share the file; pickling
    leaves handles and cache behind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.chunks: list[Chunk] = []
        self.channels: dict[int, Channel] = {}
        self.index: dict[int, np.ndarray] = {}
        self.problem: str | None = None
        self._handle: FileIO | None = None
        self._lock = threading.Lock()
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self.size = os.fstat(self._file()).st_size

    def pread(self, size: int, offset: int) -> bytes:
        """Return exactly `size` bytes from `offset`.

        Raises:
            BagError: if the file is shorter or cannot be read.
        """
        try:
            data = os.pread(self._file(), size, offset)
        except (OSError, OverflowError, ValueError) as error:
            raise BagError(f'bag file {self.path} cannot be read: {error}') from error
        if len(data) != size:
            raise BagError(
                f'bag file {self.path} ends at byte {self.size}, '
                f'expected {size} bytes from byte {offset}'
            )
        return data

    def unpacked(self, number: int) -> bytes:
        """Return the unpacked bytes of a chunk; the last few are kept."""
        with self._lock:
            if number in self._cache:
                self._cache.move_to_end(number)
                return self._cache[number]
            chunk = self.chunks[number]
            if chunk.unpacked_size > MAX_UNPACKED_BYTES:
                raise BagError(
                    f'chunk {number} of {self.path} unpacks to {chunk.unpacked_size} bytes, '
                    f'expected at most {MAX_UNPACKED_BYTES}'
                )
            data = unpack(
                self.pread(chunk.size, chunk.start), chunk.compression, chunk.unpacked_size
            )
            self._cache[number] = data
            while len(self._cache) > 1 and (
                sum(map(len, self._cache.values())) > CHUNK_CACHE_BYTES
            ):
                self._cache.popitem(last=False)
            return data

    def _file(self) -> int:
        if self._handle is None:
            try:
                # A file object, so that the descriptor is closed with this reader.
                self._handle = self.path.open('rb', buffering=0)
            except OSError as error:
                raise BagError(f'bag file {self.path} cannot be opened: {error}') from error
        return self._handle.fileno()

    def __getstate__(self) -> dict[str, object]:
        state = self.__dict__.copy()
        for name in ('_handle', '_lock', '_cache'):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._handle = None
        self._lock = threading.Lock()
        self._cache = OrderedDict()

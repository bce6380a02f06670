"""The ROS 1 bag format, version 2.0, read by position: indexed, unindexed, and cut files.

As with mcap, one pass over the record headers builds the index, so that `.bag.active` files of a
recorder that crashed are read as far as they go.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.storage import Channel, Chunk, ChunkedFile, ros2_type

MAGIC = b'#ROSBAG V2.0\n'
_MESSAGE, _INDEX, _CHUNK, _CONNECTION = 2, 4, 5, 7
#: Headers are a few dozen bytes, with the message definition in the data of a connection.
_MAX_HEADER = 2**16


class Rosbag1File(ChunkedFile):
    """One .bag file of ROS 1; see `Storage`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if self.size < len(MAGIC) or self.pread(len(MAGIC), 0) != MAGIC:
            raise BagError(f'bag file {path} is no ROS 1 bag of version 2.0')
        self._found: dict[int, list[np.ndarray]] = {}
        try:
            self._scan()
        except (BagError, KeyError, struct.error) as error:
            self.problem = f'{path.name} is cut off or damaged ({error})'
        self.index = {
            channel: np.concatenate(parts)
            for channel, parts in self._found.items()
            if channel in self.channels
        }
        del self._found

    def read(self, a: int, b: int, limit: int | None = None) -> bytes:
        """Return the message of chunk `a` at offset `b`; see `Storage`."""
        data = self.unpacked(a)
        try:
            fields, body, size, _ = _record(data, b)
            # Recorders put a connection record in front of the first message of each topic.
            while fields['op'][0] == _CONNECTION:
                fields, body, size, _ = _record(data, body + size)
        except (KeyError, IndexError, struct.error) as error:
            raise BagError(
                f'bag file {self.path} has no whole message where its index says so'
            ) from error
        return data[body : body + (size if limit is None else min(size, limit))]

    def _scan(self) -> None:
        at = len(MAGIC)
        chunk: int | None = None
        entries: dict[int, np.ndarray] = {}
        while at + 8 <= self.size:
            (header,) = struct.unpack('<I', self.pread(4, at))
            if header > _MAX_HEADER or at + 8 + header > self.size:
                break
            fields = _fields(self.pread(header, at + 4))
            (size,) = struct.unpack('<I', self.pread(4, at + 4 + header))
            body = at + 8 + header
            opcode = fields['op'][0]
            if opcode == _INDEX and chunk is not None and body + size <= self.size:
                (channel,) = struct.unpack('<I', fields['conn'])
                entries[channel] = _index(self.pread(size, body), chunk)
            else:
                if chunk is not None:
                    self._finish(chunk, entries)
                chunk, entries = None, {}
                if opcode == _CHUNK:
                    compression = fields['compression'].decode()
                    (unpacked,) = struct.unpack('<I', fields['size'])
                    self.chunks.append(
                        Chunk(body, min(size, self.size - body), compression, unpacked)
                    )
                    chunk = len(self.chunks) - 1
                elif opcode == _CONNECTION and body + size <= self.size:
                    self._connection(fields, self.pread(size, body))
            at = body + size
        if chunk is not None:
            self._finish(chunk, entries if at <= self.size else {})
        if at != self.size and self.problem is None:
            self.problem = f'{self.path.name} is cut off after {self.size} bytes'

    def _finish(self, number: int, entries: dict[int, np.ndarray]) -> None:
        """Take the messages of a chunk from its index, or from itself where that is not enough."""
        if not entries or not entries.keys() <= self.channels.keys():
            try:
                data = self.unpacked(number)
            except BagError as error:
                self.problem = f'{self.path.name}: {error}'
                data = b''
            for fields, body, size, at in _records(data):
                if fields['op'][0] == _CONNECTION:
                    self._connection(fields, data[body : body + size])
                elif fields['op'][0] == _MESSAGE and not entries:
                    (channel,) = struct.unpack('<I', fields['conn'])
                    seconds, nanoseconds = struct.unpack('<II', fields['time'])
                    row = np.array([[seconds * 10**9 + nanoseconds, number, at]], np.int64)
                    self._found.setdefault(channel, []).append(row)
        for channel, rows in entries.items():
            self._found.setdefault(channel, []).append(rows)

    def _connection(self, fields: dict[str, bytes], body: bytes) -> None:
        (channel,) = struct.unpack('<I', fields['conn'])
        topic = fields['topic'].decode(errors='replace')
        msgtype = _fields(body)['type'].decode(errors='replace')
        # ROS 1 recorders write names as they came; those of ROS 2 are absolute.
        self.channels[channel] = Channel('/' + topic.strip('/'), ros2_type(msgtype), 'ros1')


def _fields(header: bytes) -> dict[str, bytes]:
    """Return the name=value pairs of a record header."""
    fields, at = {}, 0
    while at + 4 <= len(header):
        (length,) = struct.unpack_from('<I', header, at)
        name, _, value = header[at + 4 : at + 4 + length].partition(b'=')
        fields[name.decode(errors='replace')] = value
        at += 4 + length
    return fields


def _record(data: bytes, at: int) -> tuple[dict[str, bytes], int, int, int]:
    """Return header fields, start and size of the body, and offset of the record at `at`."""
    (header,) = struct.unpack_from('<I', data, at)
    fields = _fields(data[at + 4 : at + 4 + header])
    (size,) = struct.unpack_from('<I', data, at + 4 + header)
    body = at + 8 + header
    if body + size > len(data):
        raise struct.error(f'a record of {size} bytes, of which {len(data) - body} are there')
    return fields, body, size, at


def _records(data: bytes) -> Iterator[tuple[dict[str, bytes], int, int, int]]:
    """Yield the whole records of a chunk."""
    at = 0
    while at < len(data):
        try:
            record = _record(data, at)
        except struct.error:
            return
        yield record
        at = record[1] + record[2]


def _index(body: bytes, chunk: int) -> np.ndarray:
    """Return the rows of an index record: time, chunk, offset in the chunk."""
    count = len(body) // 12
    entries = np.frombuffer(body, '<u4', 3 * count).astype(np.int64).reshape(-1, 3)
    times = entries[:, 0] * 10**9 + entries[:, 1]
    return np.column_stack([times, np.full(count, chunk), entries[:, 2]])

"""The MCAP file format (mcap.dev/spec), read by position: whole files, and what is left of one.

One pass over the record headers builds the index; it does not need the summary at the end, which a
recorder that crashed never wrote. Chunks are unpacked in this pass only if they have no message
index behind them or introduce a channel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.storage import Channel, Chunk, ChunkedFile, ros2_type

MAGIC = b'\x89MCAP0\r\n'
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX = 3, 4, 5, 6, 7
_HEAD = struct.Struct('<BQ')  # opcode, length of what follows
_MESSAGE_HEAD = struct.Struct('<HIQQ')  # channel, sequence, log time, publish time
_CHUNK_HEAD = struct.Struct('<QQQII')  # start, end, unpacked size, crc, length of the compression
#: Schemas and channels are some kilobytes.
_MAX_RECORD = 2**24
#: A chunk number that says: this message lies in no chunk.
_NO_CHUNK = -1


class McapFile(ChunkedFile):
    """One .mcap file; see `Storage`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if self.size < len(MAGIC) or self.pread(len(MAGIC), 0) != MAGIC:
            raise BagError(f'bag file {path} is no mcap file: it does not begin with its magic')
        self._schemas: dict[int, str] = {}
        self._found: dict[int, list[np.ndarray]] = {}
        self._scan()
        self.index = {
            channel: np.concatenate(parts)
            for channel, parts in self._found.items()
            if channel in self.channels
        }
        del self._found, self._schemas

    def read(self, a: int, b: int, limit: int | None = None) -> bytes:
        """Return the message of chunk `a` (or none) at offset `b`; see `Storage`."""
        head = _HEAD.size + _MESSAGE_HEAD.size
        if a == _NO_CHUNK or not self.chunks[a].compression:
            start = b + (0 if a == _NO_CHUNK else self.chunks[a].start)
            size = self._message_size(self.pread(head, start), self.size - start)
            return self.pread(size if limit is None else min(size, limit), start + head)
        data = self.unpacked(a)
        size = self._message_size(data[b : b + head], len(data) - b)
        return data[b + head : b + head + (size if limit is None else min(size, limit))]

    def _message_size(self, head: bytes, left: int) -> int:
        """Return the length of the data behind the head of a message, checked against the file."""
        if len(head) == _HEAD.size + _MESSAGE_HEAD.size and head[0] == _MESSAGE:
            size = _HEAD.unpack_from(head)[1] - _MESSAGE_HEAD.size
            if 0 <= size <= left - len(head):
                return size
        raise BagError(f'bag file {self.path} has no whole message where its index says so')

    def _scan(self) -> None:
        at = len(MAGIC)
        chunk: int | None = None  # the last one, as long as its message index may follow
        entries: dict[int, np.ndarray] = {}
        while at + _HEAD.size <= self.size:
            opcode, length = _HEAD.unpack(self.pread(_HEAD.size, at))
            body = at + _HEAD.size
            whole = body + length <= self.size
            if opcode == _MESSAGE_INDEX and whole and chunk is not None:
                channel, rows = _message_index(self.pread(length, body), chunk)
                entries[channel] = rows
            elif opcode == _MESSAGE_INDEX and not whole:
                entries = {}  # the cut runs through the index: read the chunk itself
            else:
                if chunk is not None:
                    self._finish(chunk, entries)
                chunk, entries = None, {}
                if opcode == _CHUNK:
                    chunk = self._add_chunk(body, min(length, self.size - body))
                elif whole and opcode in (_SCHEMA, _CHANNEL, _MESSAGE):
                    # Only the head of a message is looked at.
                    size = min(length, _MESSAGE_HEAD.size if opcode == _MESSAGE else _MAX_RECORD)
                    self._record(opcode, self.pread(size, body), _NO_CHUNK, at)
            at = body + length
        if chunk is not None:
            self._finish(chunk, entries)
        tail = self.pread(len(MAGIC), self.size - len(MAGIC))
        if self.problem is None and (at > self.size or tail != MAGIC):
            self.problem = f'{self.path.name} is cut off after {self.size} bytes'

    def _add_chunk(self, body: int, length: int) -> int | None:
        """Note a chunk, of which the file may hold only a piece; return its number."""
        if length < _CHUNK_HEAD.size:
            return None
        *_, unpacked_size, _, name = _CHUNK_HEAD.unpack(self.pread(_CHUNK_HEAD.size, body))
        start = _CHUNK_HEAD.size + name + 8
        if name > 16 or start > length:
            return None
        compression = self.pread(name, body + _CHUNK_HEAD.size).decode(errors='replace')
        self.chunks.append(Chunk(body + start, length - start, compression, unpacked_size))
        return len(self.chunks) - 1

    def _finish(self, number: int, entries: dict[int, np.ndarray]) -> None:
        """Take the messages of a chunk from its index, or from itself where that is not enough."""
        if not entries or not entries.keys() <= self.channels.keys():
            chunk = self.chunks[number]
            try:
                data = self.unpacked(number)
            except BagError as error:
                self.problem = f'{self.path.name}: {error}'
                data = b''
            for opcode, body, at in _records(data):
                if opcode in (_SCHEMA, _CHANNEL) or (opcode == _MESSAGE and not entries):
                    self._record(opcode, body, number, at)
            if not entries and len(data) < chunk.unpacked_size and self.problem is None:
                self.problem = f'{self.path.name} is cut off within a chunk'
        for channel, rows in entries.items():
            self._found.setdefault(channel, []).append(rows)

    def _record(self, opcode: int, body: bytes, chunk: int, at: int) -> None:
        """Take a schema, a channel or a message that lies at `at` of its chunk or file."""
        try:
            if opcode == _MESSAGE:
                channel, _, time, _ = _MESSAGE_HEAD.unpack_from(body)
                # No clock reaches 2**63 ns; a damaged one must not end the scan.
                row = np.array([[min(time, 2**63 - 1), chunk, at]], np.int64)
                self._found.setdefault(channel, []).append(row)
            elif opcode == _SCHEMA:
                (schema,) = struct.unpack_from('<H', body)
                self._schemas[schema] = _string(body, 2)[0]
            else:
                channel, schema = struct.unpack_from('<HH', body)
                topic, end = _string(body, 4)
                msgtype = ros2_type(self._schemas.get(schema, ''))
                self.channels[channel] = Channel(topic, msgtype, _string(body, end)[0])
        except (struct.error, UnicodeDecodeError) as error:
            self.problem = f'{self.path.name} has a damaged record ({error})'


def _records(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield opcode, body and offset of the whole records in a chunk."""
    at = 0
    while at + _HEAD.size <= len(data):
        opcode, length = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length
        if end > len(data):
            return
        body = at + _HEAD.size
        yield opcode, data[body : body + _MESSAGE_HEAD.size if opcode == _MESSAGE else end], at
        at = end


def _message_index(body: bytes, chunk: int) -> tuple[int, np.ndarray]:
    """Return the channel of a message index and its rows: time, chunk, offset in the chunk."""
    count = (len(body) - 6) // 16
    if count < 0:
        return -1, np.empty((0, 3), np.int64)
    pairs = np.frombuffer(body, '<u8', 2 * count, offset=6).astype(np.int64).reshape(-1, 2)
    rows = np.column_stack([pairs[:, 0], np.full(count, chunk), pairs[:, 1]])
    return struct.unpack_from('<H', body)[0], rows


def _string(data: bytes, at: int) -> tuple[str, int]:
    """Return a length-prefixed string and the offset behind it."""
    (length,) = struct.unpack_from('<I', data, at)
    end = at + 4 + length
    if end > len(data):
        raise struct.error(f'a string of {length} bytes in a record of {len(data)}')
    return data[at + 4 : end].decode(), end

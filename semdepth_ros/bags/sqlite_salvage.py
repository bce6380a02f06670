"""Messages out of a damaged sqlite3 bag, page by page, without the trees that sqlite needs.

A file that was cut off has lost inner pages of its trees, and sqlite then gives nothing at all. The
leaves that are left still hold whole messages (file format: sqlite.org/fileformat2.html, sections
1.6 and 2.1).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.storage import MAX_UNPACKED_BYTES

_TABLE_LEAF = 0x0D


def salvaged_rows(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Yield topic id, timestamp and the offset of its cell for every message in a leaf page.

    Messages whose data lies partly behind the end of the file are among them: reading those fails.
    """
    descriptor = file.fileno()
    page_size = _page_size(descriptor)
    size = os.fstat(descriptor).st_size
    for start in range(page_size, size - page_size + 1, page_size):
        page = os.pread(descriptor, page_size, start)
        if page[0] != _TABLE_LEAF:
            continue
        (count,) = struct.unpack_from('>H', page, 3)
        if 8 + 2 * count > page_size:
            continue
        for cell in struct.unpack_from(f'>{count}H', page, 8):
            try:
                topic, timestamp, _, _ = _message(page, cell)
            except (IndexError, ValueError):
                continue
            yield topic, timestamp, start + cell


def salvaged_message(file: BinaryIO, offset: int) -> bytes:
    """Return the data of the message whose cell lies at `offset`.

    Raises:
        BagError: if a part of it lies behind the end of the file.
    """
    descriptor = file.fileno()
    page_size = _page_size(descriptor)
    start = offset // page_size * page_size
    page = os.pread(descriptor, page_size, start)
    try:
        _, _, begin, size = _message(page, offset - start)
        at, payload_size, local = _cell(page, offset - start, page_size)
    except (IndexError, ValueError) as error:
        raise BagError(f'the message at byte {offset} is damaged') from error
    if size > MAX_UNPACKED_BYTES:
        raise BagError(f'the message at byte {offset} claims to have {size} bytes')
    parts = [page[begin : at + local]]
    missing = payload_size - local
    next_page = page[at + local : at + local + 4]
    while missing > 0:
        number = int.from_bytes(next_page, 'big')
        overflow = os.pread(descriptor, page_size, (number - 1) * page_size) if number else b''
        if len(overflow) < page_size:
            raise BagError(f'the message at byte {offset} ends behind the end of the file')
        next_page = overflow[:4]
        parts.append(overflow[4 : 4 + missing])
        missing -= page_size - 4
    return b''.join(parts)


def _page_size(descriptor: int) -> int:
    size = int.from_bytes(os.pread(descriptor, 2, 16), 'big')
    return 65536 if size == 1 else max(size, 512)


def _message(page: bytes, cell: int) -> tuple[int, int, int, int]:
    """Return topic id, timestamp, and start and size of the data of a row of `messages`.

    Raises:
        ValueError: if the row is one of another table.
    """
    at, _, local = _cell(page, cell, len(page))
    header, column = _varint(page, at)
    types = []
    while column < at + header:
        kind, column = _varint(page, column)
        types.append(kind)
    # The id is the row's number and stored as NULL; then two integers and a blob.
    if len(types) != 4 or types[0] != 0 or types[3] < 12 or types[3] % 2:
        raise ValueError('not a row of messages')
    values = []
    for kind in types[1:3]:
        if kind in (8, 9):
            values.append(kind - 8)
            continue
        width = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}.get(kind)
        if width is None:
            raise ValueError('not a row of messages')
        values.append(int.from_bytes(page[column : column + width], 'big', signed=True))
        column += width
    if column > at + local:
        raise ValueError('not a row of messages')
    return values[0], values[1], column, (types[3] - 12) // 2


def _cell(page: bytes, cell: int, usable: int) -> tuple[int, int, int]:
    """Return where the payload of a cell starts, its size, and how much of it lies in the page."""
    size, at = _varint(page, cell)
    _, at = _varint(page, at)  # the number of the row
    local = size
    if size > usable - 35:
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        if local > usable - 35:
            local = least
    return at, size, local


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for k in range(9):
        byte = data[at + k]
        if k == 8:  # the ninth byte has no flag
            value = value << 8 | byte
            break
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + k + 1
    return value, at + 9

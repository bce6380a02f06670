"""The sqlite3 storage of rosbag2, read by row: whole files, and what is left of cut ones."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from urllib.parse import quote

import numpy as np

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.sqlite_salvage import salvaged_message, salvaged_rows
from semdepth_ros.bags.storage import Channel, ros2_type


class SqliteFile:
    """One .db3 file; see `Storage`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.channels: dict[int, Channel] = {}
        self.index: dict[int, np.ndarray] = {}
        self.problem: str | None = None
        self._connection: sqlite3.Connection | None = None
        self._process = -1
        self._lock = threading.Lock()
        try:
            topics = self._rows('SELECT id, name, type, serialization_format FROM topics')
        except sqlite3.Error as error:
            raise BagError(f'bag file {path} is no rosbag2 database: {error}') from error
        self.channels = {
            id: Channel(name, ros2_type(msgtype), serialization)
            for id, name, msgtype, serialization in topics
            # A column of sqlite holds anything, in a damaged file at least.
            if all(isinstance(value, str) for value in (name, msgtype, serialization))
        }
        self._scan()

    def read(self, a: int, b: int, limit: int | None = None) -> bytes:
        """Return the message of row `a`, or if `b` that of the cell at byte `a`; see `Storage`."""
        if b:
            with self.path.open('rb') as file:
                return salvaged_message(file, a)[:limit]
        column = 'data' if limit is None else f'substr(data, 1, {int(limit)})'
        try:
            rows = self._rows(f'SELECT {column} FROM messages WHERE id = ?', (a,))
        except sqlite3.Error as error:
            raise BagError(f'message {a} of {self.path} cannot be read: {error}') from error
        if not rows or not isinstance(rows[0][0], bytes):
            raise BagError(f'message {a} of {self.path} is gone or has no data')
        return rows[0][0]

    def _scan(self) -> None:
        rows: list[tuple[int, int, int]] = []
        try:
            # In the order of the file, which is that of time, near enough; sorted later.
            for row in self._database().execute('SELECT topic_id, timestamp, id FROM messages'):
                if all(isinstance(value, int) for value in row):
                    rows.append(row)
        except sqlite3.Error as error:
            self.problem = f'{self.path.name} is cut off or damaged ({error})'
            with self.path.open('rb') as file:
                rows = list(salvaged_rows(file))
        table = np.array(rows, np.int64).reshape(-1, 3)
        salvaged = int(self.problem is not None)
        for channel in self.channels:
            found = table[table[:, 0] == channel]
            self.index[channel] = np.insert(found[:, 1:], 2, salvaged, axis=1)

    def _rows(self, query: str, arguments: tuple[int, ...] = ()) -> list[tuple]:
        with self._lock:
            return self._database().execute(query, arguments).fetchall()

    def _database(self) -> sqlite3.Connection:
        # A connection must not be used across a fork.
        if self._connection is None or self._process != os.getpid():
            self._connection = self._connect()
            # Otherwise sqlite refuses every row of a file that is shorter than its header says.
            self._connection.execute('PRAGMA writable_schema = ON')
            self._process = os.getpid()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        """Open the file for reading, with the write-ahead log beside it if there is one."""
        name = f'file:{quote(str(self.path.absolute()))}'
        log = self.path.with_name(self.path.name + '-wal')
        if log.exists() and log.stat().st_size:
            connection = sqlite3.connect(f'{name}?mode=ro', uri=True, check_same_thread=False)
            try:
                connection.execute('SELECT count(*) FROM sqlite_master')
                return connection
            except sqlite3.OperationalError as error:
                # Reading the log needs a lock file beside it, which a read-only folder refuses.
                self.problem = f'{log.name} cannot be read ({error}), its messages are left out'
        return sqlite3.connect(f'{name}?immutable=1', uri=True, check_same_thread=False)

    def __getstate__(self) -> dict[str, object]:
        state = self.__dict__.copy()
        for name in ('_connection', '_lock'):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._connection = None
        self._lock = threading.Lock()

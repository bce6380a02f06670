"""Writing a rosbag2 without ROS: whole or not at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.messages import typestore

_STORAGE = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
# "For ever", as rmw spells an unset deadline, lifespan and lease.
_INFINITE = QosTime(9223372036, 854775807)


class BagWriter:
    """Writes messages to a new bag, a context manager.

    The bag grows in a hidden folder beside `path` and gets its name when it is closed. If the
    block is left by Ctrl-C, what was written is kept as a whole, shorter bag; any other exception
    removes it.

    `/tf_static` and LabelInfo are recorded as transient local, so that `ros2 bag play` latches
    them; every other topic is reliable and volatile.

    Raises:
        BagError: if `path` exists, or cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], storage: Literal['mcap', 'sqlite3'] = 'mcap'
    ) -> None:
        self.path = Path(path)
        if storage not in _STORAGE:
            raise BagError(f'bag storage {storage!r} is unknown, expected mcap or sqlite3')
        if self.path.exists():
            raise BagError(f'bag {self.path} exists already, expected a new name')
        try:
            parent = self.path.absolute().parent
            parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(
                tempfile.mkdtemp(prefix=f'.{self.path.name}.', suffix='.partial', dir=parent)
            )
            # Version 8 is the newest that Humble and Iron read as well as Jazzy and later.
            self._writer: Writer | None = Writer(
                self._folder / self.path.name, version=8, storage_plugin=_STORAGE[storage]
            )
            self._writer.open()
        except OSError as error:
            raise BagError(f'bag {self.path} cannot be written: {error}') from error
        self._connections: dict[str, Connection] = {}
        self.message_count = 0

    def write(self, topic: str, message: Any, log_time_ns: int) -> None:
        """Append one message (see `semdepth_ros.bags.messages`) at its time of receipt.

        Raises:
            BagError: if the writer is closed, the topic has another type, or the disk is full.
        """
        if self._writer is None:
            raise BagError(f'bag {self.path} is closed, {topic} cannot be written')
        name = message.__msgtype__
        try:
            connection = self._connections.get(topic)
            if connection is None:
                connection = self._writer.add_connection(
                    topic, name, typestore=typestore(), offered_qos_profiles=[_qos(topic, name)]
                )
                self._connections[topic] = connection
            elif connection.msgtype != name:
                raise BagError(f'topic {topic} holds {connection.msgtype}, not {name}')
            self._writer.write(connection, log_time_ns, typestore().serialize_cdr(message, name))
        except (OSError, WriterError, sqlite3.Error) as error:
            raise BagError(f'bag {self.path} cannot be written: {error}') from error
        self.message_count += 1

    def close(self, keep: bool = True) -> None:
        """Finish the bag and give it its name, or with `keep=False` remove it."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            if keep:
                writer.close()
                # Not `replace`: a bag that appeared meanwhile under this name stays as it is.
                os.rename(self._folder / self.path.name, self.path)
            else:
                writer.abort()
        except Exception as error:
            raise BagError(f'bag {self.path} cannot be written: {error}') from error
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(keep=kind is None or issubclass(kind, KeyboardInterrupt))


def _qos(topic: str, msgtype: str) -> Qos:
    latched = topic.rsplit('/', 1)[-1] == 'tf_static' or msgtype == 'vision_msgs/msg/LabelInfo'
    return Qos(
        QosHistory.KEEP_LAST,
        1 if latched else 10,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        _INFINITE,
        _INFINITE,
        QosLiveliness.AUTOMATIC,
        _INFINITE,
        False,
    )

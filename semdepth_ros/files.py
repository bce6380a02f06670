"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from semdepth_ros.errors import SemdepthError


class FileError(SemdepthError, OSError):
    """A file that cannot be written: a full disk, a folder that may not be written to."""


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; it takes the name when the block ends well.

    An exception removes it, and whatever stood at `path` stays as it was. Missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f'.{path.stem}.', suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files for the owner alone; a result is as readable as any new file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Write a file so that a reader sees all of it or what was there before.

    Raises:
        FileError: when it cannot be written; what was there before stays.
    """
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        failure = FileError(f'{path} cannot be written: {error.strerror}')
        failure.strerror = error.strerror
        raise failure from error

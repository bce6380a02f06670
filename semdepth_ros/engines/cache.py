"""What is slow to build is kept: files under the user's cache directory, named by their content.

A name holds the hash of everything that the content depends on, so a changed key finds nothing and
builds anew. Files are renamed into place: two processes may build the same one, neither reads half
of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import torch
from torch import nn

from semdepth_ros.engines.engine import Report
from semdepth_ros.files import write_atomically

#: What was not used for longest goes when the files together exceed this.
MAX_BYTES = 4 << 30


def cache_folder() -> Path:
    """Return $XDG_CACHE_HOME/semdepth_ros, or ~/.cache/semdepth_ros."""
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(base) / 'semdepth_ros'


def entry_path(name: str, key: tuple[object, ...]) -> Path:
    """Return the file of a key.

    Args:
        name: for people, with the suffix: 'onnx-float32-640x192.onnx'.
        key: everything that the content depends on; each part by its `repr`.
    """
    stem, suffix = os.path.splitext(name)
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:32]
    return cache_folder() / f'{stem}-{digest}{suffix}'


def cached(path: Path, build: Callable[[], bytes], report: Report) -> bytes:
    """Return the content of a file of the cache, built and kept if it is not there.

    A cache that cannot be read or written costs time, not the result: it is reported.
    """
    try:
        content = path.read_bytes()
        os.utime(path)
        return content
    except FileNotFoundError:
        pass
    except OSError as error:
        report(f'cache {path} cannot be read ({error.strerror}): it is built anew')
    content = build()
    try:
        store(path, content)
    except OSError as error:
        report(f'cache {path} cannot be written ({error.strerror}): the next start builds it again')
    return content


def store(path: Path, content: bytes) -> None:
    """Write a file of the cache whole or not at all; forget what was not used for longest."""
    write_atomically(path, content)
    files = [(file, file.stat()) for file in path.parent.iterdir() if file.is_file()]
    total = sum(stat.st_size for _, stat in files)
    for file, stat in sorted(files, key=lambda pair: pair[1].st_mtime):
        if total <= MAX_BYTES:
            break
        if file != path:
            file.unlink(missing_ok=True)
            total -= stat.st_size


def model_hash(model: nn.Module) -> str:
    """Return the hash of a model's structure and numbers."""
    digest = hashlib.sha256(repr(model).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(memoryview(data.numpy()))
    return digest.hexdigest()


def code_hash() -> str:
    """Return the hash of the code that turns weights into a graph: new code, new files."""
    digest = hashlib.sha256()
    package = resources.files('semdepth_ros')
    folders = [package / 'networks', package / 'networks' / 'semantic', package / 'export']
    for folder in folders:
        for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if file.name.endswith('.py'):
                digest.update(file.read_bytes())
    digest.update((package / 'engines' / 'inference.py').read_bytes())
    return digest.hexdigest()

"""One pass through a drive: which frames decode, how the image moves, and frames ready to train on.

What the pass finds is kept in a folder named by a hash of everything that it depends on: the bag's
content, the topic, the cameras, the window and this file's version. Frames are resized (and
rectified) once and stored as plain uint8 arrays where reading them from the bag is slow. Each file
is written whole or not at all, so a pass that is interrupted goes on where it stopped; processes
that want the same folder wait for each other.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import fcntl
import hashlib
import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from semdepth_ros.bags.drive import Drive
from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.flow import median_flow, thumbnail
from semdepth_ros.errors import SemdepthError
from semdepth_ros.files import atomic_path
from semdepth_ros.preprocessing import Fit, fit
from semdepth_ros.rectification import rectify

#: Counts up whenever a cached frame would look different.
CACHE_VERSION = 1

#: Frames in one file of the cache.
FRAMES_PER_FILE = 256


class FrameCacheError(SemdepthError):
    """Frames that cannot be prepared: no room for them, or a setting that nothing fits."""


@dataclasses.dataclass(frozen=True)
class CacheConfig:
    """Where prepared frames are kept.

    Attributes:
        use: 'always' or 'never' keep resized frames on disk; 'auto' does where a frame takes more
            than `slow_ms` to read from the bag.
        slow_ms: milliseconds a frame, on one thread, above which 'auto' caches.
        folder: where; empty is semdepth/training under the user's cache folder.
    """

    use: str = 'auto'
    slow_ms: float = 8.0
    folder: str = ''

    def __post_init__(self) -> None:
        if self.use not in ('auto', 'always', 'never'):
            raise FrameCacheError(f'data.cache.use is {self.use!r}, expected auto, always or never')

    def root(self) -> Path:
        """Return the folder under which every bag has its own."""
        if self.folder:
            return Path(self.folder).expanduser()
        base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
        return Path(base) / 'semdepth' / 'training'


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a bag: of its file, or of names and contents in its folder."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob('*') if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode() + b'\0')
        with file.open('rb') as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


class PreparedDrive:
    """A drive whose frames are ready to train on; may be read from several threads.

    Attributes:
        drive: the recording.
        fit: how its (rectified) images become network inputs; `fit.camera` is their camera.
        sha256: hash of the bag.
        corrupt: which frames cannot be decoded, (N,) bool.
        flow: median optical flow from each frame to the next as a share of the image's width,
            (N - 1,), NaN beside corrupt frames.
        is_cached: whether frames come from the cache.
    """

    def __init__(
        self, drive: Drive, width: int, height: int, config: CacheConfig, sha256: str = ''
    ) -> None:
        self.drive = drive
        self.fit: Fit = fit(drive.camera.undistorted(), width, height, 'crop')
        self.sha256 = sha256 or content_hash(Path(drive.path))
        self.folder = config.root() / self._key()
        self._local = threading.local()
        self._files: dict[int, np.ndarray] = {}
        self.is_cached = False
        self.corrupt = np.zeros(len(drive), bool)
        self.flow = np.full(max(0, len(drive) - 1), np.nan)
        self._config = config

    def prepare(self, progress: Callable[[int], None] = lambda frames: None) -> None:
        """Make the one pass, or take over what an earlier pass left; then frames can be read.

        Args:
            progress: called with a number of frames whenever so many more are done.

        Raises:
            FrameCacheError: when the disk has no room for the frames.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder / 'lock'):
                self._pass(progress)
        except OSError as error:
            raise FrameCacheError(
                f'frames of bag {self.drive.name} cannot be cached in {self.folder}: '
                f'{error.strerror or error}'
            ) from error

    def read(self, index: int, out_HW3: np.ndarray) -> None:
        """Write frame `index`, resized and rectified, into `out_HW3`, uint8 RGB.

        Raises:
            BagError: when the frame is corrupt.
        """
        if self.is_cached:
            chunk, at = divmod(index, FRAMES_PER_FILE)
            frames = self._files.get(chunk)
            if frames is None:
                frames = self._files[chunk] = np.load(self._frames_path(chunk), mmap_mode='r')
            out_HW3[:] = frames[at]
        else:
            self._read_from_bag(index, out_HW3)

    def _read_from_bag(self, index: int, out_HW3: np.ndarray) -> None:
        drive = getattr(self._local, 'drive', None)
        if drive is None:
            # A copy opens its own file handles: threads do not share them.
            drive = self._local.drive = copy.deepcopy(self.drive)
        image = rectify(drive.image(index), drive.camera, self.fit.source)
        self.fit.apply(image, out=out_HW3)

    def _pass(self, progress: Callable[[int], None]) -> None:
        count = len(self.drive)
        chunks = range(-(-count // FRAMES_PER_FILE))
        self.is_cached = self._wants_frames(chunks)
        missing = [chunk for chunk in chunks if not self._is_done(chunk)]
        if self.is_cached:
            self._check_room(missing)
        # While the pass runs, frames come from the bag.
        from_cache, self.is_cached = self.is_cached, False
        for chunk in chunks:
            start, stop = chunk * FRAMES_PER_FILE, min(count, (chunk + 1) * FRAMES_PER_FILE)
            if chunk in missing:
                self._prepare_chunk(chunk, start, stop, from_cache)
            with np.load(self._motion_path(chunk)) as found:
                self.corrupt[start:stop] = found['corrupt']
                self.flow[start : stop - 1] = found['flow'][1:]
                if start:
                    self.flow[start - 1] = found['flow'][0]
            progress(stop - start)
        self.is_cached = from_cache

    def _wants_frames(self, chunks: range) -> bool:
        if self._config.use != 'auto':
            return self._config.use == 'always'
        if len(chunks) and all(self._frames_path(chunk).exists() for chunk in chunks):
            return True
        return self._milliseconds_a_frame() > self._config.slow_ms

    def _milliseconds_a_frame(self) -> float:
        """Return the median time of frames far apart, as training reads them."""
        out = self._empty(1)[0]
        times = []
        for index in np.linspace(0, len(self.drive) - 1, 9).astype(int):
            start = time.perf_counter()
            with contextlib.suppress(BagError):
                self._read_from_bag(int(index), out)
                times.append(time.perf_counter() - start)
        # The first read opens files and computes maps.
        return float(np.median(times[1:])) * 1000 if len(times) > 1 else 0.0

    def _prepare_chunk(self, chunk: int, start: int, stop: int, keep_frames: bool) -> None:
        frames = self._empty(stop - start)

        def one(index: int) -> np.ndarray | None:
            try:
                out = frames[index - start] if index >= start else self._empty(1)[0]
                self._read_from_bag(index, out)
            except BagError:
                return None
            return thumbnail(out)

        # The frame before the chunk is read again for the flow to the chunk's first.
        indices = range(max(0, start - 1), stop)
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            thumbnails = list(pool.map(one, indices))
        if start == 0:
            thumbnails.insert(0, None)
        flow = np.array([_flow(a, b) for a, b in itertools.pairwise(thumbnails)])
        corrupt = np.array([thumbnail is None for thumbnail in thumbnails[1:]])
        if keep_frames:
            with atomic_path(self._frames_path(chunk)) as partial:
                np.save(partial, frames)
        with atomic_path(self._motion_path(chunk)) as partial:
            np.savez(partial, corrupt=corrupt, flow=flow)

    def _check_room(self, missing: list[int]) -> None:
        width, height = self.fit.camera.size
        needed = len(missing) * FRAMES_PER_FILE * width * height * 3
        needed = min(needed, len(self.drive) * width * height * 3)
        free = shutil.disk_usage(self.folder).free
        if missing and needed > free:
            raise FrameCacheError(
                f'frames of bag {self.drive.name} take {needed / 2**30:.1f} GiB, '
                f'{self.folder} has {free / 2**30:.1f} GiB free'
            )

    def _is_done(self, chunk: int) -> bool:
        return self._motion_path(chunk).exists() and (
            not self.is_cached or self._frames_path(chunk).exists()
        )

    def _frames_path(self, chunk: int) -> Path:
        return self.folder / f'frames_{chunk:05d}.npy'

    def _motion_path(self, chunk: int) -> Path:
        return self.folder / f'motion_{chunk:05d}.npz'

    def _empty(self, count: int) -> np.ndarray:
        width, height = self.fit.camera.size
        return np.zeros((count, height, width, 3), np.uint8)

    def _key(self) -> str:
        parts = (CACHE_VERSION, self.sha256, self.drive.topics, self.drive.camera, self.fit)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _flow(before: np.ndarray | None, after: np.ndarray | None) -> float:
    """Return the median flow between two thumbnails, NaN beside a corrupt frame."""
    return float('nan') if before is None or after is None else median_flow(before, after)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, which the system takes back when its process dies."""
    with path.open('w') as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield

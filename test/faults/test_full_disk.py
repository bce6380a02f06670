"""A disk that is full while a file is written: nothing half-written is ever taken as whole.

The limit of RLIMIT_FSIZE stands in for the full disk: files grow to a size and then writing fails
with an OSError, in Python and in C libraries alike, and no test needs a file system of its own.
"""

import contextlib
import resource

import numpy as np
import pytest
import torch
from torch import nn

from semdepth_ros.bags import messages
from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.reader import Bag
from semdepth_ros.bags.writer import BagWriter
from semdepth_ros.engines import cache
from semdepth_ros.errors import SemdepthError
from semdepth_ros.simulation import StreetConfig, StreetDrive, default_camera
from semdepth_ros.simulation.bag import write_street_bag
from semdepth_ros.weights import load, save
from semdepth_training import checkpoints
from semdepth_training.checkpoints import CheckpointError
from semdepth_training.frame_cache import CacheConfig, FrameCacheError, PreparedDrive


@contextlib.contextmanager
def full_disk(size):
    """Let no file grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files(folder):
    return sorted(p.name for p in folder.rglob('*'))


def one_line(error):
    assert isinstance(error, SemdepthError)
    assert '\n' not in str(error)
    return str(error)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_bag_that_does_not_fit_is_not_there(tmp_path, storage):
    """Guard: `BagWriter.__exit__` (bags/writer.py) keeps a bag only if nothing failed."""
    noise = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    with pytest.raises(BagError) as caught, BagWriter(tmp_path / 'bag', storage) as bag:
        # Room is back when the writer is closed: it must not take what there is for a bag.
        with full_disk(200_000):
            for number in range(200):
                bag.write('/image', messages.image(number, 'camera', noise, 'rgb8'), number)
    assert 'cannot be written' in one_line(caught.value)
    assert files(tmp_path) == []


def test_a_rendered_street_that_does_not_fit_is_not_there(tmp_path):
    """Guard: `BagWriter.close` (bags/writer.py) renames the folder after all of it was written; the
    storage buffers this much, so that nothing fails before."""
    drive = StreetDrive(StreetConfig(seed=1, frames=2, camera=default_camera(96, 64)))
    with pytest.raises(BagError), full_disk(20_000):
        write_street_bag(tmp_path / 'street', drive)
    assert files(tmp_path) == []
    assert write_street_bag(tmp_path / 'street', drive) == 2
    assert not Bag(tmp_path / 'street').problems


def test_weights_that_do_not_fit_leave_the_old_file(tmp_path, tiny_weights):
    """Guard: `atomic_path` (files.py) in `weights.save` (weights/files.py)."""
    loaded = load(tiny_weights)
    target = tmp_path / 'model.safetensors'
    target.write_bytes(tiny_weights.read_bytes())
    with pytest.raises(SemdepthError) as caught, full_disk(1_000_000):
        save(target, loaded.model, loaded.card, loaded.pose)
    assert 'cannot be written' in one_line(caught.value)
    assert files(tmp_path) == ['model.safetensors']
    assert target.read_bytes() == tiny_weights.read_bytes()


def test_an_engine_that_does_not_fit_into_the_cache_still_runs_and_is_built_again(
    tmp_path, monkeypatch
):
    """Guard: `write_atomically` in `store`, and the `except OSError` of `cached`
    (engines/cache.py)."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    path = cache.entry_path('plan.engine', ('key',))
    builds, said = [], []

    def build():
        builds.append(1)
        return bytes(500_000)

    with full_disk(100_000):
        assert cache.cached(path, build, said.append) == bytes(500_000)
    assert 'cannot be written' in said[0]
    assert [p.name for p in path.parent.iterdir()] == []
    assert cache.cached(path, build, said.append) == bytes(500_000)
    assert len(builds) == 2
    assert path.stat().st_size == 500_000


def test_an_exported_graph_that_does_not_fit_is_not_there(tmp_path, tiny_weights, capsys):
    """Guard: `write_atomically` (files.py), whose error is a sentence and no traceback."""
    pytest.importorskip('onnx')
    from semdepth_ros.cli import main

    target = tmp_path / 'model.onnx'
    arguments = ['export', '--weights', str(tiny_weights), '--output', str(target)]
    with full_disk(100_000):
        code = main(arguments)
    assert code == 2
    assert f'semdepth: error: {target} cannot be written: File too large' in capsys.readouterr().err
    assert files(tmp_path) == []


def test_a_checkpoint_that_does_not_fit_leaves_the_last_one(tmp_path):
    """Guard: `atomic_path` in `checkpoints.save` (training/checkpoints.py)."""
    network = nn.Linear(300, 300)
    optimizer = torch.optim.Adam(network.parameters())
    path = tmp_path / 'last.ckpt'
    checkpoints.save(path, network, optimizer, checkpoints.Progress(step=1), 'run')
    with pytest.raises(CheckpointError) as caught, full_disk(50_000):
        checkpoints.save(path, network, optimizer, checkpoints.Progress(step=2), 'run')
    assert 'the last one is kept' in one_line(caught.value)
    assert files(tmp_path) == ['last.ckpt']
    assert checkpoints.load(path, network, optimizer, 'run').step == 1


def test_frames_that_do_not_fit_into_the_training_cache_are_prepared_anew(tmp_path, street_bag):
    """Guard: `atomic_path` in `PreparedDrive._prepare_chunk` (training/frame_cache.py)."""
    from semdepth_ros.bags.drive import Drive

    config = CacheConfig('always', folder=str(tmp_path))
    prepared = PreparedDrive(Drive(street_bag), 320, 96, config)
    with pytest.raises(FrameCacheError) as caught, full_disk(300_000):
        prepared.prepare()
    assert 'cannot be cached' in one_line(caught.value)
    assert not [name for name in files(tmp_path) if name.startswith(('frames', '.frames'))]
    whole = PreparedDrive(Drive(street_bag), 320, 96, config)
    whole.prepare()
    frame = np.empty((96, 320, 3), np.uint8)
    whole.read(5, frame)
    assert frame.any()

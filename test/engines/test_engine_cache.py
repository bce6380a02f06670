"""The cache of graphs and plans: keyed, atomic, never fatal."""

import os

import pytest
import torch
from torch import nn

from semdepth_ros.engines import cache


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    return tmp_path / 'semdepth_ros'


def fail(line):
    raise AssertionError(line)


def test_what_was_built_once_is_read_the_next_time(folder):
    path = cache.entry_path('graph.onnx', ('key', 1))
    built = []

    def build():
        built.append(1)
        return b'content'

    assert [cache.cached(path, build, fail) for _ in range(3)] == [b'content'] * 3
    assert len(built) == 1
    assert path.parent == folder and path.suffix == '.onnx'


@pytest.mark.parametrize('other', [('a', 2), ('a', '1'), ('b', 1), ('a', 1, None)])
def test_a_changed_key_is_another_file(other):
    assert cache.entry_path('x.onnx', ('a', 1)) != cache.entry_path('x.onnx', other)


def test_a_build_that_fails_leaves_nothing_behind(folder):
    def build():
        raise RuntimeError('no')

    with pytest.raises(RuntimeError):
        cache.cached(cache.entry_path('x.onnx', ()), build, fail)
    assert not folder.exists() or not list(folder.iterdir())


def test_a_write_that_fails_is_reported_and_the_result_is_there(folder):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text('a file where the folder should be')
    said = []
    assert (
        cache.cached(cache.entry_path('x.onnx', ()), lambda: b'content', said.append) == b'content'
    )
    assert said and all('cache' in line for line in said)


def test_nothing_half_written_is_ever_found_under_the_name(folder, monkeypatch):
    path = cache.entry_path('x.onnx', ())

    def crash(*arguments):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('pathlib.Path.replace', crash)
    said = []
    assert cache.cached(path, lambda: b'content', said.append) == b'content'
    assert not path.exists() and not list(folder.iterdir())
    assert 'No space left' in said[0]


def test_what_was_not_used_for_longest_goes_first(folder, monkeypatch):
    monkeypatch.setattr(cache, 'MAX_BYTES', 25)
    for age, name in [(300, 'old'), (200, 'older_but_used'), (100, 'young')]:
        cache.store(folder / name, bytes(10))
        if (folder / name).exists():
            os.utime(folder / name, (1e9 - age, 1e9 - age))
        if name == 'older_but_used':
            cache.cached(folder / 'old', lambda: b'', fail)
    assert sorted(entry.name for entry in folder.iterdir()) == ['old', 'young']


def test_the_hash_of_a_model_follows_numbers_and_structure():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4))
    before = cache.model_hash(model)
    assert cache.model_hash(model) == before
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] += 1e-6
    assert cache.model_hash(model) != before
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] = 0
    same_numbers = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.GroupNorm(2, 4))
    same_numbers.load_state_dict(model.state_dict())
    assert cache.model_hash(same_numbers) != cache.model_hash(model)

"""The compiled loops give bit by bit what the array operations give."""

import numpy as np
import pytest

from semdepth_ros import pointcloud, postprocessing
from semdepth_ros.camera import Camera
from semdepth_ros.classes import SKY

pytest.importorskip('semdepth_ros.kernels', reason='the extra `fast` is not installed')


def with_and_without(monkeypatch, function):
    compiled = function()
    monkeypatch.setattr(pointcloud, 'kernels', None)
    monkeypatch.setattr(postprocessing, 'kernels', None)
    return compiled, function()


def inverse_depth(shape, seed=0):
    random = np.random.default_rng(seed)
    inv_depth = (random.random(shape, np.float32) * 0.5 + 0.001).astype(np.float32)
    flat = inv_depth.reshape(-1)
    flat[:: max(flat.size // 7, 1)] = np.resize(
        [0, np.nan, np.inf, 1e-6], flat[:: max(flat.size // 7, 1)].size
    )
    return inv_depth


@pytest.mark.parametrize('shape', [(1, 1), (3, 4), (4, 9), (5, 5), (48, 33)])
def test_depth_values_are_the_same_bits(monkeypatch, shape):
    inv_depth = inverse_depth(shape)
    label = np.random.default_rng(1).integers(0, SKY + 2, shape, np.uint8)
    compiled, plain = with_and_without(
        monkeypatch, lambda: postprocessing.depth_from_inverse(inv_depth, label, 1.7, 0.5, 80.0)
    )
    assert compiled.dtype == plain.dtype == np.float32
    np.testing.assert_array_equal(compiled, plain)


@pytest.mark.parametrize('shape', [(1, 1), (3, 4), (4, 9), (5, 5), (48, 33)])
def test_edges_are_the_same_bits(monkeypatch, shape):
    inv_depth = inverse_depth(shape)
    compiled, plain = with_and_without(
        monkeypatch, lambda: postprocessing.depth_edges(inv_depth, 0.4)
    )
    assert compiled.dtype == plain.dtype == np.uint8
    np.testing.assert_array_equal(compiled, plain)
    if min(shape) >= 5:
        assert 0 < plain.mean() < 1


@pytest.mark.parametrize('labelled', [True, False])
@pytest.mark.parametrize('filtered', [True, False])
@pytest.mark.parametrize('contiguous', [True, False])
def test_clouds_are_the_same_bits(monkeypatch, labelled, filtered, contiguous):
    random = np.random.default_rng(2)
    shape = (24, 40)
    camera = Camera(40, 24, 31.3, 33.7, 19.2, 11.9)
    depth = (random.random(shape, np.float32) * 80).astype(np.float32)
    depth[0, :9] = np.resize([np.nan, np.inf, -np.inf], 9)
    image = random.integers(0, 256, (24, 80 if not contiguous else 40, 3), np.uint8)[:, :40]
    label = random.integers(0, 256, shape, np.uint8) if labelled else None
    edges = (random.random(shape) < 0.2).astype(np.uint8) if filtered else None
    compiled, plain = with_and_without(
        monkeypatch, lambda: pointcloud.organised_cloud(depth, camera, image, label, edges)
    )
    assert compiled.dtype == plain.dtype
    assert compiled.dtype.itemsize == (20 if labelled else 16)
    for name in compiled.dtype.names:
        np.testing.assert_array_equal(compiled[name], plain[name], err_msg=name)


def test_a_cloud_is_written_to_the_array_of_an_earlier_one():
    camera = Camera(40, 24, 31.3, 33.7, 19.2, 11.9)
    image = np.zeros((24, 40, 3), np.uint8)
    old = pointcloud.organised_cloud(np.ones((24, 40), np.float32), camera, image, None)
    depth = np.full((24, 40), 2, np.float32)
    assert pointcloud.organised_cloud(depth, camera, image, None, out=old) is old
    assert (old['z'] == 2).all()
    labelled = pointcloud.organised_cloud(depth, camera, image, image[..., 0], out=old)
    assert labelled is not old
    assert labelled.dtype == pointcloud.POINT_DTYPE

"""Messages and clouds with any content: a result that keeps the contract, or one sentence."""

import dataclasses
import math
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.lidar import points_xyz, sparse_depth
from semdepth_ros.camera import Camera, CameraError
from semdepth_ros.encodings import EncodingError, decode_compressed
from semdepth_ros.engines.engine import Prediction
from semdepth_ros.errors import SemdepthError
from semdepth_ros.pipeline import FramePipeline, OutputSettings

# Any float64 that a message can carry, NaN and infinity among them.
NUMBERS = st.floats(width=64)
PLAUSIBLE = st.floats(-2000, 2000)
SIZES = st.one_of(st.integers(0, 5000), st.integers(0, 2**32 - 1))
MODELS = st.sampled_from(['plumb_bob', 'rational_polynomial', 'equidistant', '', 'spline', '\0'])


def matrix(size):
    numbers = st.one_of(NUMBERS, PLAUSIBLE, st.just(0.0))
    return st.lists(numbers, min_size=size, max_size=size)


@st.composite
def camera_infos(draw):
    roi = dict(zip(('x_offset', 'y_offset', 'width', 'height'), draw(st.tuples(*[SIZES] * 4))))
    k = draw(matrix(9))
    if draw(st.booleans()):
        k[1] = 0.0
        k[0], k[4] = draw(st.floats(0.01, 5000)), draw(st.floats(0.01, 5000))
    return types.SimpleNamespace(
        width=draw(SIZES),
        height=draw(SIZES),
        distortion_model=draw(MODELS),
        d=draw(st.one_of(st.just([]), st.integers(0, 15).flatmap(matrix))),
        k=k,
        r=draw(st.one_of(st.just([0.0] * 9), matrix(9))),
        p=draw(st.one_of(st.just([0.0] * 12), matrix(12))),
        binning_x=draw(st.sampled_from([0, 1, 2, 7, 2**32 - 1])),
        binning_y=draw(st.sampled_from([0, 1, 2, 7, 2**32 - 1])),
        roi=types.SimpleNamespace(**roi),
    )


@settings(max_examples=500, deadline=None)
@given(message=camera_infos(), rectified=st.booleans())
def test_any_camera_info_is_a_possible_camera_or_one_sentence(message, rectified):
    """Guard: `Camera.__post_init__` and `Camera.from_camera_info` (camera.py)."""
    try:
        camera = Camera.from_camera_info(message, rectified)
    except CameraError as error:
        assert '\n' not in str(error)
        return
    assert camera.width >= 1 and camera.height >= 1
    assert camera.fx > 0 and camera.fy > 0
    for name in ('fx', 'fy', 'cx', 'cy'):
        assert math.isfinite(getattr(camera, name))
    assert all(map(math.isfinite, (*camera.distortion, *camera.rectification)))


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    size=st.tuples(st.integers(1, 90), st.integers(1, 60)),
    output_size=st.sampled_from(['network', 'image']),
)
def test_any_camera_that_is_possible_gives_outputs_that_keep_the_contract(data, size, output_size):
    """Guard: `fit` (preprocessing.py) and `depth_from_inverse` (postprocessing.py, kernels.py)."""
    width, height = size
    focal = data.draw(st.floats(1e-3, 1e6))
    center = st.floats(-1e6, 1e6)
    camera = Camera(width, height, focal, focal, data.draw(center), data.draw(center))
    pipeline = FramePipeline(64, 32, 40.0, settings=OutputSettings(output_size=output_size))
    image = np.full((height, width, 3), data.draw(st.integers(0, 255)), np.uint8)
    prepared = pipeline.prepare(image, camera)
    inv_depth = data.draw(
        arrays(np.float32, (1, 32, 64), elements=st.floats(width=32), fill=st.just(0.1))
    )
    label = np.full((1, 32, 64), data.draw(st.sampled_from([0, 10, 255])), np.uint8)
    result = pipeline.finish(prepared, Prediction(inv_depth, label, label))
    depth = result.depth_HW
    assert depth.dtype == np.float32
    fine = np.isnan(depth) | np.isinf(depth) | ((depth >= 0.5) & (depth <= 80))
    assert fine.all()
    assert np.isfinite(result.points()['z']).sum() <= np.isfinite(depth).sum()


@pytest.mark.parametrize('color', [0, 255, None], ids=['black', 'white', 'noise'])
def test_pictures_without_content_give_numbers_of_the_contract(color, tiny_weights):
    """Guard: the network itself (networks/) and `_probe` (engines/create.py)."""
    from semdepth_ros.engines import create_engine
    from semdepth_ros.weights import load

    engine = create_engine(load(tiny_weights), name='torch', device='cpu', precision='float32')
    if color is None:
        image = np.random.default_rng(0).integers(0, 256, (1, 96, 320, 3), np.uint8)
    else:
        image = np.full((1, 96, 320, 3), color, np.uint8)
    prediction = engine.predict(image)
    assert np.isfinite(prediction.inv_depth_BHW).all()
    assert (prediction.inv_depth_BHW > 0).all()
    assert (prediction.label_BHW < 19).all()


@st.composite
def clouds(draw):
    field = st.builds(
        types.SimpleNamespace,
        name=st.sampled_from(['x', 'y', 'z', 'intensity', '', 'x']),
        offset=SIZES,
        datatype=st.integers(0, 255),
        count=SIZES,
    )
    if draw(st.booleans()):
        kind, size = draw(st.sampled_from([(7, 4), (8, 8)]))
        fields = [
            types.SimpleNamespace(name=name, offset=i * size, datatype=kind, count=1)
            for i, name in enumerate('xyz')
        ]
    else:
        fields = draw(st.lists(field, max_size=5))
    small = st.integers(0, 40)
    return types.SimpleNamespace(
        fields=fields,
        is_bigendian=draw(st.booleans()),
        width=draw(st.one_of(small, SIZES)),
        height=draw(st.one_of(st.just(1), small, SIZES)),
        point_step=draw(st.one_of(st.sampled_from([12, 16, 24]), SIZES)),
        row_step=draw(st.one_of(st.integers(0, 1000), SIZES)),
        data=draw(st.binary(max_size=2000)),
    )


@settings(max_examples=500, deadline=None)
@given(message=clouds())
def test_any_cloud_gives_finite_points_or_one_sentence(message):
    """Guard: the checks of sizes in `points_xyz` (bags/lidar.py), before anything is looked at."""
    try:
        points = points_xyz(message)
    except BagError as error:
        assert '\n' not in str(error)
        return
    assert points.shape[1:] == (3,) and np.isfinite(points).all()
    assert len(points) <= 2000 // 4
    camera = Camera(20, 10, 15.0, 15.0, 9.5, 4.5)
    depth = sparse_depth(points, camera)
    assert (np.isnan(depth) | (depth > 0)).all()


@settings(max_examples=300, deadline=None)
@given(
    start=st.sampled_from([b'', b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n']),
    data=st.binary(max_size=300),
    format=st.text(max_size=20),
)
def test_any_bytes_are_a_picture_or_one_sentence(start, data, format):
    """Guard: the checks before decoding in `decode_compressed` (encodings.py)."""
    try:
        image = decode_compressed(format, start + data)
    except EncodingError as error:
        assert '\n' not in str(error)
        return
    assert image.ndim == 3 and image.dtype == np.uint8


def test_a_camera_info_100000_pixels_wide_costs_no_memory():
    """Guard: `CameraInput.camera` (ros/inputs.py) and `fit` compare the camera with the image
    before anything of its size is made; a camera alone is seven numbers."""
    camera = Camera(100_000, 100_000, 500.0, 500.0, 50_000.0, 50_000.0)
    pipeline = FramePipeline(64, 32, 40.0)
    with pytest.raises(SemdepthError):
        pipeline.prepare(np.zeros((32, 64, 3), np.uint8), camera)
    distorted = dataclasses.replace(camera, distortion=(0.1, 0.0, 0.0, 0.0, 0.0))
    with pytest.raises(SemdepthError):
        pipeline.prepare(np.zeros((32, 64, 3), np.uint8), distorted)

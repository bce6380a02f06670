"""The path of a frame: depth values, upsampling, cloud, other cameras."""

import numpy as np
import pytest

from semdepth_ros.camera import Camera
from semdepth_ros.classes import ROAD, SKY, UNLABELLED
from semdepth_ros.engines.engine import Prediction
from semdepth_ros.pipeline import FramePipeline, OutputSettings, SettingsError
from semdepth_ros.postprocessing import depth_edges, to_millimetres, upsample_inverse_depth

CAMERA = Camera(128, 64, 100.0, 100.0, 63.0, 31.0)


def predict(pipeline, camera, inv_depth=0.1, label=ROAD):
    """A frame of random pixels and what a network with this answer would say of it."""
    image = np.random.default_rng(0).integers(0, 256, (*camera.size[::-1], 3), np.uint8)
    prepared = pipeline.prepare(image, camera)
    shape = (1, *prepared.network_image.shape[:2])
    prediction = Prediction(
        np.broadcast_to(np.float32(inv_depth), shape).copy(),
        np.broadcast_to(np.uint8(label), shape).copy(),
        np.full(shape, 200, np.uint8),
    )
    return prepared, prediction


@pytest.mark.parametrize('output_size', ['network', 'image'])
@pytest.mark.parametrize('stride', [1, 3])
@pytest.mark.parametrize('fit_mode', ['crop', 'pad', 'native'])
@pytest.mark.parametrize('size', [(128, 64), (100, 80), (300, 90)])
def test_every_output_has_the_size_of_the_published_camera(output_size, stride, fit_mode, size):
    camera = Camera(*size, 100.0, 100.0, size[0] / 2, size[1] / 2)
    settings = OutputSettings(output_size=output_size, stride=stride)
    pipeline = FramePipeline(64, 32, 100.0, fit_mode, settings)
    result = pipeline.finish(*predict(pipeline, camera))
    shape = result.camera.height, result.camera.width
    points = result.points()
    for array in (result.depth_HW, result.label_HW, result.confidence_HW, points):
        assert array.shape == shape
    assert result.image_HW3.shape == (*shape, 3)
    if output_size == 'image':
        assert shape == (-(-size[1] // stride), -(-size[0] // stride))


@pytest.mark.parametrize('output_size', ['network', 'image'])
@pytest.mark.parametrize('stride', [1, 2])
def test_finite_points_project_to_their_pixel_with_their_depth(output_size, stride):
    settings = OutputSettings(output_size=output_size, stride=stride, edge_threshold=0)
    pipeline = FramePipeline(64, 32, 50.0, 'crop', settings)
    y = np.linspace(0.01, 0.4, 32, dtype=np.float32)[:, None]
    result = pipeline.finish(*predict(pipeline, CAMERA, inv_depth=y))
    points = result.points()
    xyz = np.stack([points['x'], points['y'], points['z']], -1).astype(np.float64)
    finite = np.isfinite(xyz).all(-1)
    assert finite.any()
    v, u = np.nonzero(finite)
    np.testing.assert_allclose(result.camera.project(xyz[finite]), np.stack([u, v], -1), atol=0.01)
    np.testing.assert_allclose(xyz[finite][:, 2], result.depth_HW[finite], rtol=1e-5)


def test_sky_and_range_follow_rep_117():
    pipeline = FramePipeline(64, 32, 100.0, settings=OutputSettings(min_depth=1, max_depth=50))
    inv_depth = np.full((32, 64), 0.1, np.float32)
    inv_depth[0], inv_depth[1], inv_depth[2] = 0.001, 5.0, np.nan
    label = np.full((32, 64), ROAD, np.uint8)
    label[3] = SKY
    prepared, prediction = predict(pipeline, CAMERA, inv_depth, label)
    depth = pipeline.finish(prepared, prediction).depth_HW
    assert np.isposinf(depth[0]).all()
    assert np.isneginf(depth[1]).all()
    assert np.isnan(depth[2]).all()
    assert np.isposinf(depth[3]).all()
    assert np.isfinite(depth[4:]).all()
    points = pipeline.finish(prepared, prediction).points()
    assert np.isnan(points['z'][:4]).all()


@pytest.mark.parametrize('focal_length', [60.0, 100.0, 170.0])
def test_depth_is_multiplied_by_the_ratio_of_focal_lengths(focal_length):
    """Contract rule 10, on a 4:3 camera cropped to a 2:1 network."""
    camera = Camera(128, 96, focal_length, focal_length, 64.0, 48.0)
    pipeline = FramePipeline(64, 32, focal_length=50.0)
    depth = pipeline.finish(*predict(pipeline, camera, inv_depth=0.1)).depth_HW
    np.testing.assert_allclose(depth, 10 * (focal_length / 2) / 50, rtol=1e-5)


def test_outside_a_cropped_window_the_image_has_no_depth_and_no_label():
    camera = Camera(128, 128, 100.0, 100.0, 64.0, 64.0)
    pipeline = FramePipeline(64, 32, 50.0, 'crop', OutputSettings(output_size='image'))
    result = pipeline.finish(*predict(pipeline, camera))
    assert np.isnan(result.depth_HW[:32]).all()
    assert np.isnan(result.depth_HW[96:]).all()
    assert np.isfinite(result.depth_HW[32:96]).all()
    assert (result.label_HW[:32] == UNLABELLED).all()
    assert (result.confidence_HW[:32] == 0).all()


def test_upsampling_invents_no_depth_between_two_surfaces():
    inv_depth = np.full((24, 40), 0.1, np.float32)
    inv_depth[:, 20:] = 0.5
    result = upsample_inverse_depth(inv_depth, 161, 97)
    assert set(np.unique(result)) == {np.float32(0.1), np.float32(0.5)}


def test_upsampling_is_smooth_within_a_surface():
    ramp = np.linspace(0.1, 0.4, 64, dtype=np.float32)[None].repeat(32, 0)
    result = upsample_inverse_depth(ramp, 256, 128)
    assert np.abs(np.diff(result, axis=1)).max() < 0.3 / 63 / 4 * 1.1


def test_the_edge_filter_finds_flying_pixels_and_leaves_the_far_road_alone():
    rows = np.arange(96, dtype=np.float32)[:, None].repeat(160, 1)
    road = np.maximum(rows - 40, 0) / 200 + 0.005
    edges = depth_edges(road, 0.1)
    assert edges[46:].sum() == 0
    road[60:80, 50:80] = 0.9
    edges = depth_edges(road, 0.1)
    assert edges[60:80, 48:50].all()
    assert edges[60:80, 80:82].all()


def test_the_colour_of_a_point_is_its_pixel_and_no_nan_as_a_float():
    pipeline = FramePipeline(64, 32, 100.0)
    prepared, prediction = predict(pipeline, CAMERA)
    result = pipeline.finish(prepared, prediction)
    points = result.points()
    rgb = points['rgb'].copy().view(np.uint32)
    np.testing.assert_array_equal(rgb >> 16, result.image_HW3[..., 0])
    np.testing.assert_array_equal(rgb >> 8 & 255, result.image_HW3[..., 1])
    np.testing.assert_array_equal(rgb & 255, result.image_HW3[..., 2])
    assert np.isfinite(points['rgb']).all()
    assert (points['label'] == ROAD).all()


def test_the_result_does_not_change_when_the_engine_reuses_its_buffers():
    pipeline = FramePipeline(64, 32, 100.0)
    prepared, prediction = predict(pipeline, CAMERA)
    result = pipeline.finish(prepared, prediction)
    before = result.depth_HW.copy()
    prediction.inv_depth_BHW[:] = 9
    prediction.label_BHW[:] = 9
    prediction.confidence_BHW[:] = 9
    np.testing.assert_array_equal(result.depth_HW, before)
    assert (result.label_HW == ROAD).all()
    assert (result.confidence_HW == 200).all()


def test_millimetres_are_zero_where_depth_says_nothing():
    depth = np.array([[1.2345, np.nan, np.inf, -np.inf, 70.0, 65.535]], np.float32)
    np.testing.assert_array_equal(to_millimetres(depth), [[1234, 0, 0, 0, 0, 65535]])


@pytest.mark.parametrize(
    'bad', [{'stride': 0}, {'output_size': 'big'}, {'min_depth': 5, 'max_depth': 2}]
)
def test_settings_out_of_range_are_refused_by_name(bad):
    with pytest.raises(SettingsError, match=next(iter(bad))):
        OutputSettings(**bad)

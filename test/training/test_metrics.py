import math

import numpy as np
import pytest
import torch
import torchmetrics

from semdepth_training.evaluation.metrics import (
    DepthMetrics,
    MetricsError,
    Protocol,
    cap_depth,
    class_error_sums,
    error_sums,
    garg_mask,
    median_ratio,
    metrics_of,
    resize_depth,
)


def test_metrics_of_two_pixels_are_those_of_a_pocket_calculator():
    metrics = metrics_of(error_sums(np.array([12.0, 10.0]), np.array([10.0, 20.0])))
    assert metrics.abs_rel == pytest.approx((0.2 + 0.5) / 2)
    assert metrics.sq_rel == pytest.approx((4 / 10 + 100 / 20) / 2)
    assert metrics.rmse == pytest.approx(math.sqrt((4 + 100) / 2))
    assert metrics.rmse_log == pytest.approx(math.sqrt((math.log(1.2) ** 2 + math.log(2) ** 2) / 2))
    assert (metrics.a1, metrics.a2, metrics.a3) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize('ratio, shares', [(1.2, (1, 1, 1)), (1.5, (0, 1, 1)), (1.9, (0, 0, 1))])
def test_threshold_shares_count_ratios_in_both_directions(ratio, shares):
    for depth in (10 * ratio, 10 / ratio):
        metrics = metrics_of(error_sums(np.array([depth]), np.array([10.0])))
        assert (metrics.a1, metrics.a2, metrics.a3) == shares


def test_metrics_agree_with_torchmetrics_where_it_has_them():
    rng = np.random.default_rng(1)
    depth, truth = rng.uniform(1, 80, 1000), rng.uniform(1, 80, 1000)
    metrics = metrics_of(error_sums(depth, truth))
    p, t = torch.from_numpy(depth), torch.from_numpy(truth)
    abs_rel = torchmetrics.MeanAbsolutePercentageError()(p, t)
    rmse = torchmetrics.MeanSquaredError(squared=False)(p, t)
    # torchmetrics takes log(1 + x).
    squared_log = torchmetrics.MeanSquaredLogError()(p - 1, t - 1)
    assert metrics.abs_rel == pytest.approx(abs_rel.item(), rel=1e-5)
    assert metrics.rmse == pytest.approx(rmse.item(), rel=1e-5)
    assert metrics.rmse_log**2 == pytest.approx(squared_log.item(), rel=1e-5)


def test_garg_crop_has_the_rows_and_columns_of_the_published_code():
    mask = garg_mask(375, 1242)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (153, 371, 44, 1197)
    assert mask.sum() == (371 - 153) * (1197 - 44)


def test_every_valid_truth_pixel_up_to_the_cap_is_scored_and_nothing_else():
    truth = np.array([[0, -1, np.nan, np.inf, 80.0, 80.1, 0.01, 5]], np.float32)
    mask = Protocol(garg_crop=False).mask(truth)
    assert mask.tolist() == [[False, False, False, False, True, False, True, True]]


@pytest.mark.parametrize('hole', [np.nan, np.inf, -np.inf])
def test_a_depth_that_is_not_finite_counts_as_80_metres(hole):
    assert cap_depth(np.array([hole, 100.0, 5.0, -3.0]), 80.0).tolist() == [80, 80, 5, 0.001]


def test_median_scaling_removes_any_factor_and_ignores_holes():
    rng = np.random.default_rng(2)
    truth = rng.uniform(1, 80, 501)
    assert median_ratio(truth * 0.25, truth) == pytest.approx(4)
    holes = np.r_[truth * 0.25, [np.nan, np.inf]]
    assert median_ratio(holes, np.r_[truth, [1, 1]]) == pytest.approx(4, rel=0.02)
    assert median_ratio(np.full(3, np.nan), truth[:3]) == 1


def test_classes_pooled_are_all_pixels_pooled():
    rng = np.random.default_rng(3)
    depth, truth = rng.uniform(1, 80, 300), rng.uniform(1, 80, 300)
    label = rng.choice(np.array([0, 13, 255], np.uint8), 300)
    by_class = class_error_sums(depth, truth, label)
    np.testing.assert_allclose(by_class.sum(0), error_sums(depth, truth))
    np.testing.assert_allclose(by_class[13], error_sums(depth[label == 13], truth[label == 13]))
    assert by_class[:, -1].nonzero()[0].tolist() == [0, 13, 255]


def test_no_pixel_gives_nan_and_nan_frames_leave_the_mean_alone():
    nothing = metrics_of(error_sums(np.zeros(0), np.zeros(0)))
    assert math.isnan(nothing.abs_rel)
    one, two = DepthMetrics(*[1.0] * 7), DepthMetrics(*[2.0] * 7)
    assert DepthMetrics.mean([one, nothing, two]) == DepthMetrics(*[1.5] * 7)
    assert math.isnan(DepthMetrics.mean([]).rmse)


def test_bilinear_resizing_keeps_a_plane_a_plane():
    y = np.arange(8) + 0.5
    inv_depth = np.repeat(y[:, None], 6, axis=1)
    larger = 1 / resize_depth(1 / inv_depth, 12, 16, 'bilinear')
    expected = (np.arange(16) + 0.5) / 2
    np.testing.assert_allclose(larger[2:-2, 3], expected[2:-2], rtol=1e-5)


def test_nearest_resizing_takes_the_pixel_centre_and_invents_no_value():
    depth = np.array([[1, 2, 3]], np.float32)
    assert resize_depth(depth, 9, 1, 'nearest')[0].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_infinite_depth_beside_a_wall_does_not_spoil_the_wall():
    depth = np.array([[10, np.inf]], np.float32)
    larger = resize_depth(depth, 4, 1, 'bilinear')[0]
    assert larger[0] == pytest.approx(10) and np.isinf(larger[-1])


@pytest.mark.parametrize(
    'fields, named', [({'max_depth': float('nan')}, 'nan'), ({'resize': 'cubic'}, "'cubic'")]
)
def test_a_protocol_that_means_nothing_is_refused_by_name(fields, named):
    with pytest.raises(MetricsError, match=named):
        Protocol(**fields)


def test_depth_of_another_shape_than_the_truth_is_refused():
    with pytest.raises(MetricsError, match=r'\(2,\) and truth \(3,\)'):
        error_sums(np.ones(2), np.ones(3))

"""Scoring frames: modes, classes, holes, windows; everything by hand-made depth."""

import dataclasses
import json
import math

import numpy as np
import pytest

from semdepth_ros.camera import Camera
from semdepth_training.evaluation.baselines import BaselineError, DepthMean
from semdepth_training.evaluation.evaluator import Evaluator
from semdepth_training.evaluation.frames import EvaluationFrame, RawDepth, fuse_flipped
from semdepth_training.evaluation.metrics import METRICS, MetricsError, Protocol
from semdepth_training.evaluation.run import evaluate

CAMERA = Camera(80, 50, 60.0, 60.0, 39.5, 20.0)
IMAGE = np.zeros((50, 80, 3), np.uint8)
WHOLE = Protocol(garg_crop=False)
ROAD, CAR, SKY = 0, 13, 10


def frame(truth, label=None, **fields):
    return EvaluationFrame('street:0', IMAGE, CAMERA, truth.astype(np.float32), label, **fields)


def random_truth(seed=0):
    return np.random.default_rng(seed).uniform(2, 70, (50, 80)).astype(np.float32)


def evaluation_of(frame, raw, protocol=WHOLE, flipped=None, **options):
    evaluator = Evaluator(protocol, **options)
    evaluator.add(frame, raw, flipped)
    return evaluator.result()


def test_true_depth_scores_zero_in_every_mode():
    truth = random_truth()
    result = evaluation_of(frame(truth), RawDepth(truth), flipped=RawDepth(truth))
    assert list(result.modes) == [
        'median_scaled', 'unscaled', 'median_scaled_flip', 'unscaled_flip',
    ]  # fmt: skip
    for mode in result.modes.values():
        assert dataclasses.astuple(mode.metrics) == pytest.approx((0, 0, 0, 0, 1, 1, 1), abs=1e-5)
    assert (result.scale.median, result.scale.spread) == pytest.approx((1, 0), abs=1e-6)


def test_median_scaling_forgives_a_wrong_scale_and_unscaled_does_not():
    truth = random_truth()
    result = evaluation_of(frame(truth), RawDepth(truth / 2))
    assert result.median_scaled.abs_rel == pytest.approx(0, abs=1e-6)
    assert result.unscaled.abs_rel == pytest.approx(0.5, abs=1e-6)
    assert result.scale.median == pytest.approx(0.5)
    assert 'unscaled_flip' not in result.modes


def test_the_spread_of_the_scale_is_relative_over_frames():
    truth = random_truth()
    evaluator = Evaluator(WHOLE)
    for ratio in (1.8, 2.0, 2.2):
        evaluator.add(frame(truth), RawDepth(truth * ratio))
    scale = evaluator.result().scale
    assert scale.median == pytest.approx(2)
    assert scale.spread == pytest.approx(np.std([1.8, 2, 2.2]) / 2, rel=1e-4)


def test_frames_weigh_the_same_however_many_pixels_they_have():
    truth = np.full((50, 80), 10.0)
    sparse = np.full((50, 80), np.nan)
    sparse[30, 40] = 10.0
    evaluator = Evaluator(WHOLE)
    evaluator.add(frame(truth), RawDepth(truth))
    evaluator.add(frame(sparse), RawDepth(truth * 1.5))
    result = evaluator.result()
    assert result.unscaled.abs_rel == pytest.approx(0.25)
    pooled = result.modes['unscaled'].pixel_average.abs_rel
    assert pooled == pytest.approx(0.5 / 4001)


def test_a_hole_is_scored_as_the_cap_and_lowers_the_coverage():
    truth = np.full((50, 80), 20.0)
    depth = truth.astype(np.float32)
    depth[:25] = np.nan
    result = evaluation_of(frame(truth), RawDepth(depth))
    assert result.coverage == 0.5
    assert result.median_scaled.abs_rel == pytest.approx(0.5 * (80 - 20) / 20)


def test_what_a_cropped_network_does_not_see_counts_as_infinitely_far():
    truth = np.full((50, 80), 20.0)
    raw = RawDepth(np.full((10, 16), 20.0, np.float32), window=(slice(25, 50), slice(0, 80)))
    result = evaluation_of(frame(truth), raw)
    assert result.coverage == 0.5
    assert result.unscaled.abs_rel == pytest.approx(0.5 * 3)


def test_a_window_is_placed_on_truth_of_another_size():
    truth = np.full((100, 160), 20.0)
    truth[50:] = 10
    raw = RawDepth(np.full((5, 8), 10.0, np.float32), window=(slice(25, 50), slice(0, 80)))
    depth = raw.depth_on(frame(truth), 'bilinear')
    assert np.isinf(depth[:50]).all() and (depth[50:] == 10).all()


def test_classes_come_from_the_truth_and_else_from_the_network():
    truth = np.full((50, 80), 20.0)
    label = np.zeros((50, 80), np.uint8)
    label[:, 40:] = CAR
    depth = np.where(label == CAR, 24.0, 20.0).astype(np.float32)
    known = evaluation_of(frame(truth, label), RawDepth(depth, np.full((5, 8), SKY, np.uint8)))
    guessed = evaluation_of(frame(truth), RawDepth(depth, label[::10, ::10]))
    for result, source in ((known, 'truth'), (guessed, 'network')):
        assert result.label_source == source
        mode = result.modes['unscaled']
        assert {name: entry.pixels for name, entry in mode.per_class.items()} == {
            'road': 2000, 'car': 2000,
        }  # fmt: skip
        assert mode.per_class['car'].metrics.abs_rel == pytest.approx(0.2)
        assert mode.class_average.abs_rel == pytest.approx(0.1)
    unlabelled = evaluation_of(frame(truth), RawDepth(depth, np.full((5, 8), 255, np.uint8)))
    assert unlabelled.label_source == 'none' and not unlabelled.modes['unscaled'].per_class


def test_the_class_average_gives_a_rare_class_the_weight_of_a_common_one():
    truth = np.full((50, 80), 20.0)
    label = np.zeros((50, 80), np.uint8)
    label[0, 0] = CAR
    depth = np.where(label == CAR, 30.0, 20.0).astype(np.float32)
    mode = evaluation_of(frame(truth, label), RawDepth(depth)).modes['unscaled']
    assert mode.class_average.abs_rel == pytest.approx(0.25)
    assert mode.pixel_average.abs_rel == pytest.approx(0.5 / 4000)


def test_the_infinite_depth_rate_counts_vehicle_pixels_below_the_horizon():
    truth = np.full((50, 80), 10.0)
    label = np.zeros((50, 80), np.uint8)
    label[10:40, :20] = CAR
    depth = truth.astype(np.float32)
    depth[:25, :20] = 31.0  # above row 20 is the horizon: five rows of fifteen count
    depth[25, :20] = np.nan
    depth[26, :20] = 29.0
    result = evaluation_of(frame(truth, label), RawDepth(depth))
    assert result.vehicle_pixels == 20 * 20
    assert result.infinite_depth_rate == pytest.approx(6 / 20)


def test_a_capped_prediction_cannot_hide_infinite_depth():
    truth = np.full((50, 80), 60.0)
    label = np.full((50, 80), CAR, np.uint8)
    depth = truth.astype(np.float32)
    depth[-5:] = 500.0
    result = evaluation_of(frame(truth, label), RawDepth(depth))
    assert result.infinite_depth_rate == pytest.approx(5 / 30)


def test_boundaries_need_dense_truth():
    truth = np.full((50, 80), 20.0)
    truth[:, 40:] = 8
    sparse = np.where(np.arange(80) % 4 == 0, truth, np.nan)
    assert evaluation_of(frame(truth), RawDepth(truth.astype(np.float32))).boundaries.f1 == 1
    assert evaluation_of(frame(sparse), RawDepth(truth.astype(np.float32))).boundaries is None


def test_flicker_is_measured_within_a_drive_and_not_across_two():
    truth = np.full((50, 80), 20.0)
    raws = [RawDepth((truth * ratio).astype(np.float32)) for ratio in (1.0, 1.2, 1.2)]
    for drives, expected in (('aaa', math.log(1.2) / 2), ('aab', math.log(1.2)), ('abc', None)):
        evaluator = Evaluator(WHOLE)
        for raw, drive in zip(raws, drives):
            evaluator.add(frame(truth, T_world_camera=np.eye(4), drive=drive), raw)
        flicker = evaluator.result().flicker
        assert flicker == (expected if expected is None else pytest.approx(expected, rel=1e-4))


def test_flip_fusion_takes_the_mean_inside_and_one_side_at_each_border():
    fused = fuse_flipped(np.full((2, 101), 2.0), np.full((2, 101), 4.0))
    assert fused[0, 0] == 4 and fused[0, -1] == 2
    assert (fused[0, 11:90] == 3).all()
    assert (np.diff(fused[0]) <= 1e-6).all()


def test_pictures_are_kept_of_the_best_and_the_worst_frames():
    truth = random_truth()
    rng = np.random.default_rng(5)
    evaluator = Evaluator(WHOLE, pictures=2)
    for number, noise in enumerate((0.3, 0.0, 0.2, 0.1)):
        depth = truth * (1 + noise * rng.choice([-1, 1], truth.shape)).astype(np.float32)
        evaluator.add(dataclasses.replace(frame(truth), name=str(number)), RawDepth(depth))
    result = evaluator.result()
    assert [picture.score.name for picture in result.best] == ['1', '3']
    assert [picture.score.name for picture in result.worst] == ['0', '2']
    assert np.nanmean(result.worst[0].error_HW) == pytest.approx(result.scores[0].abs_rel, rel=0.01)


def test_the_json_holds_what_scripts_read_and_no_nan():
    truth = random_truth()
    result = evaluation_of(frame(truth), RawDepth(truth))
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))
    for mode in ('median_scaled', 'unscaled'):
        assert set(content[mode]) >= {*METRICS, 'per_class', 'frames', 'coverage'}
    assert (content['frames'], content['coverage']) == (1, 1.0)
    assert content['infinite_depth_rate'] is None and content['flicker'] is None


def test_frames_without_truth_are_not_counted_and_none_at_all_is_an_error():
    evaluator = Evaluator(WHOLE)
    assert evaluator.add(frame(np.full((50, 80), np.nan)), RawDepth(random_truth())) is None
    with pytest.raises(MetricsError, match='at least one'):
        evaluator.result()


def test_baselines_are_the_means_of_what_they_saw():
    mean = DepthMean(80.0)
    truth = np.full((96, 320), np.nan)
    truth[48:72] = 20
    truth[72:] = 6
    truth[80, :160] = 100  # beyond the cap
    mean.add(truth)
    truth[72:, :160] = 10
    mean.add(truth)
    depth_map, rows = mean.depth_map().depth_HW, mean.per_row().depth_HW
    assert depth_map[90, 0] == 8 and depth_map[90, 319] == 6
    assert (rows[90] == 7).all() and (rows[60] == 20).all()
    # Nothing was ever seen above: the nearest row speaks for it.
    assert (depth_map[0] == 20).all() and (rows[0] == 20).all()
    # The frames have medians 20 and 15.
    assert (mean.constant().depth_HW == 17.5).all()


def test_the_mean_depth_map_beats_the_row_mean_which_beats_a_constant_on_a_street():
    rng = np.random.default_rng(1)
    rows = np.linspace(60, 5, 50)[:, None] * np.ones(80)
    street = rows * np.where(np.arange(80) < 40, 0.7, 1.3)
    frames = [frame(street * rng.uniform(0.9, 1.1)) for _ in range(3)]
    mean = DepthMean(80.0)
    for entry in frames:
        mean.add(entry.truth_HW)
    true = {id(entry): RawDepth(entry.truth_HW) for entry in frames}
    model, baselines, peer = evaluate(
        frames, lambda entry: (true[id(entry)], None), mean, protocol=WHOLE
    )
    errors = [entry.median_scaled.abs_rel for entry in (*baselines.values(), model)]
    assert list(baselines) == ['constant depth', 'per-row mean', 'mean depth map']
    assert errors == sorted(errors, reverse=True) and errors[2] < 0.5 * errors[1]
    assert peer is None


def test_baselines_and_peer_are_scored_by_the_labels_of_the_model():
    truth = np.full((50, 80), 20.0)
    mean = DepthMean(80.0)
    mean.add(truth)
    raw = RawDepth(truth.astype(np.float32), np.full((5, 8), CAR, np.uint8))
    other = RawDepth(truth.astype(np.float32))
    _, baselines, peer = evaluate(
        [frame(truth)], lambda _: (raw, None), mean, lambda _: (other, None), WHOLE
    )
    for entry in (*baselines.values(), peer):
        assert entry.label_source == 'network'
        assert list(entry.modes['unscaled'].per_class) == ['car']


def test_baselines_without_any_depth_are_an_error():
    mean = DepthMean(80.0)
    mean.add(np.full((5, 5), np.nan))
    with pytest.raises(BaselineError, match='no frame with depth'):
        mean.depth_map()

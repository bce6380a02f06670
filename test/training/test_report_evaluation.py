import re

import numpy as np

from semdepth_ros.camera import Camera
from semdepth_training.evaluation.baselines import DepthMean
from semdepth_training.evaluation.frames import EvaluationFrame, RawDepth
from semdepth_training.evaluation.run import EvaluationRun, evaluate
from semdepth_training.report.evaluation import (
    error_picture,
    truth_picture,
    write_evaluation_report,
)


def run_of(frames, **fields):
    mean = DepthMean(80.0)
    for frame in frames:
        mean.add(frame.truth_HW)
    evaluation, baselines, peer = evaluate(
        frames,
        lambda frame: (RawDepth(frame.truth_HW * np.float32(1.25)),) * 2,
        mean,
        lambda frame: (RawDepth(frame.truth_HW), None),
    )
    return EvaluationRun(
        evaluation, baselines, 'the mean of nothing much', peer, 'peer.tflite', 'w.safetensors',
        ['street'], 'semdepth evaluate --bags street', {'python': '3'}, ['a <remark>'],
    )  # fmt: skip


def street(count=4):
    camera = Camera(96, 64, 70.0, 70.0, 47.5, 24.0)
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (64, 96)).astype(np.uint8)
    return [
        EvaluationFrame(
            f'street:{number}',
            rng.integers(0, 255, (64, 96, 3), np.uint8),
            camera,
            rng.uniform(2, 60, (64, 96)).astype(np.float32),
            label,
        )
        for number in range(count)
    ]


def test_the_report_names_modes_baselines_peer_classes_and_frames(tmp_path):
    path = tmp_path / 'report.html'
    write_evaluation_report(path, run_of(street()))
    page = path.read_text()
    for words in (
        'median-scaled, no flip', 'unscaled, no flip', 'median-scaled, flip', 'unscaled, flip',
        'constant depth', 'per-row mean', 'mean depth map', 'peer peer.tflite', 'sidewalk',
        'class average', 'pixel average', 'The best frames', 'The worst frames', 'street:',
        'Garg crop', 'the mean of nothing much', 'a &lt;remark&gt;', '0.2500',
    ):  # fmt: skip
        assert words in page, words
    assert page.count('<img') == 2 * 3 * 4
    sources = re.findall(r'(?:src|href)="([^"#]{1,40})', page)
    assert all(source.startswith('data:image/') for source in sources)


def test_the_json_of_a_run_names_baselines_and_peer():
    content = run_of(street()).to_json()
    assert set(content['baselines']) == {'constant_depth', 'per_row_mean', 'mean_depth_map'}
    assert content['peer']['median_scaled']['abs_rel'] == 0
    assert content['unscaled']['abs_rel'] > content['median_scaled']['abs_rel']
    assert content['bags'] == ['street']


def test_single_lidar_points_are_widened_so_that_one_sees_them():
    truth = np.full((40, 60), np.nan, np.float32)
    truth[20, 30] = 10
    assert (truth_picture(truth).any(axis=2)).sum() == 9


def test_errors_are_coloured_from_blue_to_red_and_what_is_not_scored_is_dark():
    image = np.full((40, 60, 3), 240, np.uint8)
    error = np.full((40, 60), np.nan, np.float32)
    error[:20], error[20:30] = 0.0, 3.0
    picture = error_picture(image, error).astype(int)
    assert picture[5, 5, 2] > picture[5, 5, 0]
    assert picture[25, 5, 0] > picture[25, 5, 2]
    assert (picture[35, 5] == 80).all()

import re

import numpy as np
import pytest

from semdepth_ros.camera import Camera
from semdepth_training.evaluation.evaluator import Evaluator
from semdepth_training.evaluation.frames import EvaluationFrame, RawDepth
from semdepth_training.report.page import ReportError
from semdepth_training.report.training import (
    Curve,
    DroppedFrame,
    Resampling,
    Sample,
    TrainingReport,
    write_training_report,
)


@pytest.fixture(scope='module')
def scene():
    """Image, depth and labels of a road with a box on it."""
    camera = Camera(96, 64, 70.0, 70.0, 47.5, 24.0)
    with np.errstate(divide='ignore'):
        depth = np.where(camera.rays()[..., 1] > 0, 1.5 / camera.rays()[..., 1], np.inf)
    depth = np.minimum(depth, np.where(np.arange(64)[:, None] < 20, np.inf, 60)).astype(np.float32)
    label = np.zeros(depth.shape, np.uint8)
    label[:20] = 10
    depth[28:44, 40:60] = 9
    label[28:44, 40:60] = 13
    image = np.random.default_rng(0).integers(0, 255, (*depth.shape, 3), np.uint8)
    return camera, image, depth, label


@pytest.fixture
def evaluation(scene):
    camera, image, depth, label = scene
    evaluator = Evaluator(pictures=1)
    for number in range(3):
        frame = EvaluationFrame(f'street:{number}', image, camera, depth, label)
        evaluator.add(frame, RawDepth(depth * (1 + 0.1 * number) + number))
    return evaluator.result()


def full_report(scene, evaluation):
    _, image, depth, label = scene
    x = list(range(30))
    return TrainingReport(
        title='packnet <semantic>, two stages',
        command='semdepth train --config x.yaml --bags a b',
        config={'network': {'depth': 'packnet'}, 'batch': 4},
        bags={'drives/a': 'sha256:12ab', 'drives/b': 'sha256:34cd'},
        curves=[
            Curve('stage one', x, [1 / (1 + i) for i in x]),
            Curve('stage two', x, [0.9 / (1 + i) for i in x]),
            Curve('depth', x, [2e-4] * 30, panel='learning rate'),
        ],
        kernels=[Curve('1/4', x, [0.5 + i / 100 for i in x])],
        samples=[Sample('drive a, frame 3', image, depth, label)],
        resampling=Resampling(
            'More than 10 pixels below the ground plane.',
            40,
            [DroppedFrame('a', 7, 31, image, depth == 9), DroppedFrame('a', 8, 29)],
        ),
        evaluations={'stage one': evaluation, 'stage two': evaluation},
        notes=['Depth is metric.'],
    )


def test_a_training_report_is_one_file_that_asks_the_network_for_nothing(
    tmp_path, scene, evaluation
):
    path = tmp_path / 'run' / 'report.html'
    write_training_report(path, full_report(scene, evaluation))
    page = path.read_text()
    sources = re.findall(r'(?:src|href)="([^"#]{1,40})', page)
    assert sources and all(source.startswith('data:image/') for source in sources)
    assert '<script' not in page and '@import' not in page and 'url(http' not in page
    assert [entry.name for entry in path.parent.iterdir()] == ['report.html']


def test_a_training_report_shows_everything_that_it_was_given(tmp_path, scene, evaluation):
    path = tmp_path / 'report.html'
    write_training_report(path, full_report(scene, evaluation))
    page = path.read_text()
    for words in (
        'packnet &lt;semantic&gt;', 'sha256:34cd', 'network.depth', 'semdepth train --config',
        'learning rate', 'mean kernel value', 'drive a, frame 3', '2 of 40 frames (5.0%) went',
        'a:7, 31 pixels below', 'a:8', 'stage two', 'median-scaled, no flip', 'class average',
        'Depth is metric.', 'torch', f'{evaluation.median_scaled.abs_rel:.4f}',
    ):  # fmt: skip
        assert words in page, words
    # Curves, kernels, learning rate, and the classes of each evaluation; each sample's pictures.
    assert page.count('<svg') == 5
    assert page.count('<img') == 3 + 1 + 2 * 2 * 4


def test_what_a_run_does_not_have_is_said_and_not_left_blank(tmp_path):
    path = tmp_path / 'report.html'
    empty = TrainingReport(title='empty', command='', config={}, bags={}, curves=[])
    write_training_report(path, empty)
    page = path.read_text()
    for words in ('No step was logged', 'not guided', 'one stage', 'No bag had a truth'):
        assert words in page
    assert '<svg' not in page


def test_the_same_run_writes_the_same_report(tmp_path, scene, evaluation):
    report = full_report(scene, evaluation)
    for name in ('a.html', 'b.html'):
        write_training_report(tmp_path / name, report)
    assert (tmp_path / 'a.html').read_bytes() == (tmp_path / 'b.html').read_bytes()


def test_a_report_that_cannot_be_written_says_where(tmp_path):
    (tmp_path / 'file').write_text('in the way')
    empty = TrainingReport(title='empty', command='', config={}, bags={}, curves=[])
    with pytest.raises(ReportError, match=r'file/report\.html'):
        write_training_report(tmp_path / 'file' / 'report.html', empty)

"""`semdepth evaluate` from the command line to the files, with small random weights."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch

from semdepth_ros.bags import messages
from semdepth_ros.bags.writer import BagWriter
from semdepth_ros.camera import Camera
from semdepth_ros.cli import main
from semdepth_ros.weights import WeightsCard, load, save
from semdepth_ros.weights.assemble import assemble_model
from semdepth_training.evaluation.metrics import METRICS
from semdepth_training.evaluation.predictor import Predictor

WIDTH, HEIGHT, FOCAL = 96, 64, 70.0
CAMERA = Camera(WIDTH, HEIGHT, FOCAL, FOCAL, 47.5, 20.0)
FRAMES = 4


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'small.safetensors'
    model, config = assemble_model(
        'efficientnet_lite0', semantic='espnetv2', semantic_options={'scale': 0.5}
    )
    card = WeightsCard(
        model=config, width=WIDTH, height=HEIGHT, scale='metric', focal_length=FOCAL, trained=False
    )
    save(path, model, card)
    return path


@pytest.fixture(scope='module')
def predictor(weights):
    torch.set_num_threads(1)
    return Predictor(weights, engine='torch', device='cpu', report=print)


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('bags') / 'street'
    rng = np.random.default_rng(0)
    y = CAMERA.rays()[..., 1]
    with np.errstate(divide='ignore'):
        depth = np.where(y > 0.02, 1.5 / y, np.inf).astype(np.float32)
    with BagWriter(path) as writer:
        for index in range(FRAMES):
            stamp = (index + 1) * 100_000_000
            image = cv2.resize(rng.integers(0, 255, (8, 12, 3), np.uint8), (WIDTH, HEIGHT))
            for topic, message in (
                ('/image_rect', messages.image(stamp, 'camera', image, 'rgb8')),
                ('/camera_info', messages.camera_info(stamp, 'camera', CAMERA)),
                ('/truth/depth/image_rect', messages.image(stamp, 'camera', depth, '32FC1')),
            ):
                writer.write(topic, message, stamp)
    return path


def test_the_command_writes_the_json_that_scripts_read_and_a_report(tmp_path, bag, weights, capsys):
    torch.set_num_threads(1)
    target, report = tmp_path / 'out' / 'figures.json', tmp_path / 'report.html'
    arguments = ['evaluate', '--bags', bag, '--weights', weights, '--frames', '1:3', '--flip']
    arguments += ['--train-bags', bag, '--json', target, '--report', report, '--engine', 'torch']
    assert main([str(argument) for argument in [*arguments, '--device', 'cpu']]) == 0

    content = json.loads(target.read_text())
    for mode in ('median_scaled', 'unscaled', 'median_scaled_flip', 'unscaled_flip'):
        assert set(content[mode]) >= {*METRICS, 'per_class', 'frames', 'coverage'}
        assert content[mode]['abs_rel'] > 0
    assert content['frames'] == 2 and content['coverage'] == 1
    assert [entry['name'] for entry in content['per_frame']] == ['street:1', 'street:2']
    assert content['label_source'] == 'network' and content['per_class']
    # The training bag is the evaluated one, and every frame is the same street.
    assert content['baselines']['mean_depth_map']['unscaled']['abs_rel'] < 0.1
    assert 'street (truth, 4 frames)' in content['baseline_source']
    assert any('torch on cpu' in words for words in content['notes'])
    assert any('untrained' in words for words in content['notes'])
    printed = capsys.readouterr().out
    for words in ('this model', 'per-row mean', 'unscaled, flip', 'class average', 'Garg crop'):
        assert words in printed
    assert f'{content["unscaled"]["abs_rel"]:.3f}' in printed
    assert 'data:image/png' in report.read_text()


def test_what_the_network_does_not_see_of_the_image_is_said(tmp_path, bag, weights):
    torch.set_num_threads(1)
    target, wide = tmp_path / 'figures.json', tmp_path / 'wide.safetensors'
    loaded = load(weights)
    save(wide, loaded.model, dataclasses.replace(loaded.card, height=HEIGHT // 2))
    arguments = [
        'evaluate',
        '--bags',
        bag,
        '--weights',
        wide,
        '--json',
        target,
        '--engine',
        'torch',
    ]
    assert main([str(argument) for argument in [*arguments, '--device', 'cpu']]) == 0
    words = 'street: the network sees 50% of the image; the rest counts as infinitely far'
    assert any(words in note for note in json.loads(target.read_text())['notes'])


def test_a_user_error_is_one_line_and_exit_code_2(bag, weights, capsys):
    arguments = ['evaluate', '--bags', str(bag), '--weights', str(weights), '--frames', '90:95']
    assert main(arguments) == 2
    assert capsys.readouterr().err == (
        f'semdepth: error: frames 90:95 selects none of the 4 frames of bag {bag}\n'
    )


@pytest.mark.parametrize('ratio', [0.5, 1.0, 2.0])
def test_metric_depth_follows_the_focal_length_of_the_camera(predictor, ratio):
    """The same pixels from a longer lens are farther away."""
    image = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    plain, _ = predictor.predict(image, CAMERA)
    other = Camera(WIDTH, HEIGHT, FOCAL * ratio, FOCAL * ratio, 47.5, 20.0)
    raw, _ = predictor.predict(image, other)
    np.testing.assert_allclose(raw.depth_HW, plain.depth_HW * ratio, rtol=1e-4)


def test_a_camera_of_another_shape_is_cropped_and_the_window_says_where(predictor):
    camera = Camera(120, 120, FOCAL, FOCAL, 59.5, 59.5)
    raw, flipped = predictor.predict(np.zeros((120, 120, 3), np.uint8), camera, flip=True)
    assert raw.window == (slice(20, 100), slice(0, 120))
    assert flipped.window == raw.window and flipped.depth_HW.shape == (HEIGHT, WIDTH)


def test_the_flipped_prediction_lies_pixel_on_pixel_on_the_plain_one(predictor):
    """A mirrored image, flipped, is the plain prediction of the image, mirrored."""
    image = np.random.default_rng(2).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    plain, _ = predictor.predict(image, CAMERA)
    _, flipped = predictor.predict(np.ascontiguousarray(image[:, ::-1]), CAMERA, flip=True)
    np.testing.assert_allclose(flipped.depth_HW[:, ::-1], plain.depth_HW, rtol=1e-5)

"""`semdepth train` as a user runs it: two stages, several processes, killed and resumed."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from semdepth_ros import weights
from semdepth_ros.bags.drive import Drive
from semdepth_ros.bags.errors import BagError
from semdepth_ros.cli import main
from semdepth_training.run_log import read_history

SETTINGS = [
    '--data.width', '64', '--data.height', '32',
    '--model.depth', 'efficientnet_lite0', '--model.depth_options.decoder_channels', '[4,4,8,8,8]',
    '--freeze_batch_norm', 'true', '--optimizer.batch', '4', '--optimizer.depth_lr', '1e-4',
    '--loop.checkpoint_every', '2', '--loop.validation_batches', '1',
    '--device.accelerator', 'cpu', '--device.threads', '1',
]  # fmt: skip
ONE_STAGE = ['--stage_two.enabled', 'false', '--optimizer.epochs', '2']


@pytest.fixture
def arguments(write_bag, tmp_path):
    bag = write_bag(count=20)

    def make(output, *more):
        cache = ['--data.cache.folder', str(tmp_path / 'cache')]
        return ['--bags', str(bag), '--output', str(tmp_path / output), *SETTINGS, *cache, *more]

    return make


def test_an_immature_stage_one_is_an_error_that_leaves_its_weights(arguments, tmp_path, capsys):
    rule = ['max_below_ground', '-1', 'max_dropped_share', '0']
    rule[::2] = [f'--stage_two.resampling.{name}' for name in rule[::2]]
    assert main(['train', *arguments('out', '--optimizer.epochs', '1', *rule)]) == 2
    assert 'stage one is not mature' in capsys.readouterr().err
    out = tmp_path / 'out'
    assert weights.load(out / 'weights.safetensors').card.provenance['stage'] == 'stage_one'
    assert (out / 'report.html').exists() and not (out / 'stage_two').exists()


@pytest.fixture
def reference(arguments, tmp_path):
    assert main(['train', *arguments('reference', *ONE_STAGE)]) == 0
    return losses(tmp_path / 'reference')


def losses(output, stage='stage_one'):
    lines = [line for line in read_history(output / stage) if 'loss' in line]
    return {line['step']: line['loss'] for line in lines}


def start(*command):
    environment = os.environ | {'OMP_NUM_THREADS': '1'}
    return subprocess.Popen(
        [sys.executable, '-m', *command], env=environment, stderr=subprocess.PIPE, text=True
    )


def test_two_stages_leave_weights_list_and_report(arguments, tmp_path, capsys):
    never = ['--stage_two.resampling.max_below_ground', '1e9', '--stage_two.control_random', 'true']
    assert main(['train', *arguments('out', '--optimizer.epochs', '1', *never)]) == 0
    out = tmp_path / 'out'
    said = capsys.readouterr().err
    assert 'the network sees 75% of the image: of 96x64 the middle 96x48' in said
    for stage in ('stage_one', 'stage_two', 'stage_two_random'):
        assert {'last.ckpt', 'best.ckpt', 'history.jsonl', 'weights.safetensors'} <= {
            path.name for path in (out / stage).iterdir()
        }
    assert json.loads((out / 'resampling' / 'dropped.json').read_text())['dropped'] == []
    assert '<html' in (out / 'report.html').read_text()[:200].lower()
    loaded = weights.load(out / 'weights.safetensors')
    card = loaded.card
    assert card.trained and card.has_pose and card.scale == 'metric'
    assert (card.width, card.height) == (64, 32)
    # 96x64 with focal length 60 is cropped to 96x48 and resized by 2/3.
    assert card.focal_length == pytest.approx(40.0)
    assert card.provenance['seed'] == '0' and len(card.provenance['bag hashes (sha256)']) == 64
    # Where things lay on this machine goes into neither weights nor report.
    assert str(tmp_path) not in card.to_json()
    assert str(tmp_path) not in (out / 'report.html').read_text()
    # The control run is there to be compared, not to be shipped.
    assert card.provenance['stage'] == 'stage_two'


def test_two_processes_train_as_one(arguments, reference, tmp_path):
    command = ['torch.distributed.run', '--nproc-per-node', '2', '--master-port', '0',
               '--rdzv-backend', 'c10d', '--rdzv-endpoint', 'localhost:0',
               '-m', 'semdepth_ros.cli', 'train']  # fmt: skip
    process = start(*command, *arguments('shared', *ONE_STAGE))
    _, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    shared = losses(tmp_path / 'shared')
    assert shared.keys() == reference.keys() == set(range(1, 9))
    assert np.allclose(list(shared.values()), list(reference.values()), rtol=0, atol=1e-4)


def test_a_killed_run_goes_on_as_if_it_never_was(arguments, reference, tmp_path):
    output = tmp_path / 'killed'
    process = start('semdepth_ros.cli', 'train', *arguments('killed', *ONE_STAGE))
    deadline = time.monotonic() + 250
    while time.monotonic() < deadline and process.poll() is None:
        if len(losses(output)) >= 3:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (output / 'stage_one' / 'last.ckpt').exists()
    assert main(['train', *arguments('killed', *ONE_STAGE, '--resume')]) == 0
    assert losses(output) == reference


def test_an_earlier_training_is_not_overwritten(arguments, reference, capsys):
    assert main(['train', *arguments('reference', *ONE_STAGE)]) == 2
    error = capsys.readouterr().err
    assert 'holds an earlier training: add --resume' in error and 'Traceback' not in error


def test_without_odometry_the_card_says_up_to_scale(write_bag, tmp_path, capsys):
    bag = write_bag(count=14, speed=None)
    arguments = ['--bags', str(bag), '--output', str(tmp_path / 'out'), *SETTINGS]
    arguments += ['--data.cache.folder', str(tmp_path / 'cache'), '--stage_two.enabled', 'false']
    assert main(['train', *arguments, '--optimizer.epochs', '1']) == 0
    assert weights.read_card(tmp_path / 'out' / 'weights.safetensors').scale == 'up_to_scale'
    assert 'depth is up to scale: speed is known for 0%' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'camera_info': False}, 'camera_info'),
        ({'count': 1}, 'no triplets to train on'),
        ({'speed': 0.0}, '10 static'),
    ],
)
def test_what_cannot_be_trained_on_is_one_sentence(write_bag, tmp_path, capsys, options, message):
    bag = write_bag(**options)
    arguments = ['--bags', str(bag), '--output', str(tmp_path / 'out'), *SETTINGS]
    assert main(['train', *arguments, '--data.cache.folder', str(tmp_path / 'cache')]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith('semdepth: error: ') and message in error


def test_a_wrong_topic_is_named(write_bag, tmp_path, capsys):
    arguments = ['--bags', str(write_bag()), '--output', str(tmp_path / 'out'), *SETTINGS]
    assert main(['train', *arguments, '--data.image_topic', '/nowhere']) == 2
    assert '/nowhere' in capsys.readouterr().err


def test_odometry_on_another_clock_is_said_and_not_used(write_bag, slide, tmp_path):
    from semdepth_ros.bags import messages
    from semdepth_ros.bags.writer import BagWriter

    bag = write_bag(count=8, speed=None)
    other = tmp_path / 'other'
    drive = Drive(bag)
    with BagWriter(other) as writer:
        for index, stamp in enumerate(map(int, drive.stamps)):
            image = messages.image(stamp, 'camera', drive.image(index), 'rgb8')
            writer.write('/camera/image_rect', image, stamp)
            info = messages.camera_info(stamp, 'camera', drive.camera)
            writer.write('/camera/camera_info', info, stamp)
            odometry = messages.odometry(stamp + 10**15, 'odom', 'camera', np.eye(4), (5, 0, 0))
            writer.write('/odom', odometry, stamp)
    try:
        late = Drive(other)
    except BagError as error:
        assert 'odom' in str(error)
    else:
        assert not late.has_speed and any('/odom' in problem for problem in late.problems)

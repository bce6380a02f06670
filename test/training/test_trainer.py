"""The loop: it learns, it resumes exactly, it stops on bad numbers, it leaves whole files."""

import json
import threading

import pytest
import torch
from lightning.fabric import Fabric

from semdepth_ros.bags.drive import Drive
from semdepth_ros.networks.model import ModelConfig, build_model
from semdepth_ros.networks.pose import PoseNet
from semdepth_training import checkpoints
from semdepth_training.augmentation import AugmentationConfig
from semdepth_training.checkpoints import CheckpointError
from semdepth_training.frame_cache import CacheConfig, PreparedDrive
from semdepth_training.objective import LossConfig, Objective
from semdepth_training.run_log import read_history
from semdepth_training.selection import SelectionConfig
from semdepth_training.task import LoopConfig, OptimizerConfig, Task
from semdepth_training.trainer import TrainingError, train
from semdepth_training.triplets import select_triplets, split

MODEL = ModelConfig('efficientnet_lite0', {'decoder_channels': (4, 4, 8, 8, 8)})


@pytest.fixture
def triplets(write_bag, tmp_path):
    drive = PreparedDrive(
        Drive(write_bag(count=20)), 64, 32, CacheConfig('always', folder=str(tmp_path / 'cache'))
    )
    drive.prepare()
    return split([drive], [select_triplets(drive, SelectionConfig())], [], 0.3)


@pytest.fixture
def make_task(triplets, tmp_path):
    def make(name='run', epochs=2, fingerprint='same', **optimizer):
        training, validation = triplets
        return Task(
            name=name,
            folder=tmp_path / name,
            training=training,
            validation=validation,
            optimizer=OptimizerConfig(epochs=epochs, batch=4, halve_every=1, **optimizer),
            augmentation=AugmentationConfig(),
            loop=LoopConfig(checkpoint_every=2, log_every=1, validation_batches=2),
            seed=5,
            fingerprint=fingerprint,
        )

    return make


def make_objective(seed=0):
    torch.manual_seed(seed)
    return Objective(build_model(MODEL), PoseNet(), LossConfig(), 60.0)


def fabric():
    return Fabric(accelerator='cpu', devices=1)


def run(task, objective=None, resume=False, stop=None):
    objective = objective or make_objective()
    progress = train(fabric(), objective, task, resume, stop or threading.Event())
    return objective, progress


def losses(task):
    return [line['loss'] for line in read_history(task.folder) if 'loss' in line]


class StopAfter(threading.Event):
    """An event that sets itself once it was asked so many times: a user's Ctrl-C at that step."""

    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def is_set(self):
        self.left -= 1
        return self.left <= 0


def test_a_run_that_was_stopped_goes_on_as_if_it_never_was(make_task):
    whole, parts = make_task('whole'), make_task('parts')
    expected, _ = run(whole)
    for steps in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            run(parts, resume=True, stop=StopAfter(steps))
    objective, progress = run(parts, resume=True)
    assert progress.step == 6
    assert losses(parts) == losses(whole)
    for name, value in expected.state_dict().items():
        assert torch.equal(objective.state_dict()[name], value), name


def test_epochs_of_so_many_steps_do_not_depend_on_the_number_of_triplets(make_task):
    task = make_task(epochs=2, epoch_steps=4)
    _, progress = run(task)
    assert progress.step == 8
    lines = [line for line in read_history(task.folder) if 'loss' in line]
    assert [line['lr/depth'] for line in lines] == [2e-4] * 4 + [1e-4] * 4


def test_a_run_that_was_killed_repeats_the_steps_since_its_checkpoint(make_task):
    whole, killed = make_task('whole'), make_task('killed')
    run(whole)

    class Killed(BaseException):
        pass

    class KillAt(threading.Event):
        steps = 0

        def is_set(self):
            self.steps += 1
            if self.steps == 4:
                raise Killed
            return False

    with pytest.raises(Killed):
        run(killed, stop=KillAt())
    # Logged up to step 3, saved at step 2: the third is forgotten and done again.
    assert len(losses(killed)) == 3
    run(killed, resume=True)
    assert losses(killed) == losses(whole)
    steps = [line['step'] for line in read_history(killed.folder) if 'loss' in line]
    assert steps == list(range(1, 7))


def test_the_same_seed_gives_the_same_weights(make_task):
    a, _ = run(make_task('a', epochs=1))
    b, _ = run(make_task('b', epochs=1))
    assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def test_learning_rates_are_halved_by_epoch(make_task):
    task = make_task(depth_lr=1e-3)
    run(task)
    rates = [line['lr/depth'] for line in read_history(task.folder) if 'lr/depth' in line]
    assert rates == [1e-3] * 3 + [5e-4] * 3


def test_a_loss_that_is_not_a_number_stops_before_it_spoils_the_weights(make_task):
    task = make_task()
    with pytest.raises(KeyboardInterrupt):
        run(task, stop=StopAfter(2))
    kept = task.last.read_bytes()
    objective = make_objective()
    objective.pose_network.register_forward_hook(lambda *_: torch.full((4, 2, 6), float('nan')))
    with pytest.raises(
        TrainingError, match=r'run: loss is nan at step 3.*last\.ckpt is kept'
    ) as error:
        run(task, objective, resume=True)
    assert '\n' not in str(error.value)
    assert task.last.read_bytes() == kept
    assert all(torch.isfinite(v).all() for v in objective.state_dict().values())


def test_a_loss_that_runs_away_stops_the_run(make_task):
    task = make_task(epochs=20, divergence=1.05)
    objective = make_objective()
    weight = [1.0]

    def grow(module, inputs, output):
        weight[0] *= 1.5
        return output | {'loss': output['loss'] * weight[0]}

    objective.register_forward_hook(grow)
    with pytest.raises(TrainingError, match=r'mean loss has risen'):
        run(task, objective)


def test_a_checkpoint_of_other_data_is_refused(make_task):
    run(make_task(epochs=1))
    with pytest.raises(CheckpointError, match=r'another configuration or other bags'):
        run(make_task(epochs=2, fingerprint='other'), resume=True)


def test_a_damaged_checkpoint_is_refused_in_one_sentence(make_task):
    task = make_task(epochs=1)
    run(task)
    task.last.write_bytes(task.last.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r'cannot be read'):
        run(task, resume=True)


def test_a_checkpoint_that_cannot_be_written_keeps_the_last_one(make_task, monkeypatch):
    task = make_task(epochs=1)
    objective, _ = run(task)
    kept = task.last.read_bytes()

    def full(content, stream):
        stream.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(checkpoints.torch, 'save', full)
    optimizer = torch.optim.Adam(objective.parameters())
    with pytest.raises(CheckpointError, match=r'No space left on device; the last one is kept'):
        checkpoints.save(task.last, objective, optimizer, checkpoints.Progress(), 'x')
    assert task.last.read_bytes() == kept
    assert not [p for p in task.folder.iterdir() if p.name.startswith('.')]


def test_a_frozen_semantic_network_is_not_in_the_checkpoint_and_does_not_change():
    config = ModelConfig('efficientnet_lite0', MODEL.depth_options, 'espnetv2', {'scale': 0.5})
    objective = Objective(build_model(config), PoseNet(), LossConfig(), 60.0)
    names = checkpoints.trained_state(objective)
    assert not any(name.startswith('model.semantic.') for name in names)
    # What batch normalisation has seen is learned too, in the depth network.
    assert any(name.startswith('model.depth.') and 'running_mean' in name for name in names)


def test_the_history_survives_a_line_cut_by_a_crash(make_task):
    task = make_task(epochs=1)
    run(task)
    path = task.folder / 'history.jsonl'
    path.write_text(path.read_text() + json.dumps({'step': 99, 'loss': 1})[:9])
    assert all(line['step'] <= 3 for line in read_history(task.folder))

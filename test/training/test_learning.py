"""A short training on a rendered street: the loss falls, and so does the error of depth.

The numbers that a user can expect take minutes: config/train/smoke.yaml, docs/training.
"""

import threading

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric

from semdepth_ros.bags.drive import Drive
from semdepth_ros.networks.model import ModelConfig, build_model
from semdepth_ros.networks.pose import PoseNet
from semdepth_ros.simulation.bag import write_street_bag
from semdepth_ros.simulation.config import StreetConfig, default_camera
from semdepth_ros.simulation.drive import StreetDrive
from semdepth_training.augmentation import AugmentationConfig
from semdepth_training.evaluation.evaluator import Evaluator
from semdepth_training.evaluation.frames import EvaluationFrame, RawDepth
from semdepth_training.frame_cache import CacheConfig, PreparedDrive
from semdepth_training.metric_start import start_metric
from semdepth_training.objective import LossConfig, Objective
from semdepth_training.resampling import predict_depth
from semdepth_training.run_log import read_history
from semdepth_training.selection import SelectionConfig
from semdepth_training.task import LoopConfig, OptimizerConfig, Task
from semdepth_training.trainer import train
from semdepth_training.triplets import select_triplets, split


@pytest.fixture(scope='module')
def street(tmp_path_factory):
    """Render a drive; return its triplets for training and those of its end."""
    folder = tmp_path_factory.mktemp('street')
    drive = StreetDrive(
        StreetConfig(seed=1, frames=60, camera=default_camera(128, 64), traffic=0.2)
    )
    write_street_bag(folder / 'bag', drive)
    prepared = PreparedDrive(
        Drive(folder / 'bag'), 128, 64, CacheConfig('always', folder=str(folder / 'cache'))
    )
    prepared.prepare()
    return split([prepared], [select_triplets(prepared, SelectionConfig())], [], 0.2)


@pytest.fixture(scope='module')
def trained(street, tmp_path_factory):
    """Train for some seconds; return evaluations before and after, and the history."""
    training, validation = street
    torch.manual_seed(0)
    torch.set_num_threads(2)
    options = {'decoder_channels': (8, 16, 32, 32, 32)}
    objective = Objective(
        build_model(ModelConfig('resnet18', options)),
        PoseNet(),
        LossConfig(),
        training.focal_length(),
    )
    start_metric(objective.model.depth, objective.pose_network, training.known_distances()[1])
    before = evaluate(objective, validation)
    task = Task(
        name='short',
        folder=tmp_path_factory.mktemp('run'),
        training=training,
        validation=validation,
        optimizer=OptimizerConfig(epochs=6, batch=4, depth_lr=5e-4, pose_lr=5e-4, halve_every=4),
        augmentation=AugmentationConfig(),
        loop=LoopConfig(validate_every=6, validation_batches=1),
        seed=0,
        fingerprint='',
    )
    train(Fabric(accelerator='cpu', devices=1), objective, task, False, threading.Event())
    return before, evaluate(objective, validation), read_history(task.folder)


def evaluate(objective, triplets):
    objective.eval()
    evaluator = Evaluator()
    for index in range(0, len(triplets), 2):
        part, center = triplets.locate(index)
        (image,), (depth,) = predict_depth(objective, triplets, [index], torch.device('cpu'))
        camera = part.drive.fit.camera
        truth = part.drive.drive.truth(center, camera)
        evaluator.add(EvaluationFrame(str(center), image, camera, truth), RawDepth(depth))
    return evaluator.result()


def test_the_loss_falls(trained):
    loss = [line['photometric'] for line in trained[2] if 'loss' in line]
    assert np.mean(loss[-10:]) < 0.9 * np.mean(loss[:10])


def test_the_error_of_depth_falls(trained):
    before, after, _ = trained
    assert after.median_scaled.abs_rel < 0.85 * before.median_scaled.abs_rel


def test_depth_is_about_metric(trained):
    _, after, _ = trained
    assert 0.5 < after.scale.median < 2.0

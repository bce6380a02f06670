"""Fixtures of the whole suite: the shared recordings, quiet threads, a private ROS domain."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from semdepth_ros.demo.domain import claim_domain

# Before anything imports rclpy: this suite talks to its own processes alone.
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ['ROS_DOMAIN_ID'] = str(claim_domain())

# A background job of a shell ignores SIGINT, and so would every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """Return where recordings and weights for development lie, whether or not they are there."""
    return Path(os.environ.get('SEMDEPTH_DATA', ROOT.parent / 'shared' / 'data'))


def shared(name: str) -> Path:
    """Return a file or folder of the shared data, or skip the test by the missing name."""
    path = data_folder() / name
    if not path.exists():
        pytest.skip(f'shared data not present: {name} (set SEMDEPTH_DATA)')
    return path


@pytest.fixture(scope='session')
def shared_data():
    """Give the function that finds a file of the shared data or skips the test by its name."""
    return shared


@pytest.fixture(scope='session')
def tiny_weights(tmp_path_factory):
    """Return a small model with its pose network, random weights, input 320x96."""
    import torch

    from semdepth_ros.networks.pose import PoseNet
    from semdepth_ros.weights import WeightsCard, save
    from semdepth_ros.weights.assemble import assemble_model

    model, config = assemble_model(
        'efficientnet_lite0', semantic='espnetv2', semantic_options={'scale': 0.5}
    )
    torch.manual_seed(0)
    card = WeightsCard(config, 320, 96, scale='metric', focal_length=200.0, trained=True)
    path = tmp_path_factory.mktemp('weights') / 'tiny.safetensors'
    save(path, model, card, PoseNet())
    return path


@pytest.fixture(scope='session')
def street_bag(tmp_path_factory):
    """Return a bag of six frames of a street, 320x96, with depth and labels."""
    from semdepth_ros.simulation import StreetConfig, StreetDrive, default_camera
    from semdepth_ros.simulation.bag import write_street_bag

    path = tmp_path_factory.mktemp('street') / 'street'
    drive = StreetDrive(StreetConfig(seed=3, frames=6, camera=default_camera(320, 96)))
    write_street_bag(path, drive)
    return path

"""One running node for many tests: starting one takes seconds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# As the launch file does: without it, images and clouds do not fit into shared memory.
os.environ.setdefault(
    'FASTDDS_DEFAULT_PROFILES_FILE',
    str(Path(__file__).resolve().parents[2] / 'config' / 'fastdds.xml'),
)


@pytest.fixture(scope='session')
def tiny_weights(tmp_path_factory):
    """Return a small model with its pose network, random weights, input 320x96."""
    pytest.importorskip('rclpy')
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
def bench():
    """Return a ROS node of this process."""
    rclpy = pytest.importorskip('rclpy')
    from ros_harness import Bench

    rclpy.init()
    bench = Bench()
    yield bench
    bench.close()
    rclpy.shutdown()

"""Fixtures of the whole suite: the shared recordings, quiet threads, a private ROS domain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything imports rclpy: this suite talks to its own processes alone.
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ['ROS_DOMAIN_ID'] = str(os.getpid() % 100 + 1)

ROOT = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """Return where recordings and weights for development lie, whether or not they are there."""
    return Path(os.environ.get('SEMDEPTH_DATA', ROOT.parent / 'shared' / 'data'))


def shared(name: str) -> Path:
    """Return a file or folder of the shared data, or skip the test by the name of what is absent."""
    path = data_folder() / name
    if not path.exists():
        pytest.skip(f'shared data not present: {name} (set SEMDEPTH_DATA)')
    return path


@pytest.fixture
def shared_data():
    """Give the function that finds a file of the shared data or skips the test by its name."""
    return shared

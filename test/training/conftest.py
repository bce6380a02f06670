"""Small bags for the training's tests: a textured wall that slides past the camera."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from semdepth_ros.bags import messages
from semdepth_ros.bags.writer import BagWriter
from semdepth_ros.camera import Camera

PERIOD_NS = 100_000_000
CAMERA = Camera(96, 64, 60.0, 60.0, 47.5, 31.5)


@pytest.fixture(autouse=True)
def few_threads():
    # Networks this small do not gain from a second thread.
    torch.set_num_threads(1)


@pytest.fixture(scope='session')
def slide():
    """Give frame k of a drive: the texture moves by `pixels` from frame to frame."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (64, 4096, 3)).astype(np.uint8), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    return lambda place, width=96: np.ascontiguousarray(texture[:, place : place + width])


@pytest.fixture
def write_bag(tmp_path, slide):
    """Give a function that writes a bag of `count` frames and returns its path.

    `speed` in m/s for each frame (one number for all) goes to odometry, None writes none; `pixels`
    is the shift of the image per metre at 10 frames a second, or per frame without speed.
    """

    def write(
        name='drive',
        count=12,
        speed=5.0,
        pixels=8,
        camera=CAMERA,
        stamps=None,
        corrupt=(),
        camera_info=True,
        seed_place=0,
    ):
        path = tmp_path / name
        stamps = np.arange(count) * PERIOD_NS + 10**9 if stamps is None else stamps
        speeds = np.broadcast_to(0.0 if speed is None else speed, count)
        place, x = float(seed_place), 0.0
        with BagWriter(path) as writer:
            for number, stamp in enumerate(map(int, stamps)):
                image = cv2.resize(slide(int(place)), camera.size)
                data = cv2.imencode('.png', image[..., ::-1])[1].tobytes()
                if number in corrupt:
                    data = b'no picture'
                message = messages.compressed_image(stamp, 'camera', data, 'png')
                writer.write('/camera/image_rect/compressed', message, stamp)
                if camera_info:
                    info = messages.camera_info(stamp, 'camera', camera)
                    writer.write('/camera/camera_info', info, stamp)
                if speed is not None:
                    T = np.eye(4)
                    T[0, 3] = x
                    odometry = messages.odometry(stamp, 'odom', 'camera', T, (speeds[number], 0, 0))
                    writer.write('/odom', odometry, stamp)
                    x += speeds[number] * PERIOD_NS / 1e9
                    place += speeds[number] * pixels / 10
                else:
                    place += pixels
        return path

    return write

"""Small recordings: a camera that drives along a wall with a texture, and what belongs to it."""

import cv2
import numpy as np

from semdepth_ros.bags import messages
from semdepth_ros.bags.writer import BagWriter
from semdepth_ros.camera import Camera

CAMERA = Camera(64, 48, 60.0, 60.0, 31.5, 23.5)
START = 1_700_000_000_000_000_000
#: Optical frame (z forward) in a vehicle frame (x forward, z up), 1.5 m above the ground.
T_BASE_CAMERA = np.array([[0, 0, 1, 0.5], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], float)
#: A LiDAR half a metre above the camera, in the axes of the vehicle.
T_BASE_LIDAR = np.array([[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 2.0], [0, 0, 0, 1]], float)

WALL = cv2.resize(
    np.random.default_rng(3).integers(20, 235, (24, 200, 3), np.uint8),
    (1600, 192),
    interpolation=cv2.INTER_NEAREST,
)


def wall_image(frame, camera=CAMERA, step=3):
    """Return the texture as a sideways moving camera sees it, `step` pixels further a frame."""
    x = (frame * step) % (WALL.shape[1] - camera.width)
    return np.ascontiguousarray(WALL[: camera.height, x : x + camera.width])


def stamps(frames, rate=10.0):
    return [START + round(k * 1e9 / rate) for k in range(frames)]


def transforms_message(lidar=True):
    edges = [messages.Transform('base_link', 'camera', T_BASE_CAMERA)]
    if lidar:
        T = np.linalg.inv(T_BASE_CAMERA) @ T_BASE_LIDAR
        edges.append(messages.Transform('camera', 'lidar', T))
    return messages.transforms(START, edges)


def write_drive(
    path,
    frames=12,
    storage='mcap',
    times=None,
    image=wall_image,
    camera=CAMERA,
    compressed='.png',
    prefix='/camera',
    name='image_rect',
    info=True,
    speed=5.0,
    extra=(),
):
    """Write a drive; `extra` are (topic, message, log time) to write besides."""
    times = stamps(frames) if times is None else times
    with BagWriter(path, storage) as writer:
        writer.write('/tf_static', transforms_message(), START)
        for k, stamp in enumerate(times):
            log_time = START + k * 100_000_000
            picture = image(k)
            if compressed:
                ok, data = cv2.imencode(compressed, picture[..., ::-1])
                assert ok
                topic = f'{prefix}/{name}/compressed'
                message = messages.compressed_image(stamp, 'camera', data.tobytes(), 'png')
            else:
                topic, message = (
                    f'{prefix}/{name}',
                    messages.image(stamp, 'camera', picture, 'rgb8'),
                )
            writer.write(topic, message, log_time)
            if info:
                writer.write(
                    f'{prefix}/camera_info', messages.camera_info(stamp, 'camera', camera), log_time
                )
            if speed is not None:
                T = np.eye(4)
                T[0, 3] = speed * (stamp - START) * 1e-9
                message = messages.odometry(stamp, 'odom', 'base_link', T, (speed, 0, 0))
                writer.write('/odom', message, log_time)
        for topic, message, log_time in extra:
            writer.write(topic, message, log_time)
    return path

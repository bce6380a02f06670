"""Small valid files of every kind: what fuzzing starts from. Written anew, never kept."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from semdepth_ros.bags import messages
from semdepth_ros.bags.writer import BagWriter
from semdepth_ros.camera import Camera
from semdepth_ros.networks.model import GuidanceConfig, ModelConfig, build_model
from semdepth_ros.weights import WeightsCard, save


def write_images(folder: Path) -> None:
    """Write JPEG (plain, progressive, gray) and PNG (colour, gray, 16 bits) of 24x16 pixels."""
    rng = np.random.default_rng(0)
    color = cv2.GaussianBlur(rng.integers(0, 255, (16, 24, 3), np.uint8), (0, 0), 2)
    pictures = {
        'color.jpg': (color, []),
        'progressive.jpg': (color, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        'gray.jpg': (color[..., 0], []),
        'color.png': (color, []),
        'gray.png': (color[..., 0], []),
        'wide.png': (color[..., 0].astype(np.uint16) * 257, []),
    }
    for name, (picture, options) in pictures.items():
        _, encoded = cv2.imencode(Path(name).suffix, picture, options)
        (folder / name).write_bytes(encoded.tobytes())


def write_bags(folder: Path) -> None:
    """Write one bag in each storage: three images, camera_info, odometry and a cloud."""
    camera = Camera(8, 6, 7.0, 7.0, 3.5, 2.5)
    image = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 3)
    cloud = np.zeros(5, [('x', 'f4'), ('y', 'f4'), ('z', 'f4')])
    for storage in ('mcap', 'sqlite3'):
        path = folder / storage
        with BagWriter(path, storage) as bag:
            for stamp in range(10**9, 4 * 10**9, 10**9):
                bag.write('/image', messages.image(stamp, 'camera', image, 'rgb8'), stamp)
                bag.write('/info', messages.camera_info(stamp, 'camera', camera), stamp)
                odometry = messages.odometry(stamp, 'odom', 'base', np.eye(4), (1.0, 0.0, 0.0))
                bag.write('/odom', odometry, stamp)
                bag.write('/points', messages.point_cloud(stamp, 'lidar', cloud), stamp)
        for file in path.iterdir():
            if file.suffix != '.yaml':
                file.rename(folder / f'bag{file.suffix}')
            else:
                file.unlink()
        path.rmdir()


def write_weights(folder: Path) -> None:
    """Write the head of a weights file, its tensors cut off, and a card whose file is all there."""
    config = ModelConfig('resnet18', {}, 'espnetv2', {'scale': 0.5}, GuidanceConfig(channels=4))
    torch.manual_seed(0)
    card = WeightsCard(config, 96, 64, scale='metric', focal_length=50.0, trained=False)
    path = folder / 'model.safetensors'
    save(path, build_model(config), card)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], 'little')
    path.unlink()
    (folder / 'head.safetensors').write_bytes(content[: 8 + length + 400])
    (folder / 'card.json').write_text(card.to_json())


KINDS = {'image': write_images, 'bag': write_bags, 'weights': write_weights}


def write(kind: str, folder: Path) -> None:
    """Write the files of one kind to a folder, made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    KINDS[kind](folder)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('kind', choices=KINDS)
    parser.add_argument('folder', type=Path)
    arguments = parser.parse_args()
    write(arguments.kind, arguments.folder)

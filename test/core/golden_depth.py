"""Depth of five street-world frames with the shipped weights: `python test/core/golden_depth.py`.

Writes `golden_depth.npz` beside this file. Run it when the default weights, the street world or
the network's arithmetic change on purpose, and say so in the commit.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from semdepth_ros.engines import create_engine
from semdepth_ros.files import atomic_path
from semdepth_ros.pipeline import FramePipeline
from semdepth_ros.simulation import StreetConfig, StreetDrive, default_camera
from semdepth_ros.weights import load

FILE = Path(__file__).with_suffix('.npz')
#: Every eighth pixel: 24 rows of 80.
STRIDE = 8
SEEDS = (1, 2, 3, 4, 5)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def street_depths(weights: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return unfiltered depth, (5, 24, 80) float32 metres, and labels, uint8, of five streets."""
    loaded = load(weights)
    card = loaded.card
    engine = create_engine(loaded, name='torch', device='cpu', precision='float32')
    pipeline = FramePipeline(card.width, card.height, card.focal_length)
    depths, labels = [], []
    for seed in SEEDS:
        drive = StreetDrive(StreetConfig(seed=seed, frames=20, camera=default_camera(640, 192)))
        prepared = pipeline.prepare(drive.frame(10).image, drive.config.camera)
        prediction = engine.predict(prepared.network_image[None])
        depth, label, _ = pipeline.network_depth(prepared, prediction)
        depths.append(depth[::STRIDE, ::STRIDE].copy())
        labels.append(label[::STRIDE, ::STRIDE].copy())
    return np.stack(depths), np.stack(labels)


def main() -> None:
    """Write the golden file for the shipped weights."""
    from semdepth_ros.weights.default import default_weights

    weights = default_weights()
    if weights is None:
        raise SystemExit('golden_depth: no *.safetensors in semdepth_ros/weights')
    depth, label = street_depths(weights)
    with atomic_path(FILE) as partial:
        np.savez_compressed(partial, depth=depth, label=label, weights=file_hash(weights))
    print(f'wrote {FILE}: depth {np.median(depth):.2f} m in the median, weights {weights.name}')


if __name__ == '__main__':
    main()

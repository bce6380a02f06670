"""Pictures of the shipped weights on streets never trained on: `python docs/training/pictures.py`.

Of each scene: image and depth, labels and true depth, and the cloud from above. The recordings that
the weights have learned from are not shown here, because of their licence.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from semdepth_ros.coloring import color_depth, color_labels
from semdepth_ros.demo.check import PublishedFrame
from semdepth_ros.demo.sheet import cloud_from_above
from semdepth_ros.inference.processor import Processor
from semdepth_ros.inference.sources import SourceFrame
from semdepth_ros.pipeline import OutputSettings
from semdepth_ros.simulation import StreetConfig, StreetDrive

FILE = Path(__file__).parents[1] / 'images' / 'default_weights.jpg'
#: Seed of the street, frame of the drive, vehicles that stand in the lane.
SCENES = ((5000, 10, 0), (5002, 10, 0), (722, 40, 0), (400, 25, 8), (402, 25, 8), (724, 20, 0))
SIZE = (400, 120)


def main() -> None:
    """Render the streets, run the network, write the picture."""
    processor = Processor(
        None,
        engine='torch',
        device='cpu',
        precision='float32',
        fit_mode='crop',
        settings=OutputSettings(output_size='image'),
        camera_height=None,
        report=print,
    )
    rows = [_row(processor, *scene) for scene in SCENES]
    picture = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    FILE.write_bytes(cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())


def _row(processor: Processor, seed: int, index: int, queue: int) -> np.ndarray:
    drive = StreetDrive(StreetConfig(seed=seed, frames=60 if not queue else 32, queue=queue))
    frame = drive.frame(index)
    source = SourceFrame(str(seed), frame.stamp_ns, 'camera', frame.image, frame.camera)
    result = processor(source)
    published = PublishedFrame(
        frame.stamp_ns, result.depth_HW, result.label_HW, result.points(), result.camera
    )
    panels = [
        [frame.image, color_depth(result.depth_HW)],
        [color_labels(result.label_HW), color_depth(frame.depth)],
    ]
    small = [
        np.hstack([cv2.resize(panel, SIZE, interpolation=cv2.INTER_AREA) for panel in line])
        for line in panels
    ]
    return np.hstack([np.vstack(small), cloud_from_above(published, 2 * SIZE[1])])


if __name__ == '__main__':
    main()

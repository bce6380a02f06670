"""`python -m semdepth_training.ablation_picture`: what an ablation's networks see, side by side.

A row for each frame: the image, its true depth, then the depth of every network and stage of one
seed, each scaled by its median against the truth. A line above the rows says which is which.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from semdepth_ros.bags.drive import Drive
from semdepth_ros.coloring import color_depth
from semdepth_ros.files import write_atomically
from semdepth_training.ablation import STAGES, VARIANTS
from semdepth_training.evaluation.drives import DriveFrames
from semdepth_training.evaluation.predictor import Predictor
from semdepth_training.evaluation.truth import BagTruth

SIZE = (280, 80)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the picture; return 0."""
    parser = argparse.ArgumentParser(
        prog='semdepth_training.ablation_picture', description=__doc__.split('\n')[0]
    )
    parser.add_argument('--ablation', type=Path, required=True, help='output of the ablation')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--frames', nargs='+', required=True, metavar='BAG:FRAME')
    parser.add_argument('--output', type=Path, required=True, help='a JPEG file')
    arguments = parser.parse_args(argv)
    weights = {
        f'{variant}, {STAGES[stage]}': file
        for variant in VARIANTS
        for stage in STAGES
        if (
            file := arguments.ablation
            / f'{variant.replace(" ", "_")}_{arguments.seed}'
            / stage
            / 'weights.safetensors'
        ).exists()
    }
    if not weights:
        parser.error(f'{arguments.ablation} holds no networks of seed {arguments.seed}')
    frames = []
    for text in arguments.frames:
        bag, _, number = text.rpartition(':')
        if not bag or not number.isdigit():
            parser.error(f'--frames has {text!r}, expected BAG:FRAME such as street:10')
        drive = Drive(bag)
        only = slice(int(number), int(number) + 1)
        frames.append(next(iter(DriveFrames([drive], [BagTruth(drive)], only))))
    columns = [
        ['image', *(frame.image_HW3 for frame in frames)],
        ['true depth', *(color_depth(frame.truth_HW) for frame in frames)],
    ]
    for name, file in weights.items():
        predictor = Predictor(file, engine='torch', device='cpu', precision='float32')
        depths = []
        for frame in frames:
            raw, _ = predictor.predict(frame.image_HW3, frame.camera)
            seen = frame.truth_HW[raw.window]
            depth = cv2.resize(raw.depth_HW, seen.shape[::-1], interpolation=cv2.INTER_LINEAR)
            known = np.isfinite(seen) & (seen > 0) & (seen < 80)
            scale = np.median(seen[known]) / np.median(depth[known])
            whole = np.full(frame.truth_HW.shape, np.nan, np.float32)
            whole[raw.window] = depth * scale
            depths.append(color_depth(whole))
        predictor.close()
        columns.append([name, *depths])
    picture = np.hstack([_column(*column) for column in columns])
    encoded = cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
    write_atomically(arguments.output, encoded.tobytes())
    return 0


def _column(title: str, *images: np.ndarray) -> np.ndarray:
    head = np.full((22, SIZE[0], 3), 255, np.uint8)
    cv2.putText(head, title, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    small = [cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA) for image in images]
    return np.vstack([head, *small])


if __name__ == '__main__':
    sys.exit(main())

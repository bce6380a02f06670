"""`semdepth distill`: teach a small semantic network what two large ones agree on."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from semdepth_ros.errors import SemdepthError
from semdepth_ros.progress import progress_bar, track
from semdepth_training.distillation.student import (
    DistillationConfig,
    LabelledImage,
    intersection_over_union,
    train_student,
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(prog='semdepth distill', description=__doc__)
    parser.add_argument('--bags', nargs='*', default=[], help='recordings that the teachers label')
    parser.add_argument('--streets', type=int, default=40, help='rendered streets, true labels')
    parser.add_argument('--validation-bag', help='recording to measure agreement on, never trained')
    parser.add_argument('--espnetv2', type=Path, required=True, help='Cityscapes checkpoint, .pth')
    parser.add_argument('--tflite', type=Path, required=True, help='Cityscapes network, .tflite')
    parser.add_argument('--output', type=Path, required=True, help='folder for the student')
    parser.add_argument('--channels', type=int, default=32, help='of the pyramid and its head')
    parser.add_argument('--size', default='640x192', help='of the images, WxH')
    parser.add_argument('--frames', type=int, default=210, help='per recording, evenly spread')
    for field in dataclasses.fields(DistillationConfig):
        parser.add_argument(
            f'--{field.name.replace("_", "-")}', type=type(field.default), default=field.default
        )
    return parser


def main(argv: Sequence[str]) -> int:
    """Label, train and measure; labelled images in the output folder are used again."""
    args = build_parser().parse_args(argv)
    config = DistillationConfig(
        **{
            field.name: getattr(args, field.name)
            for field in dataclasses.fields(DistillationConfig)
        }
    )
    # Late, so that --help answers before torch is imported.
    import torch
    from safetensors.torch import save_file

    from semdepth_ros.files import atomic_path, write_atomically
    from semdepth_ros.networks.semantic.build import build_semantic_network
    from semdepth_ros.networks.semantic.fpn import Fpn
    from semdepth_training.distillation.images import street_images

    width, height = _size(args.size)
    teachers = _Teachers(args.espnetv2, args.tflite)
    images: list[LabelledImage] = []
    for bag in args.bags:
        images += _labelled(bag, teachers, args.output, (width, height), args.frames)
    streets = street_images(range(args.streets), 5, (width, height))
    images += track(streets, 5 * args.streets, 'render streets')
    if not images:
        raise SemdepthError('nothing to learn from: give --bags or --streets')

    torch.manual_seed(config.seed)
    options = {'channels': args.channels, 'head_channels': args.channels}
    network = build_semantic_network('fpn_efficientnet_lite0', **options)
    assert isinstance(network, Fpn)
    network.encoder.load_imagenet()
    with progress_bar('steps') as bar:
        task = bar.add_task('distill', total=config.steps)

        def log(step: int, loss: float) -> None:
            bar.update(task, advance=1, description=f'distill, loss {loss:.3f}')

        train_student(network, images, config, log)

    output = args.output / 'semantic.safetensors'
    with atomic_path(output) as temporary:
        save_file(network.state_dict(), temporary)
    report = {'config': dataclasses.asdict(config), 'options': options, 'images': len(images)}
    if args.validation_bag:
        held_out = _labelled(args.validation_bag, teachers, args.output, (width, height), 40)
        report |= _agreement(network, held_out)
    write_atomically(args.output / 'report.json', json.dumps(report, indent=1).encode())
    print(f'semdepth distill: wrote {output}', file=sys.stderr)
    return 0


class _Teachers:
    """Both teachers, loaded when the first image needs them."""

    def __init__(self, espnetv2: Path, tflite: Path) -> None:
        self._espnetv2, self._tflite = espnetv2, tflite

    def load(self) -> list:
        from semdepth_training.distillation.teachers import EspNetTeacher, TfliteTeacher

        return [EspNetTeacher(self._espnetv2), TfliteTeacher(self._tflite)]


def _labelled(
    bag: str, teachers: _Teachers, folder: Path, size: tuple[int, int], frames: int
) -> list[LabelledImage]:
    """Return the labelled images of a bag, from an earlier run where that is whole."""
    import numpy as np

    from semdepth_ros.bags.drive import Drive
    from semdepth_ros.files import atomic_path
    from semdepth_training.distillation.images import recorded_images

    drive = Drive(bag)
    every = math.ceil(len(drive) / frames)
    cached = folder / f'labels_{drive.name}_{size[0]}x{size[1]}_{every}.npz'
    if not cached.exists():
        labelled = recorded_images(drive, teachers.load(), size, every)
        items: Iterable[LabelledImage] = track(labelled, len(drive) // every, f'label {drive.name}')
        pairs = [(item.image_HW3, item.label_HW) for item in items]
        with atomic_path(cached) as temporary:
            np.savez_compressed(
                temporary,
                images=np.stack([image for image, _ in pairs]),
                labels=np.stack([label for _, label in pairs]),
            )
    with np.load(cached) as content:
        return [LabelledImage(*pair) for pair in zip(content['images'], content['labels'])]


def _agreement(network, images: list[LabelledImage]) -> dict:
    """Return how well the student agrees with the teachers on a drive that it has never seen."""
    import numpy as np

    from semdepth_ros.classes import CLASS_NAMES

    iou = intersection_over_union(network, images)
    by_name = {name: value for name, value in zip(CLASS_NAMES, iou) if np.isfinite(value)}
    for name, value in by_name.items():
        print(f'  {name:<14} {value:.3f}')
    mean = float(np.mean(list(by_name.values())))
    print(f'  {"mean":<14} {mean:.3f}   (agreement with the teachers, unseen drive)')
    return {'intersection_over_union': by_name, 'mean': mean}


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.split('x'))
    except ValueError as error:
        raise SemdepthError(f'size is {text!r}, expected WxH such as 640x192') from error
    return width, height

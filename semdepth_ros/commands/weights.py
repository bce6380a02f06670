"""`semdepth weights`: show, annotate, import (PackNet checkpoints) and assemble weights files."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

#: fx relative to the image's width of the KITTI camera that the official checkpoints saw.
KITTI_FOCAL_LENGTH = 0.581


def main(argv: Sequence[str] | None = None) -> int:
    """Run one action on weights files; see `semdepth weights --help`.

    Raises:
        SemdepthError: when a file cannot be read, does not fit or cannot be written.
    """
    arguments = _parser().parse_args(argv)
    return arguments.run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='semdepth weights', description=__doc__)
    actions = parser.add_subparsers(dest='action', required=True, metavar='ACTION')

    show = actions.add_parser('show', help='print the card of a weights file')
    show.add_argument('file', type=Path)
    show.add_argument('--json', action='store_true', help='print the card as it stands in the file')
    show.set_defaults(run=_show)

    annotate = actions.add_parser(
        'annotate',
        help='write a copy with more on its card, and half as large if asked',
        description='Write a copy of a weights file with more on its card: its licence, notes of '
        'where it comes from, measured figures. A NAME that is there already gets the new value.',
    )
    annotate.add_argument('file', type=Path)
    annotate.add_argument('--output', required=True, type=Path, metavar='FILE.safetensors')
    annotate.add_argument('--licence', help='of the weights, with what follows from their data')
    for flag, text in (('--note', 'of the provenance'), ('--metric', 'a measured figure')):
        annotate.add_argument(flag, action='append', default=[], metavar='NAME=VALUE', help=text)
    annotate.add_argument('--half', action='store_true', help='store weights in float16')
    annotate.set_defaults(run=_annotate)

    ckpt = actions.add_parser(
        'import',
        help='convert a checkpoint of the official PackNet-SfM release',
        description='Convert a checkpoint of the official PackNet-SfM release (*.ckpt). With '
        '--guided-by, guidance starts neutral: depth stays as it was until guidance is trained.',
    )
    ckpt.add_argument('checkpoint', type=Path)
    ckpt.add_argument(
        '--metric', action='store_true', help='trained with velocity: depth is metres'
    )
    ckpt.add_argument('--licence', default='unknown', help='of the checkpoint and its data')
    _add_camera(ckpt)
    _add_semantic(ckpt, '--guided-by')
    ckpt.set_defaults(run=_import)

    assemble = actions.add_parser(
        'assemble',
        help='put an untrained depth network and a pretrained semantic network into one file',
        description='Put an untrained depth network and a pretrained semantic network into one '
        'file: labels are right, depth means nothing until it is trained.',
    )
    assemble.add_argument('--depth', required=True, metavar='NAME', help='of the depth network')
    assemble.add_argument('--unguided', action='store_true', help='labels only, no guidance')
    assemble.add_argument('--seed', type=int, default=0, help='of the random weights')
    _add_camera(assemble)
    _add_semantic(assemble, '--semantic')
    assemble.set_defaults(run=_assemble)
    return parser


def _add_camera(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--output', required=True, type=Path, metavar='FILE.safetensors')
    parser.add_argument('--size', default='640x192', metavar='WxH', help='of the network input')
    parser.add_argument(
        '--focal-length',
        type=float,
        metavar='PIXELS',
        help='fx of the training camera at that size (default: KITTI, 0.581 of the width)',
    )
    parser.add_argument('--half', action='store_true', help='store weights in float16')


def _add_semantic(parser: argparse.ArgumentParser, flag: str) -> None:
    parser.add_argument(
        flag,
        dest='semantic',
        metavar='NAME',
        help='semantic network: espnetv2, transformers, fpn_resnet18, fpn_resnet50, ...',
    )
    parser.add_argument(
        '--semantic-weights',
        metavar='FILE',
        help='its weights: ESPNetv2 checkpoint (.pth), state dict, or transformers name or folder',
    )


def _show(arguments: argparse.Namespace) -> int:
    from semdepth_ros.weights import load

    loaded = load(arguments.file)
    card = loaded.card
    if arguments.json:
        print(card.to_json())
        return 0
    parts = {'depth': loaded.model.depth, 'semantic': loaded.model.semantic}
    parts |= {'guidance': loaded.model.guidance, 'pose': loaded.pose}
    model = card.model
    lines = {
        'file': f'{arguments.file} ({arguments.file.stat().st_size / 1e6:.1f} MB)',
        'depth network': f'{model.depth} {_text(model.depth_options)}',
        'semantic network': f'{model.semantic} {_text(model.semantic_options)}',
        'guidance': str(model.guidance),
        'parameters': ', '.join(
            f'{name} {sum(p.numel() for p in part.parameters()):,}'
            for name, part in parts.items()
            if part is not None
        ),
        'input': f'{card.width}x{card.height}, focal length {card.focal_length:.1f} pixels',
        'scale': card.scale,
        'camera height': 'unknown' if card.camera_height is None else f'{card.camera_height} m',
        'trained': 'yes' if card.trained else 'NO: depth means nothing',
        'licence': card.licence,
        **{f'provenance: {name}': value for name, value in card.provenance.items()},
        **{f'metric: {name}': f'{value:g}' for name, value in card.metrics.items()},
    }
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f'{name:<{width}}  {value}')
    return 0


def _annotate(arguments: argparse.Namespace) -> int:
    from semdepth_ros.weights import load, save

    loaded = load(arguments.file)
    card = loaded.card
    notes = dict(_pair(text, '--note') for text in arguments.note)
    figures = dict(_pair(text, '--metric') for text in arguments.metric)
    card = dataclasses.replace(
        card,
        licence=card.licence if arguments.licence is None else arguments.licence,
        provenance={**card.provenance, **notes},
        metrics={**card.metrics, **{name: _number(name, text) for name, text in figures.items()}},
    )
    half = arguments.half or loaded.half
    save(arguments.output, loaded.model, card, loaded.pose, half=half)
    return 0


def _pair(text: str, flag: str) -> tuple[str, str]:
    from semdepth_ros.weights import WeightsError

    name, equals, value = text.partition('=')
    if not (name and equals and value):
        raise WeightsError(f'{flag} is {text!r}, expected NAME=VALUE')
    return name, value


def _number(name: str, text: str) -> float:
    from semdepth_ros.weights import WeightsError

    try:
        return float(text)
    except ValueError:
        raise WeightsError(f'--metric {name} is {text!r}, expected a number') from None


def _text(options: object) -> str:
    text = ', '.join(f'{k}={v}' for k, v in dict(options).items())  # type: ignore[call-overload]
    return text if len(text) < 100 else text[:97] + '...'


def _size(text: str) -> tuple[int, int]:
    from semdepth_ros.weights import WeightsError

    width, _, height = text.partition('x')
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise WeightsError(f'--size is {text!r}, expected WIDTHxHEIGHT such as 640x192')
    return int(width), int(height)


def _focal_length(arguments: argparse.Namespace, width: int) -> float:
    if arguments.focal_length is None:
        return KITTI_FOCAL_LENGTH * width
    return arguments.focal_length


def _import(arguments: argparse.Namespace) -> int:
    from semdepth_ros.networks.model import GuidanceConfig
    from semdepth_ros.weights import WeightsCard, save
    from semdepth_ros.weights.assemble import assemble_model
    from semdepth_ros.weights.packnet_import import fill, pose_network, read_packnet_checkpoint

    width, height = _size(arguments.size)
    name = arguments.checkpoint.name
    variant, depth, pose = read_packnet_checkpoint(arguments.checkpoint)
    model, config = assemble_model(
        variant,
        semantic=arguments.semantic,
        semantic_source=arguments.semantic_weights,
        guidance=GuidanceConfig() if arguments.semantic else None,
    )
    fill(model.depth, depth, name)
    card = WeightsCard(
        model=config,
        width=width,
        height=height,
        scale='metric' if arguments.metric else 'up_to_scale',
        focal_length=_focal_length(arguments, width),
        trained=True,
        licence=arguments.licence,
        provenance=_provenance(arguments, f'imported from the PackNet-SfM checkpoint {name}'),
    )
    networks = None if pose is None else pose_network(pose, name)
    save(arguments.output, model, card, networks, half=arguments.half)
    count = sum(value.numel() for value in depth.values())
    print(f'{arguments.output}: {variant}, {count:,} depth parameters')
    return 0


def _assemble(arguments: argparse.Namespace) -> int:
    from semdepth_ros.networks.model import GuidanceConfig
    from semdepth_ros.weights import WeightsCard, save
    from semdepth_ros.weights.assemble import assemble_model

    width, height = _size(arguments.size)
    guided = arguments.semantic is not None and not arguments.unguided
    model, config = assemble_model(
        arguments.depth,
        semantic=arguments.semantic,
        semantic_source=arguments.semantic_weights,
        guidance=GuidanceConfig() if guided else None,
        seed=arguments.seed,
    )
    card = WeightsCard(
        model=config,
        width=width,
        height=height,
        scale='up_to_scale',
        focal_length=_focal_length(arguments, width),
        trained=False,
        provenance=_provenance(arguments, f'untrained depth network, seed {arguments.seed}'),
    )
    save(arguments.output, model, card, half=arguments.half)
    print(f'{arguments.output}: the depth network is untrained', file=sys.stderr)
    return 0


def _provenance(arguments: argparse.Namespace, origin: str) -> dict[str, str]:
    provenance = {'origin': origin}
    if arguments.semantic and arguments.semantic_weights:
        # The name, not the folder: a path says more about a machine than about the weights.
        provenance['semantic'] = f'{arguments.semantic} {Path(arguments.semantic_weights).name}'
    elif arguments.semantic:
        provenance['semantic'] = f'{arguments.semantic}, untrained'
    return provenance

"""`semdepth export`: the network of a weights file as ONNX, or as a TensorRT engine.

One graph holds depth and semantic network: 'image', uint8 (B, H, W, 3) RGB, gives 'inv_depth'
float32 (1/m), 'label' uint8 (Cityscapes train ids) and 'confidence' uint8. What is written is also
kept in the cache, so that a node on this machine starts with it at once.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        prog='semdepth export',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='An .engine needs TensorRT and the GPU that it will run on; int8 needs a bag.',
    )
    parser.add_argument('--weights', type=Path, help='weights file; default: the shipped one')
    parser.add_argument('--output', type=Path, required=True, help='FILE.onnx or FILE.engine')
    parser.add_argument(
        '--precision',
        choices=('float32', 'float16', 'int8'),
        help='default: float32, for .engine float16',
    )
    parser.add_argument('--size', metavar='WxH', help="of the input; default: the weights' own")
    parser.add_argument('--batch', type=int, default=1, help='images a call (cameras)')
    parser.add_argument('--calibrate', metavar='BAG', help='frames that int8 takes its ranges from')
    parser.add_argument('--device', default='cuda', help='GPU to build an .engine for')
    return parser


def main(argv: Sequence[str]) -> int:
    """Write the file."""
    args = build_parser().parse_args(argv)
    # Late, so that --help and wrong arguments answer before torch is imported.
    from semdepth_ros.export.onnx_export import ExportError
    from semdepth_ros.files import write_atomically
    from semdepth_ros.weights import load_or_untrained

    suffix = args.output.suffix
    if suffix not in ('.onnx', '.engine'):
        raise ExportError(f'output is {args.output}, expected a name ending in .onnx or .engine')
    precision = args.precision or ('float16' if suffix == '.engine' else 'float32')
    if (precision == 'int8') != (args.calibrate is not None):
        raise ExportError(
            f'precision {precision} with calibration on {args.calibrate}, '
            'expected --calibrate BAG for int8 and for nothing else'
        )
    weights = load_or_untrained(args.weights)
    if not weights.card.trained:
        print('semdepth: the weights are untrained: the output means nothing')
    width, height = _size(args.size, weights.card.width, weights.card.height)
    shape = (args.batch, height, width)
    if suffix == '.onnx':
        content = _onnx(weights, precision, shape, args.calibrate)
    else:
        content = _engine(weights, precision, shape, args.calibrate, args.device)
    write_atomically(args.output, content)
    print(
        f'{args.output}: {precision}, input {args.batch}x{height}x{width}x3 uint8, '
        f'{len(content) / 1e6:.1f} MB'
    )
    return 0


def _onnx(weights, precision: str, shape: tuple[int, int, int], bag: str | None) -> bytes:
    from semdepth_ros.engines.cache import store
    from semdepth_ros.engines.create import check_size
    from semdepth_ros.export.graph import graph, graph_path
    from semdepth_ros.export.quantize import bag_images, class_costs, costs_table, quantize

    batch, height, width = shape
    check_size(width, height, batch)
    if bag is None:
        return graph(weights, precision, shape, print)
    calibration, check = bag_images(bag, width, height)
    full = graph(weights, 'float32', shape, print)
    print(f'calibrating on {len(calibration)} frames')
    content = quantize(full, calibration, batch)
    print(f'int8 against float32 on {len(check)} other frames:')
    print(costs_table(class_costs(full, content, check, batch)))
    store(graph_path(weights, 'int8', shape), content)
    return content


def _engine(
    weights, precision: str, shape: tuple[int, int, int], bag: str | None, device: str
) -> bytes:
    import torch

    from semdepth_ros.engines.tensorrt_build import import_tensorrt
    from semdepth_ros.engines.tensorrt_engine import cached_plan
    from semdepth_ros.engines.torch_engine import cuda_device

    trt = import_tensorrt()
    target = cuda_device(device)
    _onnx(weights, precision, shape, bag)
    with torch.cuda.device(target):
        return cached_plan(weights, trt, target, precision, shape, print)


def _size(text: str | None, width: int, height: int) -> tuple[int, int]:
    from semdepth_ros.export.onnx_export import ExportError

    if text is None:
        return width, height
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    if match is None:
        raise ExportError(f'size is {text!r}, expected WIDTHxHEIGHT such as 640x192')
    return int(match[1]), int(match[2])

"""`semdepth benchmark engines`: every engine that this machine has, against eager torch."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch

from semdepth_ros.benchmarks.measure import Timing, added_process_mib, take_turns
from semdepth_ros.benchmarks.report import Report, Row
from semdepth_ros.engines import Engine, EngineError, create_engine
from semdepth_ros.engines.create import ORDER, PRECISIONS
from semdepth_ros.engines.inference import eager_module
from semdepth_ros.errors import SemdepthError
from semdepth_ros.export.graph import graph
from semdepth_ros.export.onnx_export import TOLERANCE, relative_error, sample_images
from semdepth_ros.networks.model import ModelConfig, build_model
from semdepth_ros.weights import LoadedWeights, WeightsCard, load_or_untrained

#: Against eager PackNet as published: engine and precision, times faster (issue of the project).
_PACKNET_TARGETS = {
    ('onnxruntime', 'float32'): 3.0,
    ('openvino', 'bfloat16'): 6.0,
    ('openvino', 'int8'): 9.0,
}
_DEFAULT_RATE = 15.0
_CAMERAS = (1, 2, 4)
#: Width and height of growing images; the first must reach `_DEFAULT_RATE` images a second.
_SIZES = ((640, 192), (640, 384), (1280, 384))


def measure(
    weights: LoadedWeights | None = None,
    packnet: bool = True,
    cameras: tuple[int, ...] = _CAMERAS,
    sizes: tuple[tuple[int, int], ...] = _SIZES,
    rounds: int = 15,
) -> Report:
    """Return one row an engine and precision for PackNet and for given weights.

    Args:
        weights: by default those that ship.
        packnet: whether to measure PackNet 1A with random weights too.
        cameras: batch sizes, one batch against one image after the other.
        sizes: width and height of larger images for the given networks.
        rounds: repetitions; PackNet gets a third.
    """
    weights = weights or load_or_untrained(None)
    rows: list[Row] = []
    notes: list[str] = []
    if packnet:
        rows += _engine_rows('PackNet 1A', packnet_weights(), max(3, rounds // 3), notes)
    rows += _engine_rows('default network', weights, rounds, notes)
    rows += _size_rows(weights, sizes, rounds)
    rows += _camera_rows(weights, cameras, rounds)
    notes += [
        f'Baseline: eager torch, float32, CPU, unfused, {torch.get_num_threads()} threads.',
        'Max error: mean relative difference of inverse depth; images are textured noise.',
        'int8 is calibrated on two such images: its speed counts, its error does not.',
        'MiB: growth of the process while the engine is made and answers once, sampled.',
    ]
    if not torch.cuda.is_available():
        notes.append('No GPU here: torch on CUDA and TensorRT are not measured.')
    return Report('engines', tuple(rows), tuple(dict.fromkeys(notes)))


def packnet_weights(width: int = 640, height: int = 192) -> LoadedWeights:
    """Return PackNet 1A alone with random weights: speed does not depend on them."""
    config = ModelConfig('packnet')
    torch.manual_seed(0)
    card = WeightsCard(
        model=config,
        width=width,
        height=height,
        scale='up_to_scale',
        focal_length=0.58 * width,
        trained=False,
    )
    return LoadedWeights(build_model(config).eval(), card)


def _engine_rows(title: str, weights: LoadedWeights, rounds: int, notes: list[str]) -> list[Row]:
    width, height = weights.card.width, weights.card.height
    images = sample_images(1, width, height)
    eager = eager_module(weights.model)
    tensor = torch.from_numpy(images)

    def baseline() -> np.ndarray:
        with torch.inference_mode():
            return eager(tensor)[0].numpy()

    reference = baseline()
    rows: list[Row] = []
    slow: Timing | None = None
    fastest = float(np.inf)
    for engine, mib in _engines(weights, notes):
        error = relative_error(engine.predict(images).inv_depth_BHW, reference)
        name = f'{title}, {engine.name} on {engine.device}, {engine.precision}'
        timings = take_turns(
            {'eager': baseline, name: functools.partial(engine.predict, images)}, rounds
        )
        if slow is None:
            slow = timings['eager']
            rows.append(Row.timed(f'{title}, eager torch, {width}x{height}', slow))
        row = Row.timed(name, timings[name], ('eager torch', timings['eager']), mib, error)
        fastest = min(fastest, timings[name].median_ms)
        if engine.precision != 'int8':
            limit = TOLERANCE[engine.precision]
            row = row.must(f'error at most {limit:g}', error <= limit)
        wanted = _PACKNET_TARGETS.get((engine.name, engine.precision))
        if title.startswith('PackNet') and wanted is not None:
            faster = timings[name].ratio_of(timings['eager'])
            row = row.must(f'at least {wanted:g} x faster', faster >= wanted)
        rows.append(row)
        engine.close()
    if not title.startswith('PackNet'):
        name = f'{title}, best engine: {1000 / fastest:.1f} images/s'
        rows.append(Row(name, median_ms=fastest))
    return rows


def _engines(weights: LoadedWeights, notes: list[str]) -> Iterator[tuple[Engine, float | None]]:
    """Yield every engine in every precision that this machine runs, and the memory it took."""
    for (name, kind), precision in itertools.product(ORDER, PRECISIONS[1:]):
        if kind == 'cuda' and not torch.cuda.is_available():
            continue
        if precision == 'int8' and name != 'openvino':
            continue
        said: list[str] = []
        make: Callable[[LoadedWeights], Engine] = functools.partial(
            _engine, name, kind, precision, said.append
        )
        if precision == 'int8':
            make = _int8
        try:
            engine, mib = _made(functools.partial(make, weights))
        except SemdepthError as error:
            if 'offers' not in str(error):
                notes.append(f'{weights.card.model.depth}: {error}')
            continue
        if engine.name == name:
            yield engine, mib
        else:
            # TensorRT that fails becomes torch, which has rows of its own: say why.
            notes += [line for line in said if line.startswith('engine ')]
            engine.close()


def _engine(
    name: str, device: str, precision: str, report: Callable[[str], None], weights: LoadedWeights
) -> Engine:
    return create_engine(weights, name=name, device=device, precision=precision, report=report)


def _int8(weights: LoadedWeights) -> Engine:
    """Return OpenVINO in eight bits, calibrated on noise: for speed, not for the cache."""
    from semdepth_ros.engines.openvino_engine import OpenVinoEngine, offered_precisions
    from semdepth_ros.export.quantize import quantize

    offered_precisions()
    shape = (1, weights.card.height, weights.card.width)
    images = sample_images(1, weights.card.width, weights.card.height)
    content = quantize(graph(weights, 'float32', shape, _quiet), [images[0], 255 - images[0]])
    return OpenVinoEngine(content, 'int8', shape)


def _made(make: Callable[[], Engine]) -> tuple[Engine, float | None]:
    """Return an engine and by how much the process grew at most while it was made."""
    made: list[Engine] = []
    mib = added_process_mib(lambda: made.append(make()))
    return made[0], mib


def _quiet(line: str) -> None:
    """Take a line of progress that would break the table."""


def _size_rows(
    weights: LoadedWeights, sizes: tuple[tuple[int, int], ...], rounds: int
) -> list[Row]:
    """Return what the node's engine of choice takes for images of growing size."""
    calls, engines = {}, []
    for width, height in sizes:
        engine = create_engine(weights, width=width, height=height, report=_quiet)
        engines.append(engine)
        images = sample_images(1, width, height)
        calls[f'{width}x{height}'] = functools.partial(engine.predict, images)
    timings = take_turns(calls, rounds)
    rows: list[Row] = []
    for (size, timing), engine in zip(timings.items(), engines):
        first = next(iter(timings))
        rate = 1000 / timing.median_ms
        row = Row.timed(
            f'default network at {size}, {engine.name}, {engine.precision}: {rate:.1f} images/s',
            timing,
            (first, timings[first]) if size != first else None,
        )
        if size == first:
            row = row.must(f'at least {_DEFAULT_RATE:g} images/s', rate >= _DEFAULT_RATE)
        rows.append(row)
        engine.close()
    return rows


def _camera_rows(weights: LoadedWeights, cameras: tuple[int, ...], rounds: int) -> list[Row]:
    rows = []
    for count in cameras:
        with contextlib.suppress(EngineError):
            single = create_engine(weights, report=_quiet)
            batched = create_engine(weights, batch=count, report=_quiet)
            images = sample_images(count, single.width, single.height)

            def in_turn(images: np.ndarray = images, engine: Engine = single) -> None:
                for image in images:
                    engine.predict(image[None])

            timings = take_turns(
                {'in turn': in_turn, 'batch': functools.partial(batched.predict, images)}, rounds
            )
            rows.append(
                Row.timed(
                    f'default network, {count} camera(s) in one batch, {batched.name}',
                    timings['batch'],
                    ('one after the other', timings['in turn']),
                )
            )
            single.close()
            batched.close()
    return rows

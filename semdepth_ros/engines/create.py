"""The best engine that this machine has, and in words why it is not a better one."""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING

import numpy as np

from semdepth_ros.engines.engine import Engine, EngineError, Report
from semdepth_ros.preprocessing import SIZE_MULTIPLE

if TYPE_CHECKING:
    from semdepth_ros.weights import LoadedWeights

#: Engines and the kind of device they run on, the fastest first.
ORDER = (
    ('tensorrt', 'cuda'),
    ('torch', 'cuda'),
    ('openvino', 'cpu'),
    ('onnxruntime', 'cpu'),
    ('torch', 'cpu'),
)
#: Imported late: each pulls in a runtime of hundreds of megabytes, and any may be absent.
_MODULES = {
    'tensorrt': 'semdepth_ros.engines.tensorrt_engine',
    'torch': 'semdepth_ros.engines.torch_engine',
    'openvino': 'semdepth_ros.engines.openvino_engine',
    'onnxruntime': 'semdepth_ros.engines.onnxruntime_engine',
}
ENGINES = ('auto', *_MODULES)
PRECISIONS = ('auto', 'float32', 'bfloat16', 'float16', 'int8')

_log = logging.getLogger(__name__)


def create_engine(
    weights: LoadedWeights,
    *,
    name: str = 'auto',
    device: str = 'auto',
    precision: str = 'auto',
    batch: int = 1,
    width: int | None = None,
    height: int | None = None,
    report: Report = _log.warning,
) -> Engine:
    """Return a running engine for weights; it has answered once when this returns.

    Args:
        weights: from `semdepth_ros.weights.load`; not changed.
        name: one of `ENGINES`. 'auto' tries `ORDER`; so does 'tensorrt' where TensorRT fails.
        device: 'cpu', 'cuda', 'cuda:1' or 'auto'. Only 'auto' may end on the CPU, and says so.
        precision: one of `PRECISIONS`; 'auto' is the engine's fastest that keeps the accuracy:
            float16 on GPUs; on CPUs bfloat16 in OpenVINO where the CPU computes it, else float32.
        batch: images a call.
        width: width of the images in pixels, by default the card's; a multiple of 32.
        height: height of the images in pixels, by default the card's; a multiple of 32.
        report: told, in one line each, why an engine cannot be had and how a long build goes on.

    Raises:
        EngineError: for impossible arguments, or when no engine that may be used works.
    """
    _check_choice('engine', name, ENGINES)
    _check_choice('precision', precision, PRECISIONS)
    width = weights.card.width if width is None else width
    height = weights.card.height if height is None else height
    check_size(width, height, batch)
    chain = candidates(name, device, _cuda_available(), report)
    reasons = []
    for position, (engine_name, engine_device) in enumerate(chain):
        try:
            engine = _create(
                engine_name, weights, engine_device, precision, (batch, height, width), report
            )
            _probe(engine)
            return engine
        except Exception as error:  # what can fail in five foreign runtimes is not enumerable
            _log.debug('engine %s on %s failed', engine_name, engine_device, exc_info=True)
            reason = f'engine {engine_name} on {engine_device}: {_first_line(error)}'
            reasons.append(reason)
            if position + 1 < len(chain):
                report(f'{reason}; trying {" on ".join(chain[position + 1])}')
    raise EngineError('; '.join(reasons))


def candidates(
    name: str, device: str, cuda_available: bool, report: Report
) -> list[tuple[str, str]]:
    """Return the (engine, device) pairs to try, in order; never the CPU for another `device`.

    Raises:
        EngineError: for a device that is no device, or that the engine does not run on.
    """
    kind = device.split(':')[0]
    if kind not in ('auto', 'cpu', 'cuda') or (kind != 'cuda' and ':' in device):
        raise EngineError(f'device is {device!r}, expected auto, cpu, cuda or cuda:N')
    chain = [
        (engine, device if kind == on == 'cuda' else on)
        for engine, on in ORDER
        if kind in ('auto', on) and name in ('auto', 'tensorrt', engine)
    ]
    if not chain or (name == 'tensorrt' and kind == 'cpu'):
        runs_on = ' and '.join(sorted({on for engine, on in ORDER if engine == name}))
        raise EngineError(f'engine {name} does not run on device {device}, only on {runs_on}')
    on_cpu = [pair for pair in chain if pair[1] == 'cpu']
    if kind == 'auto' and not cuda_available and len(on_cpu) < len(chain):
        report('torch finds no CUDA device: the network runs on the CPU')
        return on_cpu
    return chain


def _create(
    name: str,
    weights: LoadedWeights,
    device: str,
    precision: str,
    shape: tuple[int, int, int],
    report: Report,
) -> Engine:
    """Return one engine; `shape` is batch, height, width."""
    create = importlib.import_module(_MODULES[name]).create
    return create(weights, device=device, precision=precision, shape=shape, report=report)


def _probe(engine: Engine) -> None:
    """Run the engine once: what cannot answer a black image cannot answer a camera."""
    images = np.zeros((engine.batch, engine.height, engine.width, 3), np.uint8)
    inv_depth = engine.predict(images).inv_depth_BHW
    if not (np.isfinite(inv_depth).all() and (inv_depth > 0).all()):
        engine.close()
        raise EngineError(
            f'its first inverse depth in {engine.precision} is not finite and above 0'
        )


def _cuda_available() -> bool:
    import torch

    return torch.cuda.is_available()


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise EngineError(f'{what} is {value!r}, expected one of {", ".join(choices)}')


def check_size(width: int, height: int, batch: int) -> None:
    """Raise `EngineError` for an input that no network of this package takes."""
    if batch < 1:
        raise EngineError(f'batch is {batch}, expected at least 1')
    if (
        width < SIZE_MULTIPLE
        or height < SIZE_MULTIPLE
        or width % SIZE_MULTIPLE
        or (height % SIZE_MULTIPLE)
    ):
        raise EngineError(f'image size is {width}x{height}, expected multiples of {SIZE_MULTIPLE}')


def _first_line(error: Exception) -> str:
    text = str(error).strip().split('\n')[0] or type(error).__name__
    return text if isinstance(error, EngineError) else f'{type(error).__name__}: {text}'

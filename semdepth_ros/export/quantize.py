"""Eight-bit graphs by NNCF, calibrated on frames of a bag, and what they cost per class."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
from collections.abc import Sequence

import numpy as np

from semdepth_ros.bags.drive import Drive, Topics
from semdepth_ros.classes import CLASS_NAMES
from semdepth_ros.export.onnx_export import INPUT, OUTPUTS, ExportError, cpu_session
from semdepth_ros.preprocessing import fit
from semdepth_ros.rectification import rectify

#: Frames that ranges are taken from; more changes little (NNCF's own default).
CALIBRATION_FRAMES = 300
#: Frames that the cost is measured on: every other one that is not calibrated on, so many.
CHECK_FRAMES = 40

#: Bytes up to which constants are folded before quantisation: all weights of these networks.
_FOLD = 1 << 26


@dataclasses.dataclass(frozen=True)
class ClassCost:
    """What eight bits cost the pixels of one class.

    Attributes:
        name: of the class, as the float32 graph sees it.
        share: of all pixels.
        depth_error: mean relative difference of inverse depth.
        label_change: share of pixels that get another label.
    """

    name: str
    share: float
    depth_error: float
    label_change: float


def bag_images(
    bag: str, width: int, height: int, topics: Topics | None = None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return network inputs (h, w, 3) uint8 for calibration and, apart from them, for the check.

    Both are spread evenly over the bag.

    Raises:
        BagError: when the bag cannot be read.
        ExportError: when it has fewer than four frames.
    """
    drive = Drive(bag, topics or Topics())
    if len(drive) < 4:
        raise ExportError(f'bag {bag} has {len(drive)} frames, expected at least 4 to calibrate on')
    wanted = min(len(drive), CALIBRATION_FRAMES + CHECK_FRAMES)
    chosen = np.linspace(0, len(drive) - 1, wanted).round().astype(int)
    every = max(4, wanted // CHECK_FRAMES)
    camera = drive.camera.undistorted()
    fitted = fit(camera, width, height)
    calibration: list[np.ndarray] = []
    check: list[np.ndarray] = []
    for position, index in enumerate(chosen):
        image = drive.image(int(index))
        if drive.camera.is_distorted:
            image = rectify(image, drive.camera, camera)
        (check if position % every == every // 2 else calibration).append(fitted.apply(image))
    return calibration, check


def quantize(graph: bytes, images: Sequence[np.ndarray], batch: int = 1) -> bytes:
    """Return the graph with eight-bit convolutions (Q/DQ, which every engine here reads).

    Args:
        graph: from `export_onnx` in float32.
        images: network inputs (h, w, 3) uint8 of the kind that the robot will see.
        batch: of the graph.

    Raises:
        ExportError: when NNCF is missing.
    """
    if importlib.util.find_spec('nncf') is None:
        raise ExportError(
            "nncf is not installed, expected the extra 'openvino': "
            "pip install 'semdepth_ros[openvino]'"
        )
    import nncf
    import onnx
    import onnxscript.optimizer

    logging.getLogger('nncf').setLevel(logging.ERROR)
    batches = [np.stack([image] * batch) for image in images]
    data = nncf.Dataset(batches, lambda images_BHW3: {INPUT: images_BHW3})
    # NNCF wants weights as they are, not as slices of larger ones (pixel-adaptive convolutions).
    folded = onnxscript.optimizer.optimize(
        onnx.load_from_string(graph), input_size_limit=_FOLD, output_size_limit=_FOLD
    )
    model = nncf.quantize(
        folded,
        data,
        # Zero points must be 0: TensorRT refuses others, and OpenVINO runs them in float32.
        preset=nncf.QuantizationPreset.PERFORMANCE,
        subset_size=len(batches),
    )
    return model.SerializeToString()


def class_costs(
    graph: bytes, quantized: bytes, images: Sequence[np.ndarray], batch: int = 1
) -> list[ClassCost]:
    """Return what quantisation costs each class that occurs, over images it was not made with."""
    sessions = [cpu_session(content) for content in (graph, quantized)]
    pixels, errors, changes = np.zeros(256), np.zeros(256), np.zeros(256)
    for image in images:
        feed = {INPUT: np.stack([image] * batch)}
        (inv_depth, label), (inv_depth8, label8) = (
            session.run(list(OUTPUTS[:2]), feed) for session in sessions
        )
        error = np.abs(inv_depth8[0] - inv_depth[0]) / inv_depth[0]
        classes = label[0].reshape(-1)
        pixels += np.bincount(classes, minlength=256)
        errors += np.bincount(classes, error.reshape(-1), minlength=256)
        changes += np.bincount(classes, (label8[0] != label[0]).reshape(-1), minlength=256)
    names = {index: name for index, name in enumerate(CLASS_NAMES)}
    return [
        ClassCost(
            names.get(int(index), 'unlabelled'),
            pixels[index] / pixels.sum(),
            errors[index] / pixels[index],
            changes[index] / pixels[index],
        )
        for index in np.flatnonzero(pixels)
    ]


def costs_table(costs: Sequence[ClassCost]) -> str:
    """Return the costs as text, the most frequent class first, and the mean over all pixels."""
    lines = [f'{"class":<14} {"pixels":>7} {"depth error":>12} {"other label":>12}']
    for cost in sorted(costs, key=lambda entry: -entry.share):
        lines.append(
            f'{cost.name:<14} {cost.share:>7.1%} {cost.depth_error:>12.2%} '
            f'{cost.label_change:>12.2%}'
        )
    error = sum(cost.share * cost.depth_error for cost in costs)
    change = sum(cost.share * cost.label_change for cost in costs)
    lines.append(f'{"all":<14} {1:>7.1%} {error:>12.2%} {change:>12.2%}')
    return '\n'.join(lines)

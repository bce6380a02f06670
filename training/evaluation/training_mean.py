"""The mean depth of the drives that were trained on: what the baselines know."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from semdepth_ros.bags.drive import Drive
from semdepth_ros.bags.errors import BagError
from semdepth_ros.camera import Camera
from semdepth_ros.rectification import rectify
from semdepth_training.evaluation.baselines import DepthMean
from semdepth_training.evaluation.drives import DriveFrames
from semdepth_training.evaluation.frames import EvaluationFrame, RawDepth
from semdepth_training.evaluation.truth import BagTruth

#: Frames of each training drive that are taken, evenly spread: a mean of more says no more.
FRAMES = 100


def training_mean(
    drives: Sequence[Drive],
    evaluated: DriveFrames,
    predict: Callable[[np.ndarray, Camera], RawDepth],
    max_depth: float,
) -> tuple[DepthMean, str]:
    """Return the mean depth of training drives, and in words where it comes from.

    A drive with truth gives its truth; one without (self-supervised training needs none) gives what
    the evaluated weights predict there. Without any training drive the mean is that of the very
    truth that is evaluated: a mean that has seen the answers, hard to beat.

    Args:
        drives: the training drives, maybe none.
        evaluated: the frames that are evaluated.
        predict: raw depth of a rectified image.
        max_depth: cap in metres.

    Raises:
        BagError: when no frame of a training drive can be read.
    """
    mean = DepthMean(max_depth)
    if not drives:
        for truth_HW in evaluated.truths():
            mean.add(truth_HW)
        return mean, 'the mean of the evaluated truth itself, which favours the baselines'
    sources = []
    for drive in drives:
        camera = drive.camera.undistorted()
        truth = BagTruth(drive) if drive.has_truth else None
        read = 0
        for index in np.unique(np.linspace(0, len(drive) - 1, FRAMES).astype(int)).tolist():
            try:
                if truth is not None:
                    depth_HW = truth.depth(index)
                else:
                    image = rectify(drive.image(index), drive.camera, camera)
                    unknown = np.full((camera.height, camera.width), np.nan, np.float32)
                    frame = EvaluationFrame(f'{drive.name}:{index}', image, camera, unknown)
                    # What a cropped network does not see is +Inf there, and not counted.
                    depth_HW = predict(image, camera).depth_on(frame, 'bilinear')
            except BagError:
                continue
            mean.add(depth_HW)
            read += 1
        if not read:
            raise BagError(f'training bag {drive.path}: none of its frames can be read')
        kind = 'truth' if truth else 'predictions of the evaluated weights, for want of truth'
        sources.append(f'{drive.name} ({kind}, {read} frames)')
    return mean, 'the mean of training bags ' + ', '.join(sources)

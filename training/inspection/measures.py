"""What the pictures of a drive are like: exposure, blur, motion."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np

from semdepth_ros.bags.drive import Drive
from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.flow import median_flow, thumbnail

#: Frames whose blur is measured, spread over the drive; with odometry no more are decoded.
SAMPLED_FRAMES = 200


@dataclasses.dataclass(frozen=True)
class FrameMeasures:
    """Measures of every frame of a drive, NaN for frames that were not looked at, (N,).

    Attributes:
        brightness: mean gray value, 0 to 255.
        dark: share of pixels with a gray value below 10.
        bright: share of pixels with a gray value above 245.
        blur: from 0 (sharp) to 1, see `blur`.
        flow: median flow to the next frame as a share of the image's width, (N - 1,).
        looked_at: which frames were decoded.
        damaged: which of them cannot be.
        first_damage: the error of the first of those.
    """

    brightness: np.ndarray
    dark: np.ndarray
    bright: np.ndarray
    blur: np.ndarray
    flow: np.ndarray
    looked_at: np.ndarray
    damaged: np.ndarray
    first_damage: str


def measure_frames(
    drive: Drive, all_frames: bool, progress: Callable[[int], None] = lambda frames: None
) -> FrameMeasures:
    """Decode frames of a drive and measure them: all, or `SAMPLED_FRAMES` of them.

    Flow needs neighbours, so it is measured only when all frames are decoded.
    """
    count = len(drive)
    brightness, dark, bright, blurs = (np.full(count, np.nan) for _ in range(4))
    flow = np.full(max(0, count - 1), np.nan)
    looked_at, damaged = np.zeros(count, bool), np.zeros(count, bool)
    first_damage = ''
    sample = {int(k) for k in np.linspace(0, count - 1, min(count, SAMPLED_FRAMES))}
    before: np.ndarray | None = None
    for index in range(count) if all_frames else sorted(sample):
        looked_at[index] = True
        progress(1)
        try:
            image = drive.image(index)
        except BagError as error:
            damaged[index] = True
            first_damage = first_damage or str(error)
            before = None
            continue
        small = thumbnail(image)
        brightness[index] = small.mean()
        dark[index], bright[index] = (small < 10).mean(), (small > 245).mean()
        if index in sample:
            blurs[index] = blur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        if all_frames and before is not None:
            flow[index - 1] = median_flow(before, small)
        before = small
    return FrameMeasures(brightness, dark, bright, blurs, flow, looked_at, damaged, first_damage)


def blur(gray_HW: np.ndarray) -> float:
    """Return how blurred a gray image is, 0 (sharp) to 1, hardly dependent on what it shows.

    F. Crete et al., "The blur effect: perception and estimation with a new no-reference perceptual
    blur metric", SPIE 2007: the share of the steps between neighbours that blurring along a row or
    column leaves. A sharp street has 0.3, a Gaussian blur of one pixel makes it 0.47, of two 0.65.
    """
    gray = gray_HW.astype(np.float32)
    scores = []
    for axis, kernel in ((1, (9, 1)), (0, (1, 9))):
        steps = np.abs(np.diff(gray, axis=axis))
        blurred = np.abs(np.diff(cv2.blur(gray, kernel), axis=axis))
        total = float(steps.sum())
        # A picture without any step, as of a covered lens, is as blurred as can be.
        scores.append(1 - float(np.maximum(steps - blurred, 0).sum()) / total if total else 1.0)
    return max(scores)

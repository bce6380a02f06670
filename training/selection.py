"""Which frames of a drive make triplets: none across a gap, none that stands still.

The rules, in the order in which they are applied (all settings in `SelectionConfig`):

1. A pause of more than `max_gap` median frame periods ends a run of frames; a corrupt frame too.
2. The stride is the smallest at which a moving camera moves enough between the frames of a triplet:
   footage at 30 frames a second would otherwise show hardly any parallax.
3. A triplet (i - stride, i, i + stride) lies within one run, and the camera has moved from its
   middle to both neighbours: frames of a standing camera teach nothing.

Motion is the distance driven, where odometry knows it; else the median length of optical flow, as a
share of the image's width.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class SelectionConfig:
    """Which frames make triplets.

    Attributes:
        stride: frames between the images of a triplet; 0 chooses it by motion, for each bag.
        max_stride: largest stride that is chosen by motion.
        max_gap: a pause of more than this many median frame periods ends a run of frames.
        baseline: metres that a triplet's camera should move from image to image, with odometry.
        baseline_flow: the same without odometry, as a share of the image's width.
        static_distance: metres from image to image below which a frame counts as static.
        static_flow: the same without odometry, as a share of the image's width.
    """

    stride: int = 0
    max_stride: int = 10
    max_gap: float = 2.5
    baseline: float = 0.25
    baseline_flow: float = 0.005
    static_distance: float = 0.05
    static_flow: float = 0.001


@dataclasses.dataclass(frozen=True)
class Selection:
    """The triplets of one drive and what became of its other frames.

    Attributes:
        centers: index of the middle frame of each triplet, increasing.
        stride: frames between the images of a triplet.
        frames: number of frames in the drive.
        corrupt: frames that cannot be decoded.
        static: frames that were left out because the camera stood.
        at_ends: frames without a neighbour in the same run.
        by_odometry: share of the motions that odometry knows, the rest is by flow.
    """

    centers: np.ndarray
    stride: int
    frames: int
    corrupt: int
    static: int
    at_ends: int
    by_odometry: float

    def __str__(self) -> str:
        """Say in one line what was chosen."""
        return (
            f'{len(self.centers)} triplets at stride {self.stride} of {self.frames} frames '
            f'({self.static} static, {self.at_ends} at ends and gaps, {self.corrupt} corrupt; '
            f'motion known by odometry for {self.by_odometry:.0%})'
        )


@dataclasses.dataclass(frozen=True)
class Motion:
    """How far the camera moved from each frame of a drive to the next.

    Attributes:
        distance: metres, NaN where unknown, (N - 1,).
        flow: median optical flow as a share of the image's width, NaN where unknown, (N - 1,).
    """

    distance: np.ndarray
    flow: np.ndarray

    def between(self, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return metres and flow from frames `start` to frames `stop`; NaN if a part is unknown."""
        totals = []
        for steps in (self.distance, self.flow):
            total = np.concatenate([[0.0], np.cumsum(steps_known(steps))])
            unknown = np.concatenate([[0], np.cumsum(~np.isfinite(steps))])
            span = total[stop] - total[start]
            totals.append(np.where(unknown[stop] - unknown[start] == 0, span, np.nan))
        return totals[0], totals[1]


def steps_known(steps: np.ndarray) -> np.ndarray:
    """Return steps with zero for what is unknown."""
    return np.where(np.isfinite(steps), steps, 0.0)


def runs_of_frames(stamps: np.ndarray, corrupt: np.ndarray, max_gap: float) -> np.ndarray:
    """Return the number of the run that each frame belongs to, -1 for corrupt frames.

    Args:
        stamps: nanoseconds, strictly increasing, (N,).
        corrupt: which frames cannot be decoded, (N,) bool.
        max_gap: see `SelectionConfig`.
    """
    if len(stamps) < 2:
        return np.where(corrupt, -1, 0)
    steps = np.diff(stamps)
    breaks = (steps > max_gap * np.median(steps)) | corrupt[1:] | corrupt[:-1]
    runs = np.concatenate([[0], np.cumsum(breaks)])
    return np.where(corrupt, -1, runs)


def select(
    stamps: np.ndarray, corrupt: np.ndarray, motion: Motion, config: SelectionConfig
) -> Selection:
    """Return the triplets of a drive by the rules at the top of this file."""
    count = len(stamps)
    runs = runs_of_frames(stamps, corrupt, config.max_gap)
    stride = config.stride or _stride_by_motion(runs, motion, config)
    centers = np.arange(stride, max(stride, count - stride))
    before, after = centers - stride, centers + stride
    together = (runs[centers] >= 0) & (runs[before] == runs[centers])
    together &= runs[after] == runs[centers]
    moves = _moves(motion, before, centers, config) & _moves(motion, centers, after, config)
    known = np.isfinite(motion.distance)
    return Selection(
        centers=centers[together & moves],
        stride=stride,
        frames=count,
        corrupt=int(corrupt.sum()),
        static=int((together & ~moves).sum()),
        at_ends=count - int(corrupt.sum()) - int(together.sum()),
        by_odometry=float(known.mean()) if len(known) else 0.0,
    )


def _moves(
    motion: Motion, start: np.ndarray, stop: np.ndarray, config: SelectionConfig
) -> np.ndarray:
    distance, flow = motion.between(start, stop)
    with np.errstate(invalid='ignore'):
        return np.where(
            np.isfinite(distance),
            distance >= config.static_distance,
            # Motion that nobody knows counts as motion: the auto-mask guards against the rest.
            ~(flow < config.static_flow),
        )


def _stride_by_motion(runs: np.ndarray, motion: Motion, config: SelectionConfig) -> int:
    """Return the smallest stride whose median motion, of a moving camera, is the baseline."""
    moved = False
    for stride in range(1, config.max_stride + 1):
        start = np.arange(0, len(runs) - stride)
        stop = start + stride
        same = (runs[start] >= 0) & (runs[start] == runs[stop])
        same &= _moves(motion, start, stop, config)
        if not same.any():
            continue
        moved = True
        distance, flow = motion.between(start[same], stop[same])
        by_odometry = np.isfinite(distance)
        reach = np.where(by_odometry, distance / config.baseline, flow / config.baseline_flow)
        reach = reach[np.isfinite(reach)]
        # Without any knowledge of motion there is no reason to skip frames.
        if not len(reach) or np.median(reach) >= 1:
            return stride
    return config.max_stride if moved else 1

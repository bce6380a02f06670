"""The verdict on a recording, with its reasons."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from semdepth_ros.bags.drive import Drive, Topics
from semdepth_ros.bags.errors import BagError
from semdepth_ros.camera import Camera
from semdepth_training.inspection.measures import FrameMeasures, measure_frames
from semdepth_training.selection import Motion, Selection, SelectionConfig, select

#: Fewer triplets than this teach a network nothing: some seconds of driving.
MIN_TRIPLETS = 30
#: Share of damaged frames above which something is wrong with the recording as a whole.
MAX_DAMAGED = 0.2
#: Mean gray values between which a frame is usable, and the blur above which it is not.
BRIGHTNESS_RANGE = (25.0, 230.0)
MAX_BLUR = 0.55
#: Share of dark, blown or blurred frames above which they are mentioned, and of dark or blown ones
#: above which the verdict turns.
MENTIONED, TOO_MANY = 0.1, 0.5
#: Horizontal fields of view of cameras that depth is learned from, degrees.
FIELD_OF_VIEW = (15.0, 150.0)
#: Frame rates that suit; slower footage has too little overlap between frames at driving speed.
MIN_RATE_HZ = 4.0


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What was found out about one bag.

    Attributes:
        bag: its path as it was given.
        reasons: why it cannot be trained on; none if it can.
        warnings: what is worth knowing but no reason against it.
        facts: everything measured, by topic; NaN where it cannot be.
        drive, measures, selection: for the picture sheet; None where the bag has no drive.
    """

    bag: str
    reasons: list[str]
    warnings: list[str]
    facts: dict[str, Any]
    drive: Drive | None = None
    measures: FrameMeasures | None = None
    selection: Selection | None = None

    @property
    def is_trainable(self) -> bool:
        """The verdict."""
        return not self.reasons

    def as_json(self) -> dict[str, Any]:
        """Return the whole result as plain values."""
        verdict = 'trainable' if self.is_trainable else 'not trainable'
        return _plain(
            {
                'bag': self.bag,
                'verdict': verdict,
                'reasons': self.reasons,
                'warnings': self.warnings,
                **self.facts,
            }
        )


def inspect(
    path: Path,
    topics: Topics,
    rectified: bool | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Inspection:
    """Measure and judge one bag; `progress` is told frames done and in all.

    Raises:
        BagError: if `path` does not exist. Whatever is wrong with what is there is a reason.
    """
    try:
        drive = Drive(path, topics, rectified)
    except BagError as error:
        if not path.exists():
            raise
        return Inspection(str(path), [str(error)], [], {})
    known = np.isfinite(drive.steps())
    all_frames = not (len(known) and known.mean() >= 0.9)
    total, done = len(drive), 0

    def count(frames: int) -> None:
        nonlocal done
        done += frames
        progress(done, total)

    measures = measure_frames(drive, all_frames, count)
    selection = select(
        drive.stamps, measures.damaged, Motion(drive.steps(), measures.flow), SelectionConfig()
    )
    reasons: list[str] = []
    warnings = list(drive.problems)
    facts = {
        'topics': dataclasses.asdict(drive.topics),
        'time': _judge_time(drive, warnings),
        'frames': _judge_frames(measures, reasons, warnings),
        'camera': _judge_camera(drive, reasons, warnings),
        'motion': _judge_motion(drive, measures, selection, warnings),
        'truth': _judge_truth(drive, warnings),
        'triplets': len(selection.centers),
    }
    if len(selection.centers) < MIN_TRIPLETS:
        reasons.append(f'{selection}, expected at least {MIN_TRIPLETS} triplets')
    return Inspection(str(path), reasons, warnings, facts, drive, measures, selection)


def _judge_time(drive: Drive, warnings: list[str]) -> dict[str, Any]:
    intervals = np.diff(drive.stamps) * 1e-9
    usual = float(np.median(intervals)) if len(intervals) else math.nan
    gaps = np.flatnonzero(intervals > SelectionConfig.max_gap * usual)
    backwards = int((np.diff(drive.frames.recorded_stamps) < 0).sum())
    repeated = int((np.diff(drive.frames.recorded_stamps) == 0).sum())
    rate = 1 / usual if usual else math.nan
    if rate < MIN_RATE_HZ:
        warnings.append(f'{rate:.1f} frames a second, expected at least {MIN_RATE_HZ:g}')
    if len(gaps):
        longest = float(intervals[gaps].max())
        warnings.append(f'{len(gaps)} gaps in the stamps, the longest of {longest:.2f} s')
    if backwards or repeated:
        warnings.append(f'stamps jump back {backwards} times and stand still {repeated} times')
    if not drive.frames.has_stamps:
        warnings.append('headers carry no stamps, the times of recording stand in for them')
    for why, frames in drive.frames.dropped.items():
        warnings.append(f'{frames} frames left out: {why}')
    return {
        'frames': len(drive),
        'duration_s': float(drive.stamps[-1] - drive.stamps[0]) * 1e-9,
        'rate_hz': rate,
        'gaps': [
            {'after_frame': int(k), 'seconds': round(float(intervals[k]), 4)} for k in gaps[:100]
        ],
        'gap_count': len(gaps),
        'jumps_back': backwards,
        'repeated_stamps': repeated,
        'left_out': drive.frames.dropped,
    }


def _judge_frames(
    measures: FrameMeasures, reasons: list[str], warnings: list[str]
) -> dict[str, Any]:
    good = measures.looked_at & ~measures.damaged
    damaged = float(measures.damaged.sum() / measures.looked_at.sum())
    if damaged:
        words = (
            f'{measures.damaged.sum()} of {measures.looked_at.sum()} frames looked at are damaged, '
            f'the first: {measures.first_damage}'
        )
        (reasons if damaged > MAX_DAMAGED else warnings).append(words)
    facts: dict[str, Any] = {
        'looked_at': int(measures.looked_at.sum()),
        'damaged': int(measures.damaged.sum()),
    }
    if not good.any():
        return facts
    shares = {
        'dark': float((measures.brightness[good] < BRIGHTNESS_RANGE[0]).mean()),
        'blown': float((measures.brightness[good] > BRIGHTNESS_RANGE[1]).mean()),
        'blurred': _mean(measures.blur[np.isfinite(measures.blur)] > MAX_BLUR),
    }
    for name, share in shares.items():
        if share > MENTIONED:
            words = f'{share:.0%} of the frames are {name}'
            # What is blurred in one recording may be all that a soft lens shows in another.
            (reasons if share > TOO_MANY and name != 'blurred' else warnings).append(words)
    return facts | {
        'brightness_median': float(np.median(measures.brightness[good])),
        'dark_pixels': float(measures.dark[good].mean()),
        'blown_pixels': float(measures.bright[good].mean()),
        'blur_median': _median(measures.blur),
        **{f'{name}_frames': share for name, share in shares.items()},
    }


def _judge_camera(drive: Drive, reasons: list[str], warnings: list[str]) -> dict[str, Any]:
    camera = drive.camera
    angle = field_of_view(camera)
    if not FIELD_OF_VIEW[0] <= angle <= FIELD_OF_VIEW[1]:
        reasons.append(
            f'camera_info gives a field of view of {angle:.0f} degrees, expected '
            f'{FIELD_OF_VIEW[0]:g} to {FIELD_OF_VIEW[1]:g}: are the intrinsics of another size?'
        )
    off = (camera.cx / (camera.width - 1 or 1) - 0.5, camera.cy / (camera.height - 1 or 1) - 0.5)
    if max(map(abs, off)) > 0.5:
        reasons.append(
            f'the principal point ({camera.cx:.0f}, {camera.cy:.0f}) lies outside of the '
            f'{camera.width}x{camera.height} image'
        )
    elif max(map(abs, off)) > 0.2:
        warnings.append(
            f'the principal point ({camera.cx:.0f}, {camera.cy:.0f}) is far from the middle of the '
            f'{camera.width}x{camera.height} image'
        )
    if abs(camera.fx / camera.fy - 1) > 0.1:
        warnings.append(f'pixels are not square: fx {camera.fx:.1f}, fy {camera.fy:.1f}')
    if not drive.is_rectified and not camera.is_distorted:
        warnings.append(
            f'{drive.topics.image} is not called rectified and camera_info has no distortion: if '
            'the lens distorts, calibrate it'
        )
    if drive.camera_height is None:
        warnings.append('/tf_static does not say how high the camera is above the ground')
    return {
        'width': camera.width,
        'height': camera.height,
        'K': [[float(value) for value in row] for row in camera.K],
        'distortion_model': camera.distortion_model,
        'D': list(camera.distortion),
        'rectified': drive.is_rectified,
        'constant': True,  # a drive whose camera changes is none
        'field_of_view_deg': angle,
        'frame_id': drive.frame_id,
        'height_above_ground_m': drive.camera_height,
    }


def _judge_motion(
    drive: Drive, measures: FrameMeasures, selection: Selection, warnings: list[str]
) -> dict[str, Any]:
    candidates = len(selection.centers) + selection.static
    static = selection.static / candidates if candidates else 0.0
    source = 'odometry' if selection.by_odometry >= 0.9 else 'flow'
    if static > TOO_MANY:
        warnings.append(f'the camera stands in {static:.0%} of the frames (by {source})')
    if not drive.has_speed:
        warnings.append(
            'no velocity on any topic: depth will be up to scale, which camera height can fix'
        )
    speed = drive.speed[np.isfinite(drive.speed)]
    return {
        'source': source,
        'known_by_odometry': selection.by_odometry,
        'static_share': static,
        'stride': selection.stride,
        'speed_median_m_s': _median(drive.speed),
        'speed_max_m_s': float(speed.max()) if len(speed) else math.nan,
        'distance_m': float(np.nansum(drive.steps())) if len(speed) else math.nan,
        'flow_median_share_of_width': _median(measures.flow),
    }


def _judge_truth(drive: Drive, warnings: list[str]) -> dict[str, Any]:
    if not drive.has_truth:
        return {'topic': drive.topics.truth, 'usable': False}
    camera = drive.camera.undistorted()
    coverage = []
    for index in np.unique(np.linspace(0, len(drive) - 1, 10).astype(int)):
        try:
            coverage.append(float(np.isfinite(drive.truth(int(index), camera)).mean()))
        except BagError as error:
            warnings.append(str(error))
    covered = float(np.median(coverage)) if coverage else 0.0
    if not covered:
        warnings.append(f'{drive.truth_topic} has no depth in the view of the camera')
    return {'topic': drive.truth_topic, 'usable': covered > 0, 'pixels_covered': covered}


def field_of_view(camera: Camera) -> float:
    """Return the horizontal field of view in degrees, of an equidistant fisheye by its own law."""
    left, right = (camera.cx + 0.5) / camera.fx, (camera.width - 0.5 - camera.cx) / camera.fx
    if camera.is_distorted and camera.distortion_model == 'equidistant':
        return math.degrees(left + right)
    return math.degrees(math.atan(left) + math.atan(right))


def _median(values: np.ndarray) -> float:
    """Return the median of what is known, NaN if nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else math.nan


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: no NaN, which becomes null."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

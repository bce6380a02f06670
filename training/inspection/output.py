"""An inspection as text, JSON and a picture."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from semdepth_ros.bags.errors import BagError
from semdepth_training.inspection.inspection import Inspection
from semdepth_training.inspection.sheet import draw_sheet


def describe(inspection: Inspection) -> str:
    """Return the verdict and what it stands on, for a terminal."""
    lines = [inspection.bag]
    if facts := inspection.facts:
        time, camera, motion, truth = (facts[key] for key in ('time', 'camera', 'motion', 'truth'))
        frames = facts['frames']
        rate = f'{time["rate_hz"]:.2f} Hz' if time['frames'] > 1 else 'one frame'
        lines += [
            '  topics    ' + ', '.join(f'{k}: {v}' for k, v in facts['topics'].items() if v),
            f'  frames    {time["frames"]} in {time["duration_s"]:.1f} s, {rate}, '
            f'{time["gap_count"]} gaps, {time["jumps_back"]} stamps that jump back',
            f'  camera    {camera["width"]}x{camera["height"]}, '
            f'{camera["field_of_view_deg"]:.0f} degrees, '
            + ('rectified' if camera['rectified'] else f'D {camera["D"]}')
            + f', height {_metres(camera["height_above_ground_m"])}',
        ]
        if 'blur_median' in frames:
            lines.append(
                f'  pictures  brightness {frames["brightness_median"]:.0f}, blown pixels '
                f'{frames["blown_pixels"]:.0%}, blur {frames["blur_median"]:.2f}, '
                f'{frames["damaged"]} of {frames["looked_at"]} damaged'
            )
        speed = motion['speed_median_m_s']
        lines += [
            f'  motion    by {motion["source"]}: {motion["static_share"]:.0%} static, '
            + (f'{speed:.1f} m/s median' if math.isfinite(speed) else 'speed unknown'),
            f'  truth     {truth["topic"]}, {truth["pixels_covered"]:.1%} of the pixels'
            if truth['usable']
            else '  truth     none',
            f'  triplets  {facts["triplets"]} at stride {motion["stride"]}',
        ]
    lines += [f'  note: {words}' for words in inspection.warnings]
    if inspection.is_trainable:
        lines.append('  verdict: trainable')
    else:
        lines.append('  verdict: NOT trainable')
        lines += [f'    because: {words}' for words in inspection.reasons]
    return '\n'.join(lines)


def write_json(path: Path, inspections: Sequence[Inspection]) -> None:
    """Write all inspections: `{"trainable": ..., "bags": [...]}`.

    Raises:
        BagError: if the file cannot be written.
    """
    content: dict[str, Any] = {
        'trainable': all(inspection.is_trainable for inspection in inspections),
        'bags': [inspection.as_json() for inspection in inspections],
    }
    _write(path, json.dumps(content, indent=2, allow_nan=False).encode())


def write_sheet(path: Path, inspections: Sequence[Inspection]) -> None:
    """Write the picture sheet as PNG.

    Raises:
        BagError: if the file cannot be written.
    """
    ok, data = cv2.imencode('.png', draw_sheet(inspections)[..., ::-1])
    assert ok
    _write(path, data.tobytes())


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise BagError(f'{path} cannot be written: {error.strerror or error}') from error


def _metres(value: float | None) -> str:
    return 'unknown' if value is None else f'{value:.2f} m'

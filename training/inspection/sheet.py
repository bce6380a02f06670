"""The picture sheet of an inspection: frames, the worst of them, and what happened over time."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from semdepth_ros.bags.drive import Drive
from semdepth_ros.bags.errors import BagError
from semdepth_ros.coloring import color_depth
from semdepth_training.inspection.inspection import Inspection

WIDTH = 1600
_COLUMNS = 4
_INK, _FAINT, _MARK, _PAPER = (40, 40, 40), (205, 205, 205), (200, 40, 40), 255
_LINE = (30, 90, 170)
_PLOT_HEIGHT = 120


def draw_sheet(inspections: Sequence[Inspection]) -> np.ndarray:
    """Return the sheet of one or several bags, (H, 1600, 3) uint8 RGB."""
    return np.concatenate([part for each in inspections for part in _bag(each)])


def _bag(inspection: Inspection) -> list[np.ndarray]:
    verdict = 'trainable' if inspection.is_trainable else 'NOT trainable'
    lines = [*inspection.reasons, *(f'note: {words}' for words in inspection.warnings)]
    parts = [_text_block(f'{inspection.bag}: {verdict}', lines)]
    drive, measures, selection = inspection.drive, inspection.measures, inspection.selection
    if drive is None or measures is None or selection is None:
        return parts
    spread = np.linspace(0, len(drive) - 1, 2 * _COLUMNS).astype(int)
    parts += _rows(drive, [(int(k), _caption(drive, int(k))) for k in np.unique(spread)])
    extremes = {
        'darkest': _arg(measures.brightness, np.nanargmin),
        'brightest': _arg(measures.brightness, np.nanargmax),
        'most blurred': _arg(measures.blur, np.nanargmax),
        'sharpest': _arg(measures.blur, np.nanargmin),
    }
    worst = [(k, f'{name}: {_caption(drive, k)}') for name, k in extremes.items() if k is not None]
    parts += _rows(drive, worst)
    if drive.has_truth:
        parts += _rows(
            drive,
            [(int(k), f'truth: {_caption(drive, int(k))}') for k in np.unique(spread[1::2])],
            with_truth=True,
        )
    seconds = (drive.stamps - drive.stamps[0]) * 1e-9
    used = np.isin(np.arange(len(drive)), selection.centers)
    parts.append(_plot('ms to the next frame', seconds[:-1], np.diff(seconds) * 1e3))
    if drive.has_speed:
        parts.append(_plot('speed, m/s', seconds, drive.speed))
    if np.isfinite(measures.flow).any():
        parts.append(_plot('flow, % of the width', seconds[:-1], measures.flow * 100))
    parts.append(_plot('brightness', seconds, measures.brightness))
    parts.append(_plot('blur', seconds, measures.blur))
    parts.append(_band('middle frames of triplets', seconds, used))
    return parts


def _arg(values: np.ndarray, choose) -> int | None:
    return int(choose(values)) if np.isfinite(values).any() else None


def _caption(drive: Drive, index: int) -> str:
    speed = drive.speed[index]
    seconds = (drive.stamps[index] - drive.stamps[0]) * 1e-9
    return f'{index}, {seconds:.1f} s' + (f', {speed:.1f} m/s' if np.isfinite(speed) else '')


def _rows(
    drive: Drive, frames: Sequence[tuple[int, str]], with_truth: bool = False
) -> list[np.ndarray]:
    """Return rows of captioned pictures."""
    width = WIDTH // _COLUMNS
    camera = drive.camera.undistorted()
    camera = camera.resized(width - 4, max(1, round((width - 4) * camera.height / camera.width)))
    tiles = []
    for index, caption in frames:
        tile = np.full((camera.height + 24, width, 3), _PAPER, np.uint8)
        try:
            picture = cv2.resize(drive.image(index), camera.size, interpolation=cv2.INTER_AREA)
            if with_truth:
                depth = drive.truth(index, camera)
                # One truth pixel is too little to see at this size.
                near = cv2.dilate(np.nan_to_num(1 / depth).astype(np.float32), np.ones((2, 2)))
                with np.errstate(divide='ignore'):
                    colors = color_depth(np.where(near > 0, 1 / near, np.nan).astype(np.float32))
                picture = np.where(near[..., None] > 0, colors, picture // 2)
            tile[: camera.height, : camera.width] = picture
        except BagError:
            caption += ' (damaged)'
        _write(tile, caption, (2, camera.height + 17), 0.45)
        tiles.append(tile)
    rows = []
    for start in range(0, len(tiles), _COLUMNS):
        row = np.full((camera.height + 24, WIDTH, 3), _PAPER, np.uint8)
        joined = np.concatenate(tiles[start : start + _COLUMNS], axis=1)
        row[:, : joined.shape[1]] = joined
        rows.append(row)
    return rows


def _plot(title: str, seconds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return a graph of values over time, with its range; single points where others are NaN."""
    panel = np.full((_PLOT_HEIGHT, WIDTH, 3), _PAPER, np.uint8)
    known = np.isfinite(values)
    x, y = seconds[known], values[known]
    if not len(y):
        return panel
    top, bottom = float(y.max()), min(0.0, float(y.min()))
    span = max(top - bottom, 1e-9)
    end = max(float(seconds[-1]), 1e-9)
    columns = (x / end * (WIDTH - 120) + 100).astype(np.int32)
    rows = (_PLOT_HEIGHT - 12 - (y - bottom) / span * (_PLOT_HEIGHT - 40)).astype(np.int32)
    cv2.line(panel, (100, _PLOT_HEIGHT - 12), (WIDTH - 20, _PLOT_HEIGHT - 12), _FAINT)
    cv2.polylines(panel, [np.column_stack([columns, rows])], False, _LINE, 1, cv2.LINE_AA)
    _write(panel, title, (4, 16), 0.45)
    _write(panel, f'{top:.3g}', (40, 34), 0.4)
    _write(panel, f'{bottom:.3g}', (40, _PLOT_HEIGHT - 10), 0.4)
    return panel


def _band(title: str, seconds: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return a band over time: blue where frames are used, red where not."""
    panel = np.full((60, WIDTH, 3), _PAPER, np.uint8)
    end = max(float(seconds[-1]), 1e-9)
    columns = (seconds / end * (WIDTH - 120) + 100).astype(int)
    for start, stop, is_used in zip(columns, [*columns[1:], WIDTH - 18], used):
        cv2.rectangle(panel, (start, 26), (stop, 46), _LINE if is_used else _MARK, cv2.FILLED)
    _write(panel, title, (4, 16), 0.45)
    return panel


def _text_block(title: str, lines: Sequence[str]) -> np.ndarray:
    wrapped = [piece for line in lines for piece in _wrapped(line, 200)]
    block = np.full((44 + 20 * len(wrapped), WIDTH, 3), _PAPER, np.uint8)
    _write(block, title, (6, 26), 0.7)
    for k, line in enumerate(wrapped):
        _write(block, line, (6, 50 + 20 * k), 0.45)
    return block


def _wrapped(line: str, width: int) -> list[str]:
    return [line[k : k + width] for k in range(0, len(line), width)]


def _write(image: np.ndarray, words: str, at: tuple[int, int], size: float) -> None:
    # OpenCV's letters are ASCII.
    plain = words.encode('ascii', 'replace').decode()
    cv2.putText(image, plain, at, cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)

"""One HTML page with everything in it: tables, inline charts, embedded pictures."""

from __future__ import annotations

import base64
import html
import importlib.metadata
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from semdepth_ros import __version__
from semdepth_ros.errors import SemdepthError
from semdepth_ros.files import write_atomically

#: Pictures are shrunk to this width: a report should open at once and fit into an e-mail.
PICTURE_WIDTH = 640

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff;
       max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid #d8dde5; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p.note, figcaption { color: #55606f; font-size: .87rem; margin: .3rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .87rem; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e6e9ee; }
th { font-weight: 600; background: #f4f6f9; }
th:first-child, td:first-child { text-align: left; }
table.plain td { text-align: left; word-break: break-word; }
tr.strong td { font-weight: 600; background: #eef5ff; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(480px, 1fr)); gap: .6rem; }
.small { grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); }
figure { margin: 0; }
figure img, figure svg { width: 100%; height: auto; display: block; }
pre { background: #f4f6f9; padding: .7rem; overflow-x: auto; font-size: .82rem; }
"""


class ReportError(SemdepthError):
    """A report that cannot be written."""


def text(value: Any) -> str:
    """Return a value as HTML text; floats with four digits, NaN and None as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return '–'
    if isinstance(value, float):
        return f'{value:.4g}' if abs(value) >= 1000 or 0 < abs(value) < 1e-3 else f'{value:.4f}'
    return html.escape(str(value))


def heading(words: str, level: int = 2) -> str:
    """Return a heading of the given level."""
    return f'<h{level}>{text(words)}</h{level}>'


def note(words: str) -> str:
    """Return a remark in small print."""
    return f'<p class="note">{text(words)}</p>'


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], strong: Iterable[int] = ()) -> str:
    """Return a table of figures; rows whose number is in `strong` stand out."""
    strong = set(strong)
    head = ''.join(f'<th>{text(cell)}</th>' for cell in header)
    body = ''.join(
        ('<tr class="strong">' if number in strong else '<tr>')
        + ''.join(f'<td>{text(cell)}</td>' for cell in row)
        + '</tr>'
        for number, row in enumerate(rows)
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def definitions(entries: Mapping[str, Any]) -> str:
    """Return names and values as a table of two columns; nested mappings get dotted names."""
    rows = ''.join(
        f'<tr><td>{text(name)}</td><td>{text(value)}</td></tr>'
        for name, value in _flat(entries).items()
    )
    return f'<div class="scroll"><table class="plain">{rows}</table></div>'


def preformatted(words: str) -> str:
    """Return text as typed, such as a command."""
    return f'<pre>{html.escape(words)}</pre>'


def picture(image_HW3: np.ndarray, caption: str = '', photo: bool = False) -> str:
    """Return an embedded picture of a uint8 RGB image: PNG, or JPEG for a photo."""
    height, width = image_HW3.shape[:2]
    if width > PICTURE_WIDTH:
        size = PICTURE_WIDTH, max(1, round(height * PICTURE_WIDTH / width))
        # Colours of maps mean something: averaged ones would mean something else.
        interpolation = cv2.INTER_AREA if photo else cv2.INTER_NEAREST_EXACT
        image_HW3 = cv2.resize(image_HW3, size, interpolation=interpolation)
    extension, mime = ('.jpg', 'jpeg') if photo else ('.png', 'png')
    _, data = cv2.imencode(extension, cv2.cvtColor(image_HW3, cv2.COLOR_RGB2BGR))
    source = f'data:image/{mime};base64,{base64.b64encode(data.tobytes()).decode()}'
    return _figure(f'<img src="{source}" alt="{text(caption)}">', caption)


def chart(svg: str, caption: str = '') -> str:
    """Return an inline chart."""
    return _figure(svg, caption)


def grid(figures: Iterable[str], small: bool = False) -> str:
    """Return figures side by side, as many as fit."""
    return f'<div class="grid{" small" if small else ""}">{"".join(figures)}</div>'


def write_page(path: Path, title: str, parts: Iterable[str]) -> None:
    """Write a page; it appears whole or not at all.

    Raises:
        ReportError: when the file cannot be written.
    """
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{text(title)}</title><style>{_STYLE}</style></head><body>'
        f'{heading(title, 1)}{"".join(parts)}</body></html>\n'
    )
    write_text(path, page)


def write_text(path: Path, content: str) -> None:
    """Write a text file; it appears whole or not at all.

    Raises:
        ReportError: when it cannot be written.
    """
    try:
        write_atomically(path, content.encode())
    except OSError as error:
        raise ReportError(f'cannot write {path}: {error.strerror}') from error


def versions() -> dict[str, str]:
    """Return the versions of what computed the figures."""
    found = {
        'semdepth_ros': __version__,
        'python': platform.python_version(),
        'machine': f'{platform.system()} {platform.machine()}, {os.cpu_count()} cores',
    }
    for package in ('torch', 'numpy', 'opencv-python-headless', 'lightning', 'openvino'):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _figure(content: str, caption: str) -> str:
    below = f'<figcaption>{text(caption)}</figcaption>' if caption else ''
    return f'<figure>{content}{below}</figure>'


def _flat(entries: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in entries.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f'{prefix}{name}.'))
        else:
            flat[f'{prefix}{name}'] = value
    return flat

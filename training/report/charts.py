"""Charts as inline SVG, drawn by matplotlib without a display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes:
        name: what the legend says.
        x: steps or epochs.
        y: values, as many as `x`; NaN leaves a gap.
        panel: curves of one panel share a chart.
        x_label: what `x` counts.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    panel: str = 'loss'
    x_label: str = 'step'


def line_chart(title: str, curves: Sequence[Curve]) -> str:
    """Return a line chart as an `<svg>` element."""
    figure = Figure(figsize=(6.4, 3.0), layout='constrained')
    axes = figure.add_subplot()
    for curve in curves:
        # One point alone is no line: mark it.
        axes.plot(
            curve.x, curve.y, label=curve.name, linewidth=1.4, marker='.' * (len(curve.x) < 3)
        )
    axes.set_title(title, loc='left', fontsize=10)
    axes.set_xlabel(curves[0].x_label)
    axes.grid(alpha=0.25)
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def bar_chart(
    title: str, names: Sequence[str], values: Sequence[float], x_label: str, digits: int = 3
) -> str:
    """Return a horizontal bar chart as an `<svg>` element, the first name on top."""
    figure = Figure(figsize=(6.4, 0.8 + 0.26 * len(names)), layout='constrained')
    axes = figure.add_subplot()
    bars = axes.barh(names, values, height=0.65)
    axes.bar_label(bars, fmt=f'%.{digits}f', padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title(title, loc='left', fontsize=10)
    axes.set_xlabel(x_label)
    axes.spines[['top', 'right']].set_visible(False)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    # Text as text keeps the file small; a fixed salt and no date keep it the same from run to run.
    with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': 'semdepth'}):
        figure.savefig(buffer, format='svg', metadata={'Date': None})
    content = buffer.getvalue()
    return content[content.index('<svg') :]

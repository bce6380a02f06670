"""The tables and the picture of this folder's JSON files: `python docs/benchmarks/page.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semdepth_ros.benchmarks.report import Report, Row
from semdepth_training.report.charts import bar_chart

FOLDER = Path(__file__).parent
#: Files in the order of the page, and what their table is called.
TABLES = {
    'networks': 'networks',
    'pac': 'pac',
    'engines': 'engines',
    'cloud': 'cloud',
    'node': 'node',
    'data': 'data: a rendered street, 640x192 (wanted on two cores: 200 triplets/s from the bag)',
    'data_kitti': 'data: KITTI raw drive 0095, 1242x375 (wanted: 60 triplets/s from the bag)',
    'train': 'train',
}
#: What the picture shows: file, start of the row's name, its baseline, what the bar is called.
BARS = (
    ('networks', '192x640 forward, fused', 'PackNet as published', 'fused PackNet, torch'),
    ('engines', 'PackNet 1A, openvino on cpu, bfloat16', 'eager torch', 'PackNet, OpenVINO bf16'),
    ('engines', 'PackNet 1A, openvino on cpu, int8', 'eager torch', 'PackNet, OpenVINO int8'),
    ('engines', 'default network, openvino on cpu, bf', 'eager torch', 'default, OpenVINO bf16'),
    ('pac', '32 x 192x640, kernel 3: forward: lean', 'unfold', 'pixel-adaptive convolution'),
    ('pac', '32 x 192x640, kernel 3: forward and backward: lean', 'unfold', '  with its gradient'),
    ('cloud', 'network input 640x192, uint8', 'textbook numpy', 'network input'),
    ('cloud', 'cloud: xyz, rgb', 'naive numpy', 'cloud of 720p'),
)


def main() -> None:
    """Write `tables.md` here and the picture into `docs/images`."""
    found = read()
    (FOLDER / 'tables.md').write_text(tables(found))
    (FOLDER.parent / 'images' / 'benchmarks.svg').write_text(picture(found))


def read() -> dict[str, dict[str, Any]]:
    """Return the content of the JSON files that are there, by the names of `TABLES`."""
    files = {name: FOLDER / f'{name}.json' for name in TABLES}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}


def tables(found: Mapping[str, dict[str, Any]]) -> str:
    """Return all tables as Markdown."""
    sections = [
        _section(title, found[name]) if name in found else f'## {title}\n\nNot measured yet.'
        for name, title in TABLES.items()
    ]
    text = '# Tables\n\nMade by `page.py` of the JSON files beside it.\n\n' + '\n\n'.join(sections)
    return text + '\n'


def picture(found: Mapping[str, dict[str, Any]]) -> str:
    """Return the bars of the README as SVG."""
    names, values = [], []
    for file, start, baseline, name in BARS:
        (row,) = (
            row
            for row in _rows(found[file])
            if row.name.startswith(start) and row.baseline == baseline
        )
        names.append(f'{name} (against {baseline})')
        values.append(row.ratio or 0.0)
    title = f'Times faster, {found["engines"]["machine"]["cores"]} cores'
    return bar_chart(title, names, values, 'times faster', 1)


def _rows(content: dict[str, Any]) -> tuple[Row, ...]:
    return tuple(Row(**row) for row in content['rows'])


def _section(title: str, content: dict[str, Any]) -> str:
    report = Report(content['benchmark'], _rows(content), tuple(content['notes']))
    machine = content['machine']
    versions = ', '.join(f'{name} {version}' for name, version in machine['versions'].items())
    made_on = (
        f'{machine["processor"]}; {machine["cores"]} cores, {machine["torch_threads"]} torch '
        f'threads, load {machine["load"]}; GPU: {machine["gpu"]}; {machine["time"]}; {versions}'
    )
    return f'## {title}\n\n{made_on}\n\n{report.table()}'


if __name__ == '__main__':
    main()

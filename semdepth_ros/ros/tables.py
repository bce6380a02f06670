"""`python -m semdepth_ros.ros.tables README.md`: write the tables of the README from the code."""

from __future__ import annotations

import sys
from pathlib import Path

from semdepth_ros.ros.parameters import parameter_table
from semdepth_ros.ros.topics import topic_table

TABLES = {'topics': topic_table, 'parameters': parameter_table}


def with_tables(text: str) -> str:
    """Return a Markdown text with everything between its markers made anew."""
    for name, table in TABLES.items():
        start, end = f'<!-- {name}: ', '<!-- end -->'
        before, _, rest = text.partition(start)
        marker, _, after = rest.partition('\n')
        _, found, after = after.partition(end)
        if not found:
            raise ValueError(f'no markers for the table of {name}')
        text = f'{before}{start}{marker}\n{table()}\n{found}{after}'
    return text


if __name__ == '__main__':
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text()))

"""`python -m semdepth_ros.ros.tables README.md`: write the tables of the README from the code."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from semdepth_ros.ros.parameters import parameter_table
from semdepth_ros.ros.topics import topic_table

TABLES = {'topics': topic_table, 'parameters': parameter_table}


def with_tables(text: str) -> str:
    """Return a Markdown text with everything between its markers made anew."""
    for name, table in TABLES.items():
        pattern = re.compile(rf'(<!-- {name}: [^\n]*-->\n).*?(<!-- end -->)', re.DOTALL)
        text, count = pattern.subn(lambda m, t=table: f'{m[1]}{t()}\n{m[2]}', text)
        if count != 1:
            raise ValueError(f'{count} markers for the table of {name}, expected 1')
    return text


if __name__ == '__main__':
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text()))

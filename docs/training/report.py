"""The kept report of a training: `python docs/training/report.py RUN/report.html`.

Without its pictures, because some are of recordings whose licence is not this package's, and with
the names of files in place of the paths on the machine that made it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

FILE = Path(__file__).with_name('report.html')
NOTE = "<p>Without its pictures: some are of recordings whose licence is not this package's.</p>"


def main() -> None:
    """Write the report without what cannot be kept."""
    page = Path(sys.argv[1]).read_text()
    page = re.sub(r'<figure><img .*?</figure>', '', page, flags=re.DOTALL)
    page = re.sub(r'(?:/[\w.+-]+)+/(?=[\w.+-]+\.safetensors)', '', page)
    # Nothing is left under the titles of single frames.
    page = re.sub(r'<h3>[^<]*</h3>\s*<div class="grid(?: small)?">\s*</div>', '', page)
    page = re.sub(r'<h2>(?:Samples|[^<]*(?:best|worst) frames)</h2>', '', page)
    FILE.write_text(page.replace('<body>', f'<body>{NOTE}', 1))


if __name__ == '__main__':
    main()

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Reports as single HTML pages: text, tables and drawn figures, which need no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 110rem; margin: 2rem auto;
  padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; white-space: nowrap; }
th { background: #f2f2f2; } img, video { max-width: 100%; } .wide { overflow-x: auto; }
"""


def write_page(path: Path, title: str, parts: Sequence[str]) -> None:
    """Write a page of parts that are HTML already."""
    body = "\n".join(parts)
    path.write_text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def table(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells, the first the head."""
    head, *rest = lines
    rows = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    rows += ["".join(f"<td>{escape(cell)}</td>" for cell in line) for line in rest]
    return f'<div class="wide"><table>{"".join(f"<tr>{row}</tr>" for row in rows)}</table></div>'


def image(png: bytes, about: str) -> str:
    """A picture within the page."""
    data = base64.b64encode(png).decode()
    return f'<p><img alt="{escape(about)}" src="data:image/png;base64,{data}"></p>'


def picture(figure: Figure, about: str) -> str:
    """A drawn figure within the page."""
    from matplotlib import pyplot as plt

    stream = io.BytesIO()
    figure.tight_layout()
    figure.savefig(stream, format="png", dpi=110, bbox_inches="tight")
    plt.close(figure)  # where it is pyplot's
    return image(stream.getvalue(), about)

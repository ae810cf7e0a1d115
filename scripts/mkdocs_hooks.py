# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""For mkdocs: pages that lie outside docs/, and links to files of the repository as their paths."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUTSIDE = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
}
LINK = re.compile(r"(!?)\[([^]]*)\]\(([^):#]+)(#[^)]*)?\)")


def on_files(files, config):
    """Add the pages from outside."""
    from mkdocs.structure.files import File

    for page, source in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links between pages stay; one to another file becomes its path from the top."""
    del config, files
    here = ROOT if page.file.src_uri in OUTSIDE else ROOT / "docs"
    pages = {(ROOT / source).resolve(): target for target, source in OUTSIDE.items()}

    def link(found: re.Match) -> str:
        image, text, target, anchor = found[1], found[2], found[3], found[4] or ""
        path = (here / target).resolve()
        if path in pages:
            return f"[{text}]({pages[path]}{anchor})"
        if path.is_relative_to(ROOT / "docs") and path.is_file():
            return f"{image}[{text}]({path.relative_to(ROOT / 'docs')}{anchor})"
        if not path.exists():
            return found[0]  # the check of links names it
        return f"`{path.relative_to(ROOT)}`"

    return LINK.sub(link, markdown)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The documentation as a site: every page is there, and every link leads somewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def build(out: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-f", str(config), "-d", str(out)],
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=config.parent,
    )


def test_the_site_has_every_page_and_the_reference_of_the_interface(tmp_path):
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "docs").glob("*.md"):
        assert (tmp_path / page.stem / "index.html").is_file(), page
    start = (tmp_path / "index.html").read_text()
    assert 'href="glossary/"' in start and "make demo" in start
    assert "Load a checkpoint (None: the shipped one)" in (tmp_path / "api/index.html").read_text()


@pytest.mark.parametrize("link", ["[a](nowhere.md)", "[a](glossary.md#nothing)"])
def test_a_link_that_leads_nowhere_is_an_error(link, tmp_path):
    for folder in ("docs", "scripts", "t2g_core"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for name in ("README.md", "CONTRIBUTING.md", "mkdocs.yml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "docs" / "robot.md").write_text(link)
    done = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode != 0 and "robot.md" in done.stderr

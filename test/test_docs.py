# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The documentation: its commands run, and as a site its pages are there and its links lead on."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from t2g_core.cli import all_commands, parse

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


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page: Path) -> list[list[str]]:
    """The words of every command line of `t2g` in a page's code blocks."""
    found = []
    for block in re.findall(r"^```[a-z ]*\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        lines = block.replace("\\\n", " ").splitlines()
        lines = [line.partition(" > ")[0] for line in lines if line.startswith("t2g ")]
        found += [shlex.split(line, comments=True) for line in lines]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_pages_have_the_options_that_there_are(page, capsys):
    for program, *words in commands(page):
        assert program == "t2g"
        words = ["camvid" if word == "NAME" else word for word in words]  # of a data set
        try:
            parse(words, all_commands())
        except SystemExit:
            pytest.fail(f"{page.name}: t2g {' '.join(words)}: {capsys.readouterr().err}")


def test_the_pages_have_commands():
    assert sum(len(commands(page)) for page in PAGES) > 20


@pytest.mark.long
def test_the_tutorial_runs_as_it_is_printed(tmp_path):
    pytest.importorskip("rclpy", reason="its last step is the node")
    (tmp_path / "config").symlink_to(ROOT / "config")
    text = (ROOT / "docs" / "tutorial.md").read_text()
    blocks = re.findall(r"^```bash run\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 6
    for block in blocks:
        done = subprocess.run(
            ["bash", "-ec", block], cwd=tmp_path, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "out" / "val_masks" / "segmentation.mp4").stat().st_size > 500
    report = json.loads((tmp_path / "out" / "tutorial_demo" / "report.json").read_text())
    assert report["masks_received"] > 0 and report["miou"] > 30

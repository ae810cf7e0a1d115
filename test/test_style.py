# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What ament's flake8, pep257 and copyright look at, by ruff: see ruff.toml."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("ruff", reason="it comes with the extra test")


def ruff(*words: str, text: str | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ruff", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, input=text)


def test_the_source_has_no_fault_that_ruff_knows():
    done = ruff("check", "--no-cache", ".")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("x = 1\n", "copyright notice"),
        ('def f():\n    """A."""\n    import os\n', "imported but unused|unused import"),
    ],
)
def test_a_file_without_a_licence_and_an_import_for_nothing_are_faults(text, rule):
    done = ruff("check", "--no-cache", "--stdin-filename", "t2g_core/x.py", "-", text=text)
    assert done.returncode != 0 and re.search(rule, done.stdout)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The `t2g` command as a program among others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from t2g_core.processor import let_waiting_threads_sleep, set_threads

ROOT = Path(__file__).parents[1]
CLASSES = (
    "from t2g_core.cli import main; code = main(['data', '--threads', '1', 'classes', 'camvid'])"
)


def run(code: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True, **options
    )


def test_a_reader_that_has_ended_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = run(f"{CLASSES}; raise SystemExit(code)", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_waiting_threads_sleep_and_so_many_compute_as_were_asked_for():
    told = "import os, torch; print(os.environ['OMP_WAIT_POLICY'], torch.get_num_threads())"
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    done = run(f"{CLASSES}; {told}", stdout=subprocess.PIPE, env=environment)
    assert done.stdout.splitlines()[-1] == "PASSIVE 1", done.stderr


def test_the_environment_has_the_last_word(monkeypatch):
    for name in ("GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    let_waiting_threads_sleep()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE" and os.environ["KMP_BLOCKTIME"] == "7"


def test_a_number_of_threads_below_zero_is_refused():
    with pytest.raises(ValueError, match="threads: expected 0 or more, got -1"):
        set_threads(-1)

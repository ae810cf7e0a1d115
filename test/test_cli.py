"""The `t2g` command as a program among others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
T2G = [sys.executable, "-m", "t2g_core.cli"]


def test_a_reader_that_ends_early_is_no_error():
    words = f"{' '.join(T2G)} info config/time2general_small.yaml | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", words], cwd=ROOT, capture_output=True, text=True
    )
    assert len(done.stdout.splitlines()) == 1 and done.stderr == ""
    assert done.returncode in (0, 141)  # 0 where all was written before `head` ended


def test_a_closed_pipe_ends_it_without_a_word():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*T2G, "data", "classes", "camvid"],
        cwd=ROOT,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_waiting_threads_sleep_and_the_environment_has_the_last_word():
    code = (
        "import os; from t2g_core.cli import main\n"
        "main(['data', '--threads', '1', 'classes', 'camvid'])\n"
        "import torch; print(os.environ['OMP_WAIT_POLICY'], torch.get_num_threads())"
    )
    for policy in ("PASSIVE", "ACTIVE"):
        environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
        if policy == "ACTIVE":
            environment["OMP_WAIT_POLICY"] = policy
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment
        )
        assert done.stdout.splitlines()[-1] == f"{policy} 1", done.stderr

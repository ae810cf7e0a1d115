# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Two processes under torchrun and one alone train alike."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from small_model import small_config, stages
from small_runs import brightness_videos, options, plain

from t2g_core.training.processes import Processes
from t2g_core.training.train import train

HERE = Path(__file__).parent


@pytest.mark.parametrize("head", ["time2general", pytest.param("rein", marks=pytest.mark.long)])
def test_two_processes_give_the_run_of_one(tmp_path, head):
    """The same micro-batches, their gradients averaged: weights agree to 1e-3 of their size.

    Batch norm's running statistics are those of the first process's share of the micro-batches.

    float16 of the checkpoint alone is 5e-4 of a value; AdamW's first steps have the size of the
    learning rate whatever the gradient, so rounding shows where a gradient is near zero.
    """
    brightness_videos(tmp_path / "data")
    config = small_config(head)
    train_config = replace(config.train, accumulate=2, stages=stages(3), cached_clips=4, points=256)
    config = replace(config, train=train_config)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(plain(config.as_mapping())))
    runner = tmp_path / "runner.py"
    runner.write_text(
        "import sys, torch\n"
        "torch.manual_seed(2)\n"  # the random encoder
        "from t2g_core.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = ["train", tmp_path / "config.yaml", "--root", tmp_path / "data"]
    words += ["--out", tmp_path / "two", "--validation-frames", "0"]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *launch, *map(str, [runner, *words])],
        env=environment,
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-3000:]

    torch.manual_seed(2)
    train(config, options(tmp_path / "data", tmp_path / "one"))
    one, two = (load_file(tmp_path / run / "model.safetensors") for run in ("one", "two"))
    for name in (name for name in one if "running" not in name and "batches_tracked" not in name):
        torch.testing.assert_close(one[name].float(), two[name].float(), rtol=1e-3, atol=2e-3)
    rows = [
        [
            [float(x) for x in row.split(",") if x]
            for row in (tmp_path / run / "log.csv").read_text().splitlines()[1:]
        ]
        for run in ("one", "two")
    ]
    for alone, together in zip(*rows, strict=True):
        assert alone == pytest.approx(together, rel=1e-3, abs=1e-4)


def test_processes_share_the_micro_batches_evenly(monkeypatch):
    assert list(Processes("cpu").micro_batches(3, 2)) == [6, 7]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    second = Processes("cpu")
    assert list(second.micro_batches(3, 4)) == [13, 15] and not second.first
    with pytest.raises(ValueError, match="multiple of the 2 processes.*got 3"):
        second.micro_batches(0, 3)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The names that `t2g_core` gives, used as the README uses them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import yaml
from small_model import small_config
from small_runs import brightness_videos, plain

import t2g_core


def test_names_are_there_and_cost_nothing_before_they_are_used():
    program = "import sys, t2g_core; dir(t2g_core); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.strip() == "False", run.stderr
    assert {"StreamingSegmenter", "load_checkpoint", "train", "evaluate"} <= set(dir(t2g_core))
    assert all(getattr(t2g_core, name).__name__ == name for name in t2g_core.__all__)
    with pytest.raises(AttributeError, match="t2g_core has no attribute Segmenter"):
        t2g_core.Segmenter  # noqa: B018


def test_training_and_evaluation_are_functions(tmp_path):
    from t2g_core import (
        EvaluateOptions,
        TrainOptions,
        evaluate,
        load_checkpoint,
        load_config,
        train,
    )

    brightness_videos(tmp_path / "data")
    (tmp_path / "data" / "val").symlink_to(tmp_path / "data" / "train")
    path, model = tmp_path / "config.yaml", tmp_path / "out" / "model.safetensors"
    path.write_text(yaml.safe_dump(plain(small_config("conv").as_mapping())))
    config = load_config(path, ["train.cached_clips=2"])
    torch.manual_seed(2)  # the random encoder
    options = TrainOptions(
        root=tmp_path / "data", out=tmp_path / "out", device="cpu", validation_frames=0
    )
    assert train(config, options)
    rows = evaluate(
        EvaluateOptions(root=tmp_path / "data", checkpoints=(model,), corruptions=("clean", "fog"))
    )
    assert [row["corruption"] for row in rows] == ["clean", "fog"] and rows[0]["miou"] > 0
    assert len(load_checkpoint(model).class_names) == 11

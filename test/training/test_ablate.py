# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g ablate`: one table from several configs and seeds, and nothing is done twice."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace

import pytest
import yaml
from safetensors.torch import save_file
from small_model import ENCODER, small_config, stages
from small_runs import brightness_videos, plain

from t2g_core.cli import main
from t2g_core.encoders.frozen_vit import FrozenEncoder
from t2g_core.training.ablation_table import markdown


def row(config, seed, miou, vc16=None):
    scores = {"mIoU": miou, "mVC8": 2 * miou, "mVC16": vc16}
    return {"config": config, "seed": seed, "condition": "clean", **scores}


def test_means_and_deviations_by_hand():
    lines = markdown([row("a", 0, 10.0), row("a", 1, 14.0), row("b", 0, 7.0, 1.0)]).splitlines()
    assert lines[0] == "| config | clean mIoU | clean mVC8 | clean mVC16 |"
    assert lines[2] == "| a | 12.0 ± 2.8 | 24.0 ± 5.7 | - |"
    assert lines[3] == "| b | 7.0 | 14.0 | 1.0 |"
    assert "seeds 0, 1" in lines[-1]


@pytest.fixture
def words(tmp_path):
    """Two heads, two seeds, on six frames that are their own target; 3 iterations each."""
    data = tmp_path / "data"
    brightness_videos(data)
    shutil.copytree(data / "train", data / "val")
    weights = tmp_path / "encoder.safetensors"
    save_file(FrozenEncoder(ENCODER).vit.state_dict(), weights)
    for head in ("linear", "conv"):
        config = small_config(head)
        encoder = replace(config.encoder, weights=str(weights))
        config = replace(
            config,
            encoder=encoder,
            train=replace(config.train, stages=stages(3, frames_per_step=1)),
        )
        (tmp_path / f"{head}.yaml").write_text(yaml.safe_dump(plain(config.as_mapping())))
    configs = [str(tmp_path / f"{head}.yaml") for head in ("linear", "conv")]
    options = ["--root", str(data), "--out", str(tmp_path / "out"), "--seeds", "0", "1"]
    return ["ablate", *configs, *options]


def test_runs_are_trained_once_and_the_table_is_the_same_again(words, tmp_path, capsys):
    assert main(words) == 0
    first = capsys.readouterr()
    assert first.out.count("| linear |") == first.out.count("| conv |") == 1
    assert "done already" not in first.err
    model = tmp_path / "out" / "conv" / "seed1" / "model.safetensors"
    written = model.stat().st_mtime_ns
    assert main(words) == 0
    second = capsys.readouterr()
    assert second.out == first.out and second.err.count("done already") == 4
    assert model.stat().st_mtime_ns == written
    with (tmp_path / "out" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["config"], r["seed"]) for r in rows] == [
        ("linear", "0"), ("conv", "0"), ("linear", "1"), ("conv", "1"),
    ]  # fmt: skip
    assert (tmp_path / "out" / "table.md").read_text() == first.out.removesuffix("\n")
    assert (tmp_path / "out" / "curves.png").stat().st_size > 1000  # losses of all four runs
    # another condition is another evaluation of the same training
    assert main([*words, "--corruption", "fog"]) == 0
    assert "fog mIoU" in capsys.readouterr().out and model.stat().st_mtime_ns == written


def test_a_part_of_the_source_may_be_trained_on(words, capsys):
    assert main([*words, "--source-split", "train:NOWHERE"]) == 2
    assert "NOWHERE" in capsys.readouterr().err


def test_two_configs_of_one_name_are_refused(words, capsys):
    assert main([*words[:2], *words[1:]]) == 2
    assert "must differ" in capsys.readouterr().err


def test_rows_of_a_file_change_one_config(words, tmp_path, capsys):
    (tmp_path / "rows.yaml").write_text(
        "plain: {}\nsharper:\n  train.class_balance: 0.0\nbroken:\n  train.clas_balance: 0.0\n"
    )
    _, linear, conv, *options = words
    rows = ["--rows", str(tmp_path / "rows.yaml")]
    few = ["--set", "train.stages.0.iterations=1"]
    assert main(["ablate", linear, *options, *rows, *few, "--only", "plain", "sharper"]) == 0
    assert capsys.readouterr().out.count("| sharper |") == 1
    assert (tmp_path / "out" / "sharper" / "seed1" / "model.safetensors").is_file()
    for wrong, sentence in (
        ([linear, *options, *rows], "row broken.train: unknown key clas_balance; did you mean"),
        ([linear, conv, *options, *rows], "--rows changes one config, got 2"),
        ([linear, *options, *rows, "--only", "shaper"], "no row shaper in"),
        ([linear, *options, "--only", "plain"], "it needs --rows"),
    ):
        assert main(["ablate", *wrong]) == 2
        assert sentence in capsys.readouterr().err

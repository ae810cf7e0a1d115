# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The rows of the ablations: each changes its base, and each one trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_model import ENCODER, TRAIN

from t2g_core.bench.train_step import measure_train_step
from t2g_core.config import Config, load_mapping
from t2g_core.methods.time2general.config import Time2GeneralConfig
from t2g_core.training.ablate import read_row

CONFIGS = Path(__file__).parents[2] / "config"
FILES = {  # base and rows
    "ablation": ("ablation/base", "ablation/rows"),
    "street": ("street/base", "street/rows"),
    "paper": ("paper_vitl", "paper_rows"),
}
ROWS = [(f, name) for f in FILES for name in load_mapping(CONFIGS / f"{FILES[f][1]}.yaml")]


def load(folder: str, name: str) -> Config:
    base, rows = (load_mapping(CONFIGS / f"{file}.yaml") for file in FILES[folder])
    return read_row(base, rows[name], name)


@pytest.mark.parametrize("folder", FILES)
def test_rows_differ_from_one_another(folder):
    found = [load(folder, name) for where, name in ROWS if where == folder]
    assert len({str(config) for config in found}) == len(found) > 1


def test_all_have_the_same_training_budget_and_input():
    same = ("clip_frames", "crop_size", "seed")
    budget = ("iterations", "learning_rate", "frames_per_clip", "frames_per_step", "plain_share")
    configs = [load(folder, name) for folder, name in ROWS if folder == "ablation"]
    assert len({(c.encoder, c.input_size) for c in configs}) == 1
    assert len({tuple(getattr(c.train, key) for key in same) for c in configs}) == 1
    drawn = {tuple(getattr(s, key) for s in c.train.stages for key in budget) for c in configs}
    assert len(drawn) == 1


def tiny(config: Config) -> Config:
    """The same switches at sizes of a test."""
    config = config.without_weights()
    keep = (
        "mtc_weight mtc_trim set_weight set_stages pixel_weight strides class_balance clip_frames"
    )
    kept = {key: getattr(config.train, key) for key in keep.split()}
    method = config.method
    if isinstance(method, Time2GeneralConfig):
        small = {"num_queries": 12, "dim": 32, "pixel_dim": 16, "num_blocks": 2, "ffn_dim": 32}
        method = replace(method, **small)
    train = replace(TRAIN, stages=config.train.stages[-1:], **kept)
    return replace(config, encoder=ENCODER, input_size=(96, 64), method=method, train=train)


@pytest.mark.parametrize(("folder", "name"), ROWS, ids=lambda part: part)
def test_every_row_makes_a_training_step(folder, name):
    """Forward, backward and optimiser on a whole clip; gradients are finite."""
    config = tiny(load(folder, name))
    losses = measure_train_step(config, 11, "cpu").losses
    assert ("mtc" in losses) == (config.train.mtc_weight > 0)
    assert ("set" in losses) == (config.method_name != "frame_head")


@pytest.mark.parametrize("folder", ["ablation", "paper"])
def test_the_rows_of_table_6_each_add_one_thing_to_the_baseline(folder):
    baseline, whole = load(folder, "table6_1_baseline"), load(folder, "table6_6_all")
    assert baseline.method.depth == whole.method.depth  # under the same frozen depth prior
    for name, added in {
        "table6_2_stability_queries": {"write_back": "over_queries"},
        "table6_3_memory_decoder": {"clip_length": whole.method.clip_length},
        "table6_4_random_strides": {"strides": whole.train.strides},
        "table6_5_mtc": {"mtc_weight": whole.train.mtc_weight},
    }.items():
        config = load(folder, name)
        for section, other in ((config.method, baseline.method), (config.train, baseline.train)):
            own = {key: value for key, value in added.items() if key in vars(section)}
            assert section == replace(other, **own)


def test_a_table_at_the_papers_schedule_has_the_papers_weight():
    for name in ("table7_2_rein_mtc", "table7_6_depthforge_mtc", "table6_5_mtc", "table6_6_all"):
        train = load("paper", name).train
        assert (train.mtc_weight, train.set_stages, train.distortion) == (1.0, "sum", "photometric")

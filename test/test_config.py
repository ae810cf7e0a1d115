# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Configs: complete, strict, and the shipped ones valid."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from t2g_core.config import load_config
from t2g_core.schedule import FRAME_PATH

CONFIGS = Path(__file__).parents[1] / "config"
MODELS = ["time2general_small", "linear_head", "conv_head"]


@pytest.mark.parametrize("name", MODELS)
def test_shipped_configs_load(name):
    config = load_config(CONFIGS / f"{name}.yaml")
    assert config.method_name == ("frame_head" if "head" in name else "time2general")


def test_all_models_are_trained_alike():
    """The comparison in the README is of heads: same input, same clips, same iterations."""
    configs = [load_config(CONFIGS / f"{name}.yaml") for name in MODELS]
    for field in ("encoder", "input_size"):
        assert len({getattr(c, field) for c in configs}) == 1
    assert [c.train.stages for c in configs if c.method_name == "frame_head"] == [
        tuple(stage for stage in configs[0].train.stages if stage.trains == FRAME_PATH)
    ] * 2
    for field in (
        "clip_frames",
        "crop_size",
        "strides",
        "seed",
        "zoom",
        "max_class_share",
        "cached_clips",
        "class_balance",
        "class_share",
        "paste_share",
        "move_steps",
        "jaccard_weight",
        "precision",
    ):
        assert len({getattr(c.train, field) for c in configs}) == 1


def changed(tmp_path, change) -> Path:
    mapping = yaml.safe_load((CONFIGS / "time2general_small.yaml").read_text())
    change(mapping)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(mapping))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["train"].update(warmpu=1), "train: unknown key warmpu; did you mean warmup?"),
        (lambda m: m["train"].update(legs=4), r"train: unknown key legs; known are \['accumul"),
        (lambda m: m.update(trian={}), "config.yaml: unknown key trian; did you mean train"),
        (lambda m: m["train"].pop("seed"), r"train: missing keys \['seed'\]"),
        (lambda m: m["train"].update(seed="one"), "train.seed: expected int, got 'one'"),
        (lambda m: m.update(input_size=[768]), "input_size: expected 2 values"),
        (lambda m: m.update(frame_head={"kind": "conv"}), "exactly one"),
        (lambda m: m["time2general"].update(clip_length=3), "clip_length 3: expected 1"),
        (lambda m: m["time2general"].update(clip_length=8), "time2general.clip_length 8"),
        (lambda m: m.pop("time2general"), "exactly one of .* got none"),
        (lambda m: m["train"].update(stages=[]), "train.stages: expected at least one"),
        (lambda m: m["train"].update(clip_frames=5), "frames_per_clip of 1 to 5, .* got 6"),
        (lambda m: m["train"]["stages"][1].pop("iterations"), r"stages\[1\]: missing keys"),
        (lambda m: m["train"].update(precision="fp16"), "train.precision: expected bf16 .*fp16"),
        (lambda m: m.update(input_size=[768, 570]), "input_size: expected multiples of 16"),
        (lambda m: m.update(input_size=[0, 0]), "input_size: expected multiples of 16"),
        (lambda m: m["train"].update(crop_size=[570, 432]), "train.crop_size: expected multiples"),
        (lambda m: m.update(encoder=[]), "encoder: expected a mapping, got list"),
    ],
)
def test_mistakes_are_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        load_config(changed(tmp_path, change))


def test_a_missing_file_and_broken_yaml_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no config file"):
        load_config(tmp_path / "absent.yaml")
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1")
    with pytest.raises(ValueError, match="is not YAML"):
        load_config(path)


SMALL = CONFIGS / "time2general_small.yaml"


def test_keys_are_changed_from_outside_as_if_the_file_said_so():
    config = load_config(
        SMALL,
        [
            "time2general.clip_length=1",
            "train.strides=[0, 1]",
            "train.stages.1.learning_rate=1e-3",
            "time2general.text=null",
            "time2general.depth.weights=hub",
            "train.mtc_weight=0",
        ],
    )
    assert (config.method.clip_length, config.method.text) == (1, None)
    assert config.method.depth.weights == "hub" and config.train.strides == (0, 1)
    assert config.train.stages[1].learning_rate == 1e-3 and config.train.mtc_weight == 0.0
    assert config.train.stages[0] == load_config(SMALL).train.stages[0]
    head = load_config(SMALL, ["time2general=null", "frame_head.kind=conv", "train=null"])
    assert (head.method_name, head.train) == ("frame_head", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.seed", "--set: expected section.key=value, got 'train.seed'"),
        ("train.sede=1", "unknown key sede; did you mean seed?"),
        ("tran.seed=1", "unknown key tran; did you mean train?"),
        ("train.seed=one", "train.seed: expected int, got 'one'"),
        ("train.seed=[1", "--set train.seed: .* is not YAML"),
        ("train.seed.deeper=1", "deeper: expected a section above it, got 0"),
        ("train.stages.9.iterations=1", "expected one of the entries 0 to 4"),
        ("train.stages.first.iterations=1", "expected one of the entries 0 to 4"),
    ],
)
def test_a_change_that_cannot_be_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        load_config(SMALL, [change])


def test_a_config_reads_back_what_it_writes():
    from t2g_core.config import read_config

    for name in MODELS:
        config = load_config(CONFIGS / f"{name}.yaml")
        assert read_config(config.as_mapping(), name) == config

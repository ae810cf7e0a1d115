"""Configs: complete, strict, and the shipped ones valid."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from t2g_core.config import FRAME_PATH, load_config

CONFIGS = Path(__file__).parents[1] / "config"
MODELS = ["time2general_small", "linear_head", "conv_head"]


@pytest.mark.parametrize("name", MODELS)
def test_shipped_configs_load(name):
    config = load_config(CONFIGS / f"{name}.yaml")
    assert config.train.dataset == "camvid"
    assert (config.time2general is None) == ("head" in name)


def test_all_models_are_trained_alike():
    """The comparison in the README is of heads: same input, same clips, same iterations."""
    configs = [load_config(CONFIGS / f"{name}.yaml") for name in MODELS]
    for field in ("encoder", "input_size"):
        assert len({getattr(c, field) for c in configs}) == 1
    assert [c.train.stages for c in configs if c.frame_head] == [
        tuple(stage for stage in configs[0].train.stages if stage.trains == FRAME_PATH)
    ] * 2
    for field in (
        "clip_frames",
        "crop_size",
        "strides",
        "seed",
        "crop_share",
        "max_class_share",
        "cached_clips",
        "class_balance",
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
        (lambda m: m["train"].update(learnin_rate=1), r"train: unknown keys \['learnin_rate'\]"),
        (lambda m: m["train"].pop("seed"), r"train: missing keys \['seed'\]"),
        (lambda m: m["train"].update(seed="one"), "train.seed: expected int, got 'one'"),
        (lambda m: m.update(input_size=[768]), "input_size: expected 2 values"),
        (lambda m: m.update(frame_head={"kind": "conv"}), "exactly one"),
        (lambda m: m["time2general"].update(clip_length=3), "clip_length 3: expected 1"),
        (lambda m: m["time2general"].update(clip_length=4), "time2general.clip_length 4"),
        (lambda m: m["train"].update(stages=[]), "train.stages: expected at least one"),
        (lambda m: m["train"].update(clip_frames=5), "clip_frames of 1 to 5, .* got 6"),
        (lambda m: m["train"]["stages"][1].pop("iterations"), r"stages\[1\]: missing keys"),
        (lambda m: m["train"].update(precision="fp16"), "train.precision: expected bf16 .*fp16"),
        (lambda m: m["train"].update(dataset="kitti"), "train.dataset: expected one of .*'kitti'"),
        (lambda m: m.update(input_size=[768, 570]), "input_size: expected multiples of 16"),
        (lambda m: m.update(input_size=[0, 0]), "input_size: expected multiples of 16"),
        (lambda m: m["train"].update(crop_size=[570, 432]), "train.crop_size: expected multiples"),
        (lambda m: m["encoder"].update(patch_size=14), "encoder.patch_size: .* 16 pixels, got 14"),
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

"""The ablations' configs: each differs from another in what it says, and each one trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from small_model import ENCODER, TRAIN

from t2g_core.bench.info import without_weights
from t2g_core.bench.train_step import measure_train_step
from t2g_core.config import Config, load_config

FOLDER = Path(__file__).parents[2] / "config" / "ablation"
CONFIGS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
CLIP = "openai/clip-vit-large-patch14"
FROM_ALL = {  # what each changes of table6_6_all
    "table9_trim_0_0": {"train.mtc_trim": 0.0},
    "table9_trim_0_1": {"train.mtc_trim": 0.1},
    "table9_trim_0_3": {"train.mtc_trim": 0.3},
    "without_queries": {"time2general.write_back": "none"},
    "without_memory": {"time2general.clip_length": 1},
    "without_strides": {"train.strides": [1]},
    "without_mtc": {"train.mtc_weight": 0.0},
    "without_text": {"text": None},
    "without_pixel_memory": {"time2general.pixel_memory": False},
    "literal_write_back": {"time2general.write_back": "literal"},
    "deformable": {"time2general.attention": "deformable"},
    "depth_separate": {"depth.weights": "hub", "time2general.depth_projections": "separate"},
    "depth_shared": {"depth.weights": "hub", "time2general.depth_projections": "shared"},
    "clip_text": {"text.encoder": CLIP, "text.weights": "hub"},
    "table6_1_baseline": {
        "time2general.write_back": "none",
        "time2general.clip_length": 1,
        "time2general.pixel_memory": False,
        "train.strides": [1],
        "train.mtc_weight": 0.0,
    },
}
FROM_BASELINE = {  # what each adds to table6_1_baseline
    "table6_2_stability_queries": {"time2general.write_back": "over_queries"},
    "table6_3_memory_decoder": {"time2general.clip_length": 8},
    "table6_4_random_strides": {"train.strides": [0, 0, 0, 1]},
    "table6_5_mtc": {"train.mtc_weight": 10.0},
    "chain_2_queries_memory": {
        "time2general.write_back": "over_queries",
        "time2general.clip_length": 8,
    },
    "chain_3_queries_memory_mtc": {
        "time2general.write_back": "over_queries",
        "time2general.clip_length": 8,
        "train.mtc_weight": 10.0,
    },
}
STREET_CONFIGS = "../street/random_depth", "../street/without_depth"
STREET = {  # what the rendered street's configs change of depth_separate
    "input_size": [384, 288],
    "time2general.pixels_from": "maps",
    "train.dataset": "own",
    "train.crop_size": [384, 288],
    "train.cached_clips": 40,
}
HEADS = {  # with the consistency loss: without it
    "table7_2_linear_mtc": "table7_1_linear",
    "table7_4_conv_mtc": "table7_3_conv",
}


def flat(name: str) -> dict:
    """The YAML `name` in FOLDER with keys `section.key`."""
    mapping = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    pairs = {}
    for section, value in mapping.items():
        if isinstance(value, dict):
            pairs |= {f"{section}.{key}": v for key, v in value.items()}
        else:
            pairs[section] = value
    return pairs


def changes(name: str, other: str) -> dict:
    """Keys of `name` that `other` has not, or has another value for."""
    found, base = flat(name), flat(other)
    return {key: value for key, value in found.items() if key not in base or base[key] != value}


def test_every_file_is_described_here():
    listed = {*FROM_ALL, *FROM_BASELINE, *HEADS, *HEADS.values(), "table6_6_all"}
    assert set(CONFIGS) == listed


@pytest.mark.parametrize("name", FROM_ALL)
def test_what_differs_from_everything(name):
    assert changes(name, "table6_6_all") == FROM_ALL[name]


@pytest.mark.parametrize("name", FROM_BASELINE)
def test_what_is_added_to_the_baseline(name):
    assert changes(name, "table6_1_baseline") == FROM_BASELINE[name]


@pytest.mark.parametrize("name", HEADS)
def test_per_frame_heads_differ_in_the_loss_alone(name):
    assert changes(name, HEADS[name]) == {"train.mtc_weight": 10.0}


def test_the_street_configs_differ_in_depth_alone():
    with_depth, without = STREET_CONFIGS
    assert changes(without, "depth_separate") == STREET
    assert changes(with_depth, without) == {
        "depth.weights": "random",
        "time2general.depth_projections": "separate",
    }


def test_all_have_the_same_training_budget_and_input():
    same = ("clip_frames", "crop_size", "seed")
    budget = ("iterations", "learning_rate", "clip_frames", "frames_per_step", "plain_share")
    configs = [load_config(FOLDER / f"{name}.yaml") for name in CONFIGS]
    assert len({(c.encoder, c.input_size) for c in configs}) == 1
    assert len({tuple(getattr(c.train, key) for key in same) for c in configs}) == 1
    drawn = {tuple(getattr(s, key) for s in c.train.stages for key in budget) for c in configs}
    assert len(drawn) == 1


def tiny(config: Config) -> Config:
    """The same switches at sizes of a test."""
    config = without_weights(config)
    keep = ("mtc_weight", "mtc_trim", "set_weight", "pixel_weight", "strides", "class_balance")
    kept = {key: getattr(config.train, key) for key in keep}
    if config.time2general:
        head = replace(
            config.time2general, num_queries=12, dim=32, pixel_dim=16, num_blocks=2, ffn_dim=32
        )
        config = replace(config, time2general=head)
    train = replace(TRAIN, clip_frames=6, stages=config.train.stages[-1:], **kept)
    return replace(config, encoder=ENCODER, input_size=(96, 64), train=train)


@pytest.mark.parametrize("name", [*CONFIGS, *STREET_CONFIGS])
def test_every_config_makes_a_training_step(name):
    """Forward, backward and optimiser on a clip of five frames; gradients are finite."""
    config = tiny(load_config(FOLDER / f"{name}.yaml"))
    losses = measure_train_step(config, 11, "cpu").losses
    assert ("mtc" in losses) == (config.train.mtc_weight > 0)
    assert ("set" in losses) == (config.time2general is not None)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g info`: counts that hold against the real model and against arithmetic by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_model import ADAPTERS, ENCODER, small_config, small_method
from torch.utils.flop_counter import FlopCounterMode

from t2g_core.bench.info import count, model_info, parse_size, run_step, tensors_of
from t2g_core.bench.train_step import measure_train_step, random_clip
from t2g_core.cli import main
from t2g_core.config import load_config
from t2g_core.data.datasets import FRAME_SIZES
from t2g_core.encoders.depth_anything import DepthConfig
from t2g_core.encoders.frozen_vit import FrozenEncoder
from t2g_core.images.windows import Windows
from t2g_core.training.zoom import training_zoom

CONFIGS = Path(__file__).parents[2] / "config"
MODELS = sorted(
    p
    for p in CONFIGS.rglob("*.yaml")
    if p.stem not in ("segmenter", "rows", "paper_rows") and p.parent.name != "compare"
)


def parts(config, size=(96, 64), classes=11) -> dict:
    return {part.name: part for part in model_info(config, size, classes).parts}


def test_a_vit_costs_what_its_formula_says():
    """ViT-tiny, 96x64: N = 24 patches and a class token, C = 192, 12 blocks, MLP 4 C."""
    n, c = 25, 192
    block = 2 * n * c * (3 * c + c + 8 * c) + 2 * 2 * n * n * c
    patches = 2 * 24 * 3 * 16 * 16 * c
    assert parts(small_config())["RGB encoder"].flops == 12 * block + patches


def test_parameters_are_those_of_the_real_model():
    found, method = parts(small_config()), small_method()
    trainable, frozen = (
        sum(values)
        for values in zip(*((p.trainable, p.frozen) for p in found.values()), strict=True)
    )
    assert (trainable, frozen) == count(method)
    assert (found["memory decoder"].trainable, 0) == count(method.head.decoder)
    assert (0, found["RGB encoder"].frozen) == count(FrozenEncoder(ENCODER))


def test_the_parts_and_the_rest_are_all_operations_of_a_step():
    """On the meta device as on a CPU, whose attention kernel counts a little less."""
    found = parts(small_config())
    whole = sum(part.flops for part in found.values())
    method = small_method("time2general")
    images = torch.zeros(1, 64, 96, 3, dtype=torch.uint8)
    with FlopCounterMode(display=False) as counter:
        run_step(method, images)
    assert whole == pytest.approx(counter.get_total_flops(), rel=0.05)


@pytest.mark.parametrize("head", ["time2general", "deformable", "no_pixel_memory", "conv"])
def test_a_stream_keeps_what_its_state_holds(head):
    state = run_step(small_method(head), torch.zeros(1, 64, 96, 3, dtype=torch.uint8))
    held = sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(state))
    info = model_info(small_config(head), (96, 64), 11)
    assert (info.state_bytes, info.clip_length) == (held, 1 if head == "conv" else 3)
    assert (held == 0) == (head == "conv")


@pytest.mark.parametrize("head", ADAPTERS)
def test_what_an_adapter_computes_is_not_the_encoders(head):
    found, plain = parts(small_config(head)), parts(small_config("conv"))
    assert found["RGB encoder"].flops == plain["RGB encoder"].flops
    assert found["RGB encoder"].trainable == 0
    config = small_config(head).method
    tokens = 12 * config.tokens * config.rank  # A of every block, a part of the adapter
    assert found["adapter"].trainable > tokens and found["adapter"].flops > 0
    assert found["other"].flops >= 0


def test_windows_cost_a_frame_each():
    config = load_config(CONFIGS / "conv_head.yaml")
    whole = {p.name: p for p in model_info(config, (512, 512), 15).parts}
    found = model_info(config, (1024, 512), 15, Windows(512, 341))
    for part in found.parts:
        if part.name != "other":
            assert part.flops == 3 * whole[part.name].flops
            assert part.frozen == whole[part.name].frozen


def test_depth_doubles_the_frozen_part_and_adds_a_trainable_one():
    without, found = parts(small_config()), parts(small_config("depth"))
    assert found["depth encoder"] == replace(without["RGB encoder"], name="depth encoder")
    more = found["Stability Queries"].trainable - without["Stability Queries"].trainable
    assert more == 2 * (192 * 2 * 32 + 1)  # keys, values and a gate for each layer that is read


def test_the_papers_configuration_stays_under_the_papers_parameters():
    config = load_config(CONFIGS / "paper_vitl.yaml")
    method = config.method
    assert (method.num_queries, method.dim) == (100, 256)
    assert (method.num_blocks, method.clip_length) == (9, 5)
    assert (method.attention, method.depth) == ("deformable", DepthConfig("hub"))
    found = parts(config, (1024, 512), 15)
    trainable = sum(p.trainable for p in found.values())
    assert 23.0e6 < trainable <= 24.46e6
    for encoder in ("RGB encoder", "depth encoder"):
        assert found[encoder].frozen == pytest.approx(304.4e6, rel=1e-3)  # ViT-L


@pytest.mark.parametrize("name", ["time2general_small", "conv_head"])
def test_the_command_prints_a_table(capsys, name):
    assert main(["info", str(CONFIGS / f"{name}.yaml"), "--size", "96x64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("RGB encoder") and "22.12 M" in lines[1]
    assert any(line.startswith("for one frame of 96x64") for line in lines)
    assert any(line.startswith("kept from frame to frame") for line in lines) == (
        name != "conv_head"
    )


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_can_be_built(path):
    info = model_info(load_config(path), (96, 64), 15)
    assert sum(part.trainable for part in info.parts) > 0


@pytest.mark.parametrize("size", ["s", "b", "l"])
def test_the_papers_sisters_differ_in_their_encoders_alone(size):
    sister, paper = (load_config(CONFIGS / f"paper_vit{name}.yaml") for name in (size, "l"))
    assert replace(sister, encoder=paper.encoder) == paper
    assert sister.encoder.weights == "hub"


def test_json_holds_what_the_table_says(capsys):
    config = str(CONFIGS / "conv_head.yaml")
    assert main(["info", config, "--size", "96x64", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["size"] == [96, 64] and found["train_steps"] == []
    parts = {part["name"]: part for part in found["parts"]}
    assert parts["RGB encoder"]["frozen"] == pytest.approx(22.12e6, rel=1e-3)
    assert parts["frame head"]["trainable"] > 1e6


@pytest.mark.parametrize(
    ("data", "inference", "void"),
    [("kitti360", (1408, 368), 1 - 368 / 1024), ("cityscapes", (1024, 512), 0.5)],
)
def test_the_zoom_of_a_training_beside_inference(data, inference, void):
    """At half size a frame fills min(1, w / 1024) by min(1, h / 1024) of a crop of 512x512."""
    zoom = training_zoom(load_config(CONFIGS / "paper_vits.yaml"), FRAME_SIZES[data])
    assert (zoom.inference, zoom.crop, zoom.smallest, zoom.largest) == (
        inference, (512, 512), 0.5, 2.0
    )  # fmt: skip
    assert zoom.void == pytest.approx(void)


def test_the_command_prints_the_zoom(capsys):
    words = ["info", str(CONFIGS / "linear_head.yaml"), "--size", "96x64", "--data", "camvid"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "camvid: frames of 960x720, 768x576 at inference" in out
    assert "things are 0.8 to 1.667 times as large as there, and up to 0 % of it" in out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["zoom"]["data"] == "camvid"
    assert main([*words, "--set", "train=null"]) == 2
    assert "--data: the config has no section train" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["96", "96x60", "0x16", "axb", "16x16x16"])
def test_a_size_that_is_none_is_named(text):
    with pytest.raises(ValueError, match="WIDTHxHEIGHT in multiples of 16"):
        parse_size(text, small_config())
    assert parse_size("1024x512", small_config()) == (1024, 512)
    assert parse_size(None, small_config()) == (96, 64)


@pytest.mark.parametrize("head", ["depth", "linear"])
def test_a_training_step_runs_and_reports(head):
    config = small_config(head)
    config = config.without_weights()
    step = measure_train_step(config, 11, "cpu")
    assert "3 frames of 96x64, fp32, on cpu" in str(step)
    assert step.peak_bytes > 1e8 and step.encoders_s > 0 and step.step_s > 0
    assert ("set" in step.losses) == (head == "depth")
    with pytest.raises(ValueError, match="no section train"):
        measure_train_step(replace(config, train=None), 11, "cpu")


def test_random_labels_do_not_move():
    clip = random_clip(small_config().train, 11)
    assert clip.images.shape == (3, 64, 96, 3) and clip.labels.shape == (3, 64, 96)
    assert (clip.labels == clip.labels[0]).all() and clip.labels.max() < 11
    assert (clip.labels[0, :32, :32] == clip.labels[0, 0, 0]).all()

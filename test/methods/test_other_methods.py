# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Methods inside the encoder and a recurrent one, through every command."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from small_model import ADAPTERS, OTHERS, small_config, small_method, stages
from small_runs import brightness_videos, plain

from t2g_core.checkpoint import load_checkpoint
from t2g_core.cli import main
from t2g_core.encoders.frozen_vit import FrozenEncoder
from t2g_core.methods.method import ClipBatch, Method
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.torch_runtime import TorchRuntime
from t2g_core.training.train import make_optimizer
from t2g_core.training.training_loss import TrainingLoss
from t2g_core.training.weight_average import WeightAverage

CLASSES, FRAMES = 11, 3
KEPT = ("depthforge", "ssp", "tv3s")  # whose training keeps features


def batch_of(method: Method) -> ClipBatch:
    """One clip of noise whose labels are blocks."""
    torch.manual_seed(3)
    images = torch.randint(0, 256, (1, FRAMES, 64, 96, 3), dtype=torch.uint8)
    blocks = torch.randint(0, CLASSES, (4, 6)).repeat_interleave(16, 0).repeat_interleave(16, 1)
    target = blocks.expand(1, FRAMES, -1, -1)
    features: tuple = ()
    if method.cacheable:
        with torch.no_grad():
            features = tuple(x[None] for x in method.encode(images[0]))
    return ClipBatch(features, images, target, None, torch.full((1,), 0.1))


def train_step(method: Method) -> dict[str, float]:
    """Forward, backward and a step of the optimiser."""
    config, (stage,) = small_config("tv3s").train, stages(1)
    method.train()
    method.enter_stage(stage)
    optimizer = make_optimizer(method, stage, config, None)
    losses = TrainingLoss(method, config, torch.ones(CLASSES))(batch_of(method), stage)
    sum(losses.values()).backward()
    optimizer.step()
    return {name: loss.item() for name, loss in losses.items()}


def test_parameters_that_two_stages_train_go_on():
    method, config, (stage,) = small_method("rein"), small_config("rein").train, stages(1)
    optimizer = make_optimizer(method, stage, config, None)
    optimizer.state[method.adapter.scale]["step"] = torch.tensor(7.0)
    after = make_optimizer(method, stage, config, optimizer)  # the next stage
    assert after.state[method.adapter.scale]["step"] == 7
    assert not after.state[method.head.query_decoder.to_class.weight]


def test_every_block_is_rewritten_and_the_class_token_is_left_alone():
    encoder = small_method("rein").encoder
    images, seen = torch.randn(1, 3, 64, 96), {}

    def watch(block: int, tokens: torch.Tensor) -> torch.Tensor:
        seen[block] = tokens.shape
        return tokens * 1

    for found, wanted in zip(encoder(images, watch), encoder(images), strict=True):
        assert torch.equal(found, wanted)
    assert seen == dict.fromkeys(range(12), (1, 24, 192))  # patches alone


def test_what_is_rewritten_after_a_block_is_what_the_next_one_reads():
    encoder = small_method("rein").encoder
    images = torch.randn(1, 3, 64, 96)
    tokens = {}

    def note(block: int, x: torch.Tensor) -> torch.Tensor:
        tokens[block] = x
        return x + 1 if block == 4 else x

    with torch.no_grad():
        last = encoder(images, note)[-1]
    plain = encoder(images)
    assert torch.equal(last, tokens[11]) and not torch.allclose(last, plain[-1])
    assert torch.equal(tokens[2], plain[0]) and not torch.allclose(tokens[5], plain[1])


def test_an_average_shares_the_encoder_and_has_weights_of_its_own():
    method = small_method("rein")
    average = WeightAverage(method, decay=0.5)
    assert average.method.encoder is method.encoder
    average.update(method)
    with torch.no_grad():
        method.adapter.scale.add_(1.0)
    average.update(method)
    torch.testing.assert_close(average.method.adapter.scale, method.adapter.scale - 0.5)


def test_a_loss_that_is_not_named_is_an_error_and_not_left_out():
    method = small_method("tv3s")
    assert train_step(method).keys() == {"pixel", "mtc", "auxiliary"}
    method.loss_names = ("pixel", "mtc")
    with pytest.raises(ValueError, match="losses gave auxiliary; loss_names has pixel, mtc"):
        train_step(method)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A data set, and frozen weights on disk."""
    root = tmp_path_factory.mktemp("methods")
    brightness_videos(root / "data")
    (root / "data" / "val").symlink_to(root / "data" / "train")
    torch.manual_seed(5)
    encoder = FrozenEncoder(small_config("linear").encoder)
    save_file(encoder.vit.state_dict(), root / "encoder.safetensors")
    return root


def trained(source, name: str):
    """A checkpoint that `t2g train` has made, with two frames of validation."""
    out = source / name
    if not (out / "model.safetensors").is_file():
        mapping = plain(small_config(name).as_mapping())
        mapping["encoder"]["weights"] = str(source / "encoder.safetensors")
        (source / f"{name}.yaml").write_text(yaml.safe_dump(mapping))
        words = ["train", source / f"{name}.yaml", "--root", source / "data", "--out", out]
        words += ["--device", "cpu", "--validation-frames", 2, "--set", "train.warmup=0"]
        assert main([str(word) for word in words]) == 0
    return out / "model.safetensors"


@pytest.mark.parametrize("name", OTHERS)
def test_a_method_trains_saves_loads_and_streams(source, name):
    path = trained(source, name)
    assert not any("encoder" in tensor for tensor in load_file(path))
    columns, *rows = (path.parent / "log.csv").read_text().splitlines()
    names = ("iteration", *small_method(name).loss_names)
    assert columns == ",".join(names) and len(rows) == 4
    kept = list((path.parent / "clips").glob("*/*.safetensors"))
    assert kept  # clips stay on disk, with features where they may be kept
    assert any("features.0" in load_file(clip) for clip in kept) == (
        name in ("depthforge", "ssp", "tv3s")
    )

    checkpoint = load_checkpoint(path)
    method = checkpoint.build()
    before = load_file(source / "encoder.safetensors")
    frozen = getattr(method.encoder, "rgb", method.encoder).vit.state_dict()
    assert all(torch.equal(before[n], t) for n, t in frozen.items())
    segmenter = StreamingSegmenter(TorchRuntime(method, precision="fp32"), checkpoint.labelling)
    frames = np.random.default_rng(0).integers(0, 256, (3, 60, 90, 3), dtype=np.uint8)
    state, confidences = segmenter.start(), []
    for frame in (frames[0], frames[0], frames[2]):
        result, state = segmenter.step(frame, state)
        confidences.append(result.confidence)
    assert np.array_equal(confidences[0], confidences[1]) == (name != "tv3s")
    again, _ = segmenter.step(frames[2], segmenter.start())
    assert np.array_equal(again.confidence, confidences[2]) == (name in ADAPTERS)


def rows_of(capsys, *words) -> list[dict]:
    capsys.readouterr()
    assert main(["eval", "--device", "cpu", "--json", *(str(word) for word in words)]) == 0
    found = json.loads(capsys.readouterr().out)
    return found.get("results", [found])


def test_a_recurrent_method_is_evaluated_alike_in_both_modes(source, capsys):
    words = ("--root", source / "data", "--checkpoint", trained(source, "tv3s"))
    (stream,), (clip,) = (rows_of(capsys, *words, "--mode", mode) for mode in ("stream", "clip"))
    assert (stream["miou"], stream["iou"]) == (clip["miou"], clip["iou"])
    (alone,) = rows_of(capsys, *words, "--mode", "frame")
    assert alone["iou"] != stream["iou"]
    assert main(["eval", *map(str, words), "--running-mean", "0.5"]) == 2
    assert "no checkpoint here looks at each frame alone" in capsys.readouterr().err


def test_an_adapter_is_evaluated_beside_a_method_on_the_same_frozen_encoder(source, capsys):
    """They share the encoder, and neither sees the other's tokens."""
    paths = [trained(source, name) for name in ("rein", "tv3s")]
    words = [word for path in paths for word in ("--checkpoint", path)]
    together = rows_of(capsys, "--root", source / "data", *words, "--running-mean", 0.5)
    assert [row["checkpoint"] for row in together] == [
        str(paths[0]), f"{paths[0]} + mean 0.5", str(paths[1])
    ]  # fmt: skip
    for path, row in zip(paths, (together[0], together[2]), strict=True):
        (alone,) = rows_of(capsys, "--root", source / "data", "--checkpoint", path)
        assert alone["iou"] == row["iou"]


def test_info_and_bench_take_them_too(source, capsys):
    for name, part, count in (("rein", "adapter", 2), ("tv3s", "TV3S head", 1)):
        trained(source, name)
        config = str(source / f"{name}.yaml")
        assert main(["info", config, "--size", "96x64", "--train-step", "--device", "cpu"]) == 0
        words = ["bench", config, "--rounds", "1", "--device", "cpu", "--precision", "fp32"]
        assert main([*words, "--set", "encoder.weights=random"]) == 0
        out = capsys.readouterr().out
        assert part in out and "step_over_encoder" in out
        assert out.count("one training step") == count  # computed again and kept

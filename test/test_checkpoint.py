# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint gives back the model it was made of, and says what is wrong with a bad file."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_model import (
    small_checkpoint,
    small_config,
    small_method,
    small_segmenter,
    write_small_checkpoint,
)
from torch.nn import functional as F

from t2g_core.checkpoint import SHIPPED, load_checkpoint, record_source_confidence
from t2g_core.labels import CAMVID_CLASSES
from t2g_core.methods.time2general.pixel_fusion import PixelMaps
from t2g_core.torch_runtime import TorchRuntime


@pytest.mark.parametrize("head", ["time2general", "deformable", "depth", "linear", "conv"])
def test_round_trip_gives_the_same_masks(tmp_path, head):
    path = tmp_path / "model.safetensors"
    write_small_checkpoint(path, head)
    saved, loaded = small_checkpoint(head), load_checkpoint(path)
    for field in ("config", "class_names", "palette"):
        assert getattr(loaded, field) == getattr(saved, field)
    torch.manual_seed(1)
    encoder = small_config(head).build_encoder()
    frame = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    results = []
    for checkpoint in (saved, loaded):
        method = checkpoint.build(encoder=encoder)
        segmenter = small_segmenter(head).with_runtime(TorchRuntime(method, precision="fp32"))
        results.append(segmenter.step(frame, segmenter.start())[0])
    assert (results[0].mask == results[1].mask).mean() > 0.99  # float16 rounding
    difference = results[0].confidence.astype(int) - results[1].confidence
    assert np.abs(difference).max() <= 2


def test_a_checkpoint_of_before_the_newer_keys_means_what_it_meant(tmp_path):
    path = tmp_path / "model.safetensors"
    write_small_checkpoint(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata["config"])
    for key in ("depth", "attention", "depth_projections", "pixel_memory_rate"):
        del config["time2general"][key]
    save_file(load_file(path), path, metadata | {"config": json.dumps(config)})
    assert load_checkpoint(path).config == replace(small_config(), train=None)


def as_first_format(path) -> None:
    """Rewrite a checkpoint as the version before wrote it: text and depth beside the head, keys
    that are gone, and a frame-by-frame head one module deeper.
    """
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    config, tensors = json.loads(metadata["config"]), load_file(path)
    head = config.get("time2general", {})
    text, depth = head.pop("text", None), head.pop("depth", None)
    head.pop("pixel_memory_rate", None)
    config["encoder"]["patch_size"] = 16
    config |= {"text": None if text is None else text | {"prompt": "a {}"}, "depth": depth}
    config["text"] = config["text"] and {k: v for k, v in config["text"].items() if k != "width"}
    if "frame_head" in config:
        config["frame_head"]["dim"] = 256
        deeper = {
            k.replace("head.", "head.head.", 1) if k[0] == "h" else k: v for k, v in tensors.items()
        }
        tensors = deeper
    header = {"config": config, "format": "t2g-checkpoint-1", "token_width": 192, "text_width": 384}
    save_file(tensors, path, metadata | {k: json.dumps(v) for k, v in header.items()})


@pytest.mark.parametrize("head", ["time2general", "depth", "linear", "conv"])
def test_a_checkpoint_of_the_format_before_is_converted(tmp_path, head):
    path = tmp_path / "model.safetensors"
    write_small_checkpoint(path, head)
    today = load_checkpoint(path)
    as_first_format(path)
    before = load_checkpoint(path)
    assert before.config == today.config
    assert before.trained.keys() == today.trained.keys()
    assert all(torch.equal(before.trained[name], t) for name, t in today.trained.items())


def test_a_classifier_of_pixel_embeddings_becomes_one_of_what_they_are_made_of(tmp_path):
    """As the second format has it: the same logits from the context."""
    path = tmp_path / "model.safetensors"
    write_small_checkpoint(path)
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata() | {"format": json.dumps("t2g-checkpoint-2")}
    pixels = {k: tensors.pop(f"head.to_pixels.context.{k}") for k in ("weight", "bias")}
    for k, value in pixels.items():
        tensors[f"head.fusion.to_pixels.{k}"] = value
        del tensors[f"head.pixel_classifier.context.{k}"]
    width, drawn = len(pixels["weight"]), torch.Generator().manual_seed(0)
    weight = torch.randn(11, width, 1, 1, generator=drawn).half()
    bias = weight[:, 0, 0, 0].contiguous()
    tensors |= {"head.pixel_classifier.weight": weight, "head.pixel_classifier.bias": bias}
    save_file(tensors, path, metadata)
    head = load_checkpoint(path).build(encoder=small_method().encoder).head
    context = torch.randn(1, small_config().method.dim, 6, 8, generator=drawn)
    maps = PixelMaps(context, context, None)
    wanted = F.conv2d(head.to_pixels(maps), weight.float(), bias.float())
    torch.testing.assert_close(head.pixel_classifier(maps), wanted, atol=1e-4, rtol=1e-4)
    narrow = {"head.pixel_classifier.weight": weight[:, 1:].contiguous()}
    save_file(tensors | narrow, path, metadata)
    with pytest.raises(ValueError, match="does not fit pixels"):
        load_checkpoint(path)


def test_what_is_built_is_the_methods_own(tmp_path):
    """Two methods of one checkpoint share the encoder they are given, and it is left as it is."""
    checkpoint, encoder = small_checkpoint(), small_method().encoder
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    first, second = (checkpoint.build(encoder=encoder) for _ in range(2))
    assert first.encoder is second.encoder is encoder and not first.training
    assert all(torch.equal(before[name], t) for name, t in encoder.state_dict().items())


def test_no_encoder_weight_is_in_a_checkpoint(tmp_path):
    path = tmp_path / "model.safetensors"
    write_small_checkpoint(path)
    parts = {name.split(".")[0] for name in load_file(path)}
    assert parts == {"standardize", "head"}


def test_the_shipped_checkpoint_is_small_and_complete():
    assert SHIPPED.stat().st_size <= 15_000_000
    checkpoint = load_checkpoint()
    assert checkpoint.class_names == CAMVID_CLASSES
    assert checkpoint.config.method.clip_length == 6
    assert checkpoint.trained["head.stability_queries.text"].shape == (11, 384)
    assert checkpoint.build().clip_length == 6


def test_missing_torn_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint .*absent"):
        load_checkpoint(tmp_path / "absent.safetensors")
    path = tmp_path / "model.safetensors"
    write_small_checkpoint(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is no t2g checkpoint"):
        load_checkpoint(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="expected format t2g-checkpoint-3 or"):
        load_checkpoint(path)


def test_tensors_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    write_small_checkpoint(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors["head.to_class.weight"] = torch.zeros(3, 32)
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(ValueError, match="do not fit the config"):
        load_checkpoint(path)


def rewritten(path, tensors=None, **changes):
    """The small checkpoint with other entries in its header; None takes one out."""
    write_small_checkpoint(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    for key, value in changes.items():
        metadata[key] = json.dumps(value)
        if value is None:
            del metadata[key]
    save_file(load_file(path) | (tensors or {}), path, metadata)
    return path


@pytest.mark.parametrize("key", ["config", "class_names", "palette"])
def test_what_the_header_lacks_is_named_with_the_path(tmp_path, key):
    path = rewritten(tmp_path / "model.safetensors", **{key: None})
    with pytest.raises(ValueError, match=f"{path}: the header lacks {key}"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"palette": [[1, 2, 3]]}, "palette: expected 11 colours"),
        ({"palette": [[1, 2, 300]] * 11}, "palette: expected 11 colours"),
        ({"class_names": []}, "class_names: expected 1 to 255 names"),
        ({"class_names": ["a", "b"]}, "palette: expected 2 colours"),
        ({"config": 3}, "config: expected a mapping, got int"),
    ],
)
def test_a_header_that_cannot_be_is_refused_before_anything_large_is_made(
    tmp_path, changes, sentence
):
    path = rewritten(tmp_path / "model.safetensors", **changes)
    with pytest.raises(ValueError, match=f"{path}: {sentence}"):
        load_checkpoint(path)


@pytest.mark.parametrize("size", [[0, 0], [161, 113], [-16, 16]])
def test_an_input_size_that_no_frame_can_have_is_refused(tmp_path, size):
    config = replace(small_config(), train=None).as_mapping() | {"input_size": size}
    path = rewritten(tmp_path / "model.safetensors", config=config)
    with pytest.raises(ValueError, match=f"{path}: input_size: expected multiples of 16"):
        load_checkpoint(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    name = "head.to_class.weight"
    tensors = {name: torch.full_like(small_checkpoint().trained[name], torch.nan)}
    path = rewritten(tmp_path / "model.safetensors", tensors)
    with pytest.raises(ValueError, match=f"{path}: weights that are no numbers.*{name}"):
        load_checkpoint(path)


def test_how_sure_it_is_on_its_own_domain_is_kept_in_the_header(tmp_path):
    path = tmp_path / "model.safetensors"
    write_small_checkpoint(path, "linear")
    before = load_checkpoint(path)
    assert before.labelling.source_confidence is None
    record_source_confidence(path, 0.93217)
    after = load_checkpoint(path)
    assert after.labelling.source_confidence == 0.9322
    assert all(torch.equal(before.trained[name], after.trained[name]) for name in before.trained)
    record_source_confidence(path, 1.5)
    with pytest.raises(ValueError, match="source_confidence: expected a number from 0 to 1"):
        load_checkpoint(path)


def test_the_shipped_one_knows_it():
    assert 0.9 < load_checkpoint().labelling.source_confidence < 1

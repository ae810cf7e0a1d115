"""A checkpoint gives back the model it was made of, and says what is wrong with a bad file."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_model import small_checkpoint, small_config, write_small_checkpoint

from t2g_core.build import build_encoder
from t2g_core.checkpoint import SHIPPED, load_checkpoint
from t2g_core.labels import CAMVID_CLASSES
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter


@pytest.mark.parametrize("head", ["time2general", "deformable", "depth", "linear", "conv"])
def test_round_trip_gives_the_same_masks(tmp_path, head):
    path = tmp_path / "model.safetensors"
    write_small_checkpoint(path, head)
    saved, loaded = small_checkpoint(head), load_checkpoint(path)
    assert (loaded.config, loaded.class_names, loaded.palette) == (
        replace(saved.config, train=None),
        saved.class_names,
        saved.palette,
    )
    torch.manual_seed(1)
    encoder = build_encoder(small_config(head))
    frame = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    results = []
    for checkpoint in (saved, loaded):
        segmenter = StreamingSegmenter(checkpoint, encoder, precision="fp32")
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
    del config["depth"], config["time2general"]["attention"]
    del config["time2general"]["depth_projections"]
    save_file(load_file(path), path, metadata | {"config": json.dumps(config)})
    assert load_checkpoint(path).config == replace(small_config(), train=None)


def test_no_encoder_weight_is_in_a_checkpoint(tmp_path):
    path = tmp_path / "model.safetensors"
    write_small_checkpoint(path)
    parts = {name.split(".")[0] for name in load_file(path)}
    assert parts == {"standardize", "head"}


def test_the_shipped_checkpoint_is_small_and_complete():
    assert SHIPPED.stat().st_size <= 15_000_000
    checkpoint = load_checkpoint()
    assert checkpoint.class_names == CAMVID_CLASSES
    assert checkpoint.config.time2general.clip_length == 8
    assert checkpoint.model.head.stability_queries.text.shape == (11, 384)
    assert all(torch.isfinite(t).all() for t in checkpoint.model.state_dict().values())


def test_missing_torn_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint .*absent"):
        load_checkpoint(tmp_path / "absent.safetensors")
    path = tmp_path / "model.safetensors"
    write_small_checkpoint(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is no t2g checkpoint"):
        load_checkpoint(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="expected format t2g-checkpoint-1, got None"):
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


@pytest.mark.parametrize("key", ["config", "class_names", "palette", "token_width", "text_width"])
def test_what_the_header_lacks_is_named_with_the_path(tmp_path, key):
    path = rewritten(tmp_path / "model.safetensors", **{key: None})
    with pytest.raises(ValueError, match=f"{path}: the header lacks {key}"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"token_width": 10**9}, "token_width: expected 0 to 16384, got 1000000000"),
        ({"token_width": 200}, "tensors do not fit the config: .* expected"),
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
    config = dataclasses.asdict(replace(small_config(), train=None)) | {"input_size": size}
    path = rewritten(tmp_path / "model.safetensors", config=config)
    with pytest.raises(ValueError, match=f"{path}: input_size: expected multiples of 16"):
        load_checkpoint(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    name = "head.to_class.weight"
    tensors = {name: torch.full_like(small_checkpoint().model.state_dict()[name], torch.nan)}
    path = rewritten(tmp_path / "model.safetensors", tensors)
    with pytest.raises(ValueError, match=f"{path}: weights that are no numbers.*{name}"):
        load_checkpoint(path)

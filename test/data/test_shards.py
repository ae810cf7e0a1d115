# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A data set as shards: the same videos, pixels and labels, readable without the index too."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import webdataset
from PIL import Image
from safetensors.torch import load_file
from small_model import small_config, stages
from small_runs import brightness_videos, options

from t2g_core.cli import main
from t2g_core.data.datasets import open_dataset, recognise
from t2g_core.data.shards import load_shards, write_shards
from t2g_core.images.files import picture_size, read_image
from t2g_core.labels import CAMVID_CLASSES
from t2g_core.training.train import train

COLOURS = {name: (k, 2 * k, 3 * k) for k, name in enumerate(CAMVID_CLASSES)}


def test_a_sharded_split_holds_what_the_folder_does(tmp_path, capsys):
    videos = brightness_videos(tmp_path / "data", frames=7)
    words = ["data", "shard", tmp_path / "data", "--out", tmp_path / "shards"]
    assert main([str(word) for word in words]) == 0
    assert "train: 7 frames in 1 shards" in capsys.readouterr().out
    root = tmp_path / "shards"
    assert recognise(root) == "shards"
    source, dataset = open_dataset("camvid", tmp_path / "data"), open_dataset("shards", root)
    same = ("class_names", "palette", "splits", "licence")
    assert all(getattr(source, name) == getattr(dataset, name) for name in same)
    found = dataset.load_videos("train")
    assert [(v.name, v.rate_hz) for v in found] == [(v.name, v.rate_hz) for v in videos]
    for own, other in zip(found[0].frames, videos[0].frames, strict=True):
        assert (own.video, own.number) == (other.video, other.number)
        assert own.image_path.read_bytes() == other.image_path.read_bytes()
        assert picture_size(own.image_path) == (90, 60)
        np.testing.assert_array_equal(read_image(own.image_path), read_image(other.image_path))
        np.testing.assert_array_equal(own.read_label(), other.read_label())
    assert main(["data", "check", str(root)]) == 0
    samples = list(webdataset.WebDataset(str(root / "train-000000.tar"), shardshuffle=False))
    assert len(samples) == 7
    label = Image.open(io.BytesIO(samples[3]["seg.png"]))
    np.testing.assert_array_equal(np.asarray(label), videos[0].frames[3].read_label())
    assert json.loads(samples[3]["json"])["number"] == videos[0].frames[3].number


def test_several_shards_frames_without_a_label_and_other_encodings(tmp_path):
    (video,) = brightness_videos(tmp_path / "data", frames=6)
    sparse = replace(
        video,
        frames=tuple(
            replace(f, label_path=None) if k % 2 else f for k, f in enumerate(video.frames)
        ),
    )
    for encoding, suffix in (("jpeg", ".jpg"), ("png", ".png")):
        out = tmp_path / encoding
        count = write_shards([sparse], out, "val", COLOURS, "", encoding, shard_bytes=8_000)
        assert count > 1
        (found,) = load_shards(out, "val")
        assert found.labelled == (0, 2, 4)
        assert {frame.image_path.suffix for frame in found.frames} == {suffix}
        assert (found.frames[1].read_label() == 255).all()
        for own, other in zip(found.frames, video.frames, strict=True):
            difference = read_image(own.image_path) - read_image(other.image_path).astype(float)
            assert np.abs(difference).mean() < (4 if encoding == "jpeg" else 1e-9)
    write_shards([video], tmp_path / "png", "val", COLOURS, "", "png")  # takes its place
    assert len(list((tmp_path / "png").glob("*.tar"))) == 1
    with pytest.raises(ValueError, match="is of other classes"):
        write_shards([video], tmp_path / "png", "train", {"road": (1, 2, 3)}, "")


def test_a_split_that_cannot_be_written_anew_stays_as_it_was(tmp_path):
    (video,) = brightness_videos(tmp_path / "data", frames=4)
    write_shards([video], tmp_path / "shards", "train", COLOURS, "")
    before = {path.name: path.read_bytes() for path in (tmp_path / "shards").iterdir()}
    broken = video.frames[3].image_path
    broken.write_bytes(broken.read_bytes()[:50])
    with pytest.raises(ValueError, match=f"{broken.name} is not a whole picture"):
        write_shards([video], tmp_path / "shards", "train", COLOURS, "", "jpeg")
    assert {path.name: path.read_bytes() for path in (tmp_path / "shards").iterdir()} == before


def test_a_training_on_shards_is_the_training_on_their_files(tmp_path):
    brightness_videos(tmp_path / "data")
    assert main(["data", "shard", str(tmp_path / "data"), "--out", str(tmp_path / "shards")]) == 0
    config = small_config("conv")
    config = replace(config, train=replace(config.train, stages=stages(2)))
    for data, root in (("camvid", tmp_path / "data"), ("shards", tmp_path / "shards")):
        torch.manual_seed(2)
        train(
            config,
            options(root, tmp_path / f"run_{data}", data=data, workers=int(data == "shards")),
        )
    files, shards = (
        load_file(tmp_path / f"run_{n}" / "model.safetensors") for n in ("camvid", "shards")
    )
    assert all(torch.equal(files[name], shards[name]) for name in files)


def spoil_index(root, change):
    index = json.loads((root / "shards.json").read_text())
    change(index)
    (root / "shards.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda root: (root / "shards.json").write_text("{"), "is no index of shards"),
        (
            lambda root: (root / "shards.json").write_text('{"format": 9}'),
            "of format 9, expected 1",
        ),
        (
            lambda root: spoil_index(root, lambda index: index.pop("classes")),
            "is no index of shards",
        ),
        (
            lambda root: spoil_index(
                root, lambda index: index["splits"]["train"]["shards"].clear()
            ),
            "is no index of shards",
        ),
        (lambda root: (root / "train-000000.tar").unlink(), "train-000000.tar does not exist"),
        (lambda root: (root / "train-000000.tar").write_bytes(b"cut"), "is not a whole picture"),
    ],
)
def test_a_faulty_folder_is_an_error_that_names_the_file(spoil, sentence, tmp_path, capsys):
    brightness_videos(tmp_path / "data")
    root = tmp_path / "shards"
    assert main(["data", "shard", str(tmp_path / "data"), "--out", str(root)]) == 0
    spoil(root)
    assert main(["data", "check", str(root)]) in (1, 2)
    told = capsys.readouterr()
    assert sentence in told.err + told.out

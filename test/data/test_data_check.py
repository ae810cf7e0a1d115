# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g data`: what is there, what is wrong, and the corrupted twin of a data set."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import yaml
from dataset_trees import (
    write_apolloscape,
    write_camvid_full,
    write_camvid_segnet,
    write_cityscapes,
    write_ids,
    write_image,
    write_kitti360,
    write_own_video,
)
from PIL import Image
from small_model import small_config
from small_runs import brightness_videos, plain

from t2g_core.cli import main
from t2g_core.data.check import check_videos
from t2g_core.data.corrupted_images import check_record, corrupted_path
from t2g_core.data.corruptions import Weather, corrupt
from t2g_core.data.datasets import open_dataset, recognise
from t2g_core.images.files import read_image


def check(root, name="kitti360", split="train"):
    dataset = open_dataset(name, root)
    return check_videos(dataset.load_videos(split), len(dataset.class_names))


def test_a_whole_split_by_hand(tmp_path):
    report = check(write_kitti360(tmp_path))
    assert (report.videos, report.frames, report.labelled, report.lengths) == (2, 5, 5, (2, 3))
    assert report.rates_hz == {10.0: 2} and report.sizes == {(48, 40): 5}
    assert [(g.last_before, g.first_after) for g in report.gaps] == [(252, 300)]
    half = 5 * 48 * 20
    assert report.pixels.tolist() == [half, 0, half] + 12 * [0] and report.void_pixels == 0
    assert report.faults == []


def test_sparse_labels_and_void_are_counted(tmp_path):
    report = check(write_own_video(tmp_path), "own")
    assert (report.frames, report.labelled) == (4, 3)
    assert report.pixels.tolist() == [0, 3 * 48 * 20] and report.void_pixels == 3 * 48 * 20


def test_snippets_of_one_sequence_are_recordings_of_their_own(tmp_path):
    """No gap is between them, and each has its own pattern of a weather that stays for a video."""
    root = write_cityscapes(tmp_path, (("a", 0, 19), ("a", 0, 119)))
    assert check(root, "cityscapes", "val").gaps == []
    videos = open_dataset("cityscapes", root).load_videos("val")
    weather = Weather("fog", 3, "video")
    seeds = [{weather.seed(f.video, f.number) for f in video.frames} for video in videos]
    assert [len(found) for found in seeds] == [1, 1] and seeds[0] != seeds[1]


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FAULTS = {
    "truncated image": (lambda f: truncate(f.image_path), r"000251\.png is not a whole.*copy"),
    "truncated label": (lambda f: truncate(f.label_path), r"semantic/.*is not a whole.*copy"),
    "odd size": (
        lambda f: Image.new("RGB", (24, 40)).save(f.image_path),
        r"000251\.png is 24x40, the other images of .*_sync 48x40 \(1 such files\)",
    ),
    "label of another size": (
        lambda f: Image.new("L", (48, 20), 7).save(f.label_path),
        r"semantic/.*251\.png is 48x20, its image 48x40; take",
    ),
    "id outside the table": (lambda f: write_ids(f.label_path, 7, 77), r"holds ids \[77\]"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_collected_and_the_rest_still_counted(fault, tmp_path):
    root = write_kitti360(tmp_path)
    spoil, expected = FAULTS[fault]
    video = open_dataset("kitti360", root).load_videos("train")[0]
    spoil(video.frames[1])
    write_ids(video.frames[2].label_path, 7, 99)
    faults = "\n".join(check(root).faults)
    assert re.search(expected, faults) and "holds ids [99]" in faults


def test_the_command_prints_and_its_exit_code_says_whether_all_is_well(tmp_path, capsys):
    root = write_kitti360(tmp_path)
    assert main(["data", "check", str(root), "--data", "kitti360"]) == 0
    text = capsys.readouterr().out
    assert "2, of 2 to 3 frames" in text and "10 Hz (2)" in text and "faults   0" in text
    assert any(line.split()[:2] == ["road", "50.000"] for line in text.splitlines())
    video = open_dataset("kitti360", root).load_videos("train")[0]
    truncate(video.frames[0].image_path)
    assert main(["data", "check", str(root), "--data", "kitti360", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)["splits"]["train"]
    assert document["pixels"]["road"] == 5 * 48 * 20 and len(document["faults"]) == 1
    video.frames[0].image_path.unlink()
    assert main(["data", "check", str(root), "--data", "kitti360"]) == 2
    assert "is missing (1 such files); download data_2d_raw" in capsys.readouterr().err


def test_every_split_that_is_there_is_checked(tmp_path, capsys):
    root = write_kitti360(tmp_path, "train", (250, 251))
    write_kitti360(root, "val", (300, 301, 302))
    assert main(["data", "check", str(root)]) == 0
    text = capsys.readouterr().out
    assert "kitti360, split train" in text and "kitti360, split val" in text
    assert main(["data", "check", str(root), "--split", "val", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["data"] == "kitti360" and list(document["splits"]) == ["val"]
    assert document["splits"]["val"]["frames"] == 3


@pytest.mark.parametrize(
    ("write", "name", "splits"),
    [
        (write_cityscapes, "cityscapes", ("val",)),
        (write_apolloscape, "apolloscape", ("train",)),
        (write_own_video, "own", ("train",)),
        (write_camvid_full, "camvid", ("train", "val", "test")),
        (write_camvid_segnet, "camvid15", ("val",)),
    ],
)
def test_a_data_set_knows_its_splits(tmp_path, write, name, splits):
    assert open_dataset(name, write(tmp_path)).splits == splits


@pytest.mark.parametrize(
    ("write", "name"), [(write_apolloscape, "apolloscape"), (write_own_video, "own")]
)
def test_a_shrunk_copy_is_the_data_set_in_small(tmp_path, write, name, capsys):
    root, out = write(tmp_path / "data"), tmp_path / "small"
    words = ["data", "shrink", str(root), "--width", "24", "--out", str(out)]
    assert main(words) == 0
    assert "pictures no wider than 24 pixels" in capsys.readouterr().out
    large, small = (open_dataset(name, r).load_videos("train") for r in (root, out))
    assert [v.name for v in small] == [v.name for v in large]
    frame = small[0].frames[0]
    assert read_image(frame.image_path).shape == (20, 24, 3)
    label, whole = frame.read_label(), large[0].frames[0].read_label()
    assert (label == whole[1::2, 1::2]).all() or (label == whole[::2, ::2]).all()
    assert main([*words[:4], "32", *words[5:]]) == 2  # another width
    assert "choose another folder" in capsys.readouterr().err
    assert main([*words[:-1], str(root / "inside")]) == 2
    assert "lies in the data set" in capsys.readouterr().err


def test_the_mapping_tables_are_printed(capsys):
    assert main(["data", "classes", "kitti360"]) == 0
    lines = [line.split(None, 1) for line in capsys.readouterr().out.splitlines()]
    assert ["7", "road                   road"] in lines and len(lines) == 45
    assert main(["data", "classes", "camvid15"]) == 0
    out = capsys.readouterr().out
    assert "(64, 192, 0)  Wall                   wall" in out and "0 sky, 1 building" in out


def test_corrupted_images_on_disk_are_those_made_on_the_fly(tmp_path, capsys):
    root, out = write_own_video(tmp_path / "data"), tmp_path / "weather"
    rng = np.random.default_rng(0)
    (video,) = open_dataset("own", root).load_videos("train")
    for frame in video.frames:
        Image.fromarray(rng.integers(0, 255, (40, 48, 3), np.uint8)).save(frame.image_path)
    words = ["data", "corrupt", str(root), "--data", "own", "--corruption", "snow"]
    assert main([*words, "--out", str(out), "--severity", "2"]) == 0
    assert "severity 2, numpy.random.seed(" in capsys.readouterr().out
    for frame in video.frames:
        stored = read_image(corrupted_path(out, "snow", root, frame.image_path))
        made = corrupt(read_image(frame.image_path), Weather("snow", 2), frame.video, frame.number)
        np.testing.assert_array_equal(stored, made)
    check_record(out / "snow", Weather("snow", 2))
    assert main([*words, "--out", str(out)]) == 2  # severity 3 does not go into the same folder
    assert "'severity': 2" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match=r"weather\.json is missing"):
        check_record(out, Weather("snow", 2))


def test_an_image_beside_a_label_of_no_frame_is_found_before_reading(tmp_path):
    root = write_own_video(tmp_path)
    write_image(root / "train" / "images" / "hall_000009.jpg")
    with pytest.raises(FileNotFoundError, match="hall_000009 and unlabelled.txt disagree"):
        check(root, "own")


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_cityscapes, "cityscapes"),
        (write_kitti360, "kitti360"),
        (write_apolloscape, "apolloscape"),
        (write_own_video, "own"),
        (brightness_videos, "camvid"),
        (write_camvid_full, "camvid"),
        (write_camvid_segnet, "camvid"),
    ],
)
def test_a_layout_is_recognised(tmp_path, write, name):
    write(tmp_path / "data")
    assert recognise(tmp_path / "data") == name
    with pytest.raises(FileNotFoundError, match=f"one folder deeper: give {tmp_path / 'data'}$"):
        recognise(tmp_path)
    with pytest.raises(FileNotFoundError, match="has none of .*classes.txt"):
        recognise(tmp_path / "data" / "nothing")


def test_the_speed_of_loading_is_measured(tmp_path, capsys):
    root = write_own_video(tmp_path / "data")
    config = small_config()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(plain(config.as_mapping())))
    words = ["data", "bench", str(root), "--config", str(tmp_path / "config.yaml")]
    words += ["--set", "train.strides=[1]", "--clips", "2", "--workers", "0", "1"]
    assert main([*words, "--distort-on-device"]) == 2
    assert "expected train.distortion photometric, got harsh" in capsys.readouterr().err
    assert main([*words, "--formats", "as it is", "png-shards"]) == 0
    _, head, *lines, needed = capsys.readouterr().out.splitlines()
    assert head.split() == ["format", "0", "workers", "1", "workers"]
    assert [line[:14].strip() for line in lines] == ["as it is", "png-shards"]
    assert all(float(rate) > 0 for line in lines for rate in line[14:].split())
    assert len(lines[0][14:].split()) == 2
    assert re.search(r"an H100 at 40 % of its peak takes \d+ frames/s, \d+ such workers$", needed)

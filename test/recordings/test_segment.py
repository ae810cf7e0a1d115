# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g segment` on an image, a folder and a video file."""

from __future__ import annotations

import io
import json
import re

import av
import numpy as np
import pytest
from PIL import Image
from small_checkpoint import write_vit_s_checkpoint

from t2g_core.cli import main
from t2g_core.recordings.pictures import Mp4Writer
from t2g_core.recordings.segment_path import ClassShares


def picture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    write_vit_s_checkpoint(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Three images whose names do not sort as their numbers do."""
    path = tmp_path / "drive"
    path.mkdir()
    for number in (2, 9, 10):
        Image.fromarray(picture(number)).save(path / f"f{number}.png")
    return path


def segment(capsys, *words) -> dict:
    capsys.readouterr()
    assert main(["segment", "--json", *map(str, words)]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_folder_gives_a_mask_an_image_a_video_and_figures(folder, checkpoint, capsys):
    report = segment(capsys, folder, "--checkpoint", checkpoint, "--rate", 10)
    out = folder.parent / "drive_t2g"
    assert sorted(path.name for path in (out / "masks").iterdir()) == [
        "f10.png",
        "f2.png",
        "f9.png",
    ]
    assert (out / "segmentation.mp4").stat().st_size > 500 and (out / "timeline.png").is_file()
    assert json.loads((out / "report.json").read_text()) == report
    assert (report["frames_sent"], report["masks_received"]) == (3, 3)
    assert sum(report["classes"].values()) == pytest.approx(100, abs=0.1)
    mask = Image.open(out / "masks" / "f2.png")
    assert mask.mode == "P" and mask.size == (64, 48) and np.asarray(mask).max() < 11


def test_one_image_gives_its_overlay_and_lines_for_people(folder, checkpoint, tmp_path, capsys):
    out = tmp_path / "one"
    words = ["segment", str(folder / "f2.png"), "--checkpoint", str(checkpoint), "--out", str(out)]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "frames sent 1, masks 1" in text and "percent of the pixels: " in text
    assert {path.name for path in out.iterdir()} == {"masks", "overlay.png", "report.json"}
    assert Image.open(out / "overlay.png").size == (64, 48)


def test_a_video_file_and_its_first_frames(checkpoint, tmp_path, capsys):
    path = tmp_path / "drive.mp4"
    with Mp4Writer(path, 30.0) as video:
        for k in range(4):
            video.write(picture(k))
    report = segment(capsys, path, "--checkpoint", checkpoint, "--frames", 2)
    assert report["masks_received"] == 2
    names = sorted(p.name for p in (tmp_path / "drive_t2g" / "masks").iterdir())
    assert names == ["000000.png", "000001.png"]
    with av.open(str(tmp_path / "drive_t2g" / "segmentation.mp4")) as result:
        assert result.streams.video[0].average_rate == 30  # as the video, not as a folder's default


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["absent.png"], "no such clip: .*absent.png"),
        (["empty"], "no image .* in"),
        (["f.png", "--frames", "0"], "--frames: expected at least 1, got 0"),
        (["torn.png"], "torn.png"),
    ],
)
def test_what_cannot_be_segmented_is_named(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n")
    assert main(["segment", *words]) == 2
    assert re.search(sentence, capsys.readouterr().err)


def test_class_shares_by_hand():
    shares = ClassShares(("a", "b", "c"))
    shares.update(np.array([[0, 2, 2, 2]], np.uint8))
    assert shares.compute() == {"c": 75.0, "a": 25.0, "b": 0.0}
    assert list(shares.compute()) == ["c", "a", "b"]


def test_several_paths_have_a_folder_each_and_what_fails_is_listed(
    folder, checkpoint, tmp_path, capsys, monkeypatch
):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    single = tmp_path / "single.png"
    Image.fromarray(picture(5)).save(single)
    out, words = tmp_path / "all", ["--checkpoint", str(checkpoint), "--rate", "10"]
    words += ["--out", str(out)]
    capsys.readouterr()
    assert main(["segment", str(folder), str(broken), str(single), *words]) == 1
    told = capsys.readouterr()
    lines = told.out.splitlines()[1:]
    assert [line.split()[-1].rpartition("/")[2] for line in (lines[0], lines[2])] == [
        "drive",
        "single.png",
    ]
    assert "failed" in lines[1] and "cannot read" in lines[1]
    assert "1 of 3 paths failed" in told.err
    assert (out / "drive_t2g" / "report.html").is_file()
    assert (out / "single_t2g" / "overlay.png").is_file()

    # Called again, by a list on standard input: what is there stays as it is, what failed is tried.
    before = (out / "drive_t2g" / "report.json").stat().st_mtime_ns
    with Mp4Writer(broken, 10.0) as video:
        video.write(picture(1))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{folder}\n\n{broken}\n{folder}\n"))
    assert main(["segment", "-", "--json", *words]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [report["state"] for report in reports] == ["was there", "done"]
    assert (out / "drive_t2g" / "report.json").stat().st_mtime_ns == before

    # Other settings are other results.
    assert main(["segment", str(folder), str(broken), "--json", "--frames", "2", *words]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [(r["state"], r["frames_sent"]) for r in reports] == [("done", 2), ("done", 1)]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert main(["segment", "-", *words]) == 2
    assert "an empty list" in capsys.readouterr().err

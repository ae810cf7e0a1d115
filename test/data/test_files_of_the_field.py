# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Folders and text files from other systems and other people."""

from __future__ import annotations

import pytest
from dataset_trees import (
    write_apolloscape,
    write_camvid_segnet,
    write_cityscapes,
    write_ids,
    write_image,
    write_kitti360,
    write_own_video,
)

from t2g_core.config import load_config
from t2g_core.data.datasets import open_dataset
from t2g_core.data.own_video import load_own_video, read_classes
from t2g_core.data.shrunk_copy import write_shrunk
from t2g_core.recordings.clip_source import image_files, open_clip
from t2g_core.recordings.result_folder import default_folder

TREES = {
    "camvid": (write_camvid_segnet, "val"),
    "cityscapes": (write_cityscapes, "val"),
    "kitti360": (write_kitti360, "train"),
    "apolloscape": (write_apolloscape, "train"),
    "own": (write_own_video, "train"),
}


@pytest.mark.parametrize("name", TREES)
def test_dot_files_are_in_no_listing(tmp_path, name):
    """macOS leaves a `._x.jpg` beside each `x.jpg` on a stick, and `.DS_Store`."""
    write, split = TREES[name]
    root = write(tmp_path / "data")
    expected = [f.image_path for v in open_dataset(name, root).load_videos(split) for f in v.frames]
    for path in [*root.rglob("*")]:
        if path.is_file():
            path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
        else:
            (path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (root / ".Trash-1000" / "images").mkdir(parents=True)
    dataset = open_dataset(name, root)
    videos = dataset.load_videos(split)
    assert [f.image_path for v in videos for f in v.frames] == expected
    assert not any(split.startswith(".") for split in dataset.splits)
    write_shrunk(videos, root, tmp_path / "small", 24)
    assert not list((tmp_path / "small").rglob("._*"))
    assert all(not f.name.startswith(".") for f in image_files(expected[0].parent))


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-8"])
def test_windows_text_is_read_without_its_mark(tmp_path, mark):
    root = write_own_video(tmp_path / "data")
    (root / "classes.txt").write_bytes("sky\r\nStraße 1 2 3\r\n".encode(mark))
    (root / "rate_hz.txt").write_bytes("10\r\n".encode(mark))
    (root / "train" / "unlabelled.txt").write_bytes("hall_000002\r\n".encode(mark))
    assert list(read_classes(root)) == ["sky", "Straße"]
    (video,) = load_own_video(root, "train")
    assert video.rate_hz == 10 and video.labelled == (0, 1, 3)


@pytest.mark.parametrize("name", ["classes.txt", "rate_hz.txt", "train/unlabelled.txt"])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_another_encoding_names_file_and_remedy(tmp_path, name, encoding):
    root = write_own_video(tmp_path / "data")
    (root / name).write_bytes("Straße\nWeg\n".encode(encoding))
    with pytest.raises(ValueError, match=rf"{name}: byte \d+ is not UTF-8; save the file as UTF-8"):
        read_classes(root)
        load_own_video(root, "train")


def test_a_config_from_windows_is_read(tmp_path):
    import yaml
    from small_model import small_config

    text = yaml.safe_dump(small_config("conv").as_mapping())
    (tmp_path / "config.yaml").write_bytes(text.encode("utf-8-sig"))
    assert load_config(tmp_path / "config.yaml") == small_config("conv")
    (tmp_path / "config.yaml").write_bytes("# Größe\n".encode("cp1252") + text.encode())
    with pytest.raises(ValueError, match=r"config\.yaml: byte 4 is not UTF-8"):
        load_config(tmp_path / "config.yaml")


def test_names_may_hold_spaces(tmp_path):
    root = write_own_video(tmp_path / "data")
    for folder in ("images", "labels"):
        for path in (root / "train" / folder).iterdir():
            path.rename(path.with_name(path.name.replace("hall_", "große Halle 2_")))
    (root / "train" / "unlabelled.txt").write_text("große Halle 2_000002\n\n", encoding="utf-8")
    (video,) = load_own_video(root, "train")
    assert video.labelled == (0, 1, 3) and video.frames[0].video == "große Halle 2"


def test_two_pictures_of_one_name_are_refused(tmp_path):
    root = write_own_video(tmp_path / "data", unlabelled=())
    write_image(root / "train" / "images" / "hall_000001.png")
    both = r"hall_000001\.jpg and hall_000001\.png differ only in their suffix"
    with pytest.raises(ValueError, match=both):
        load_own_video(root, "train")
    with pytest.raises(ValueError, match=both):
        open_clip(root / "train" / "images", 10.0)
    camvid = write_camvid_segnet(tmp_path / "camvid")
    image = next(f for f in (camvid / "val").iterdir() if f.suffix == ".png")
    write_ids(image.with_suffix(".jpg"), 1, 1)
    with pytest.raises(ValueError, match="differ only in their suffix"):
        open_dataset("camvid", camvid).load_videos("val")


def test_results_go_to_a_folder_of_their_own(tmp_path):
    for name in ("drive.2024-05-01", "drive.2024-05-02"):
        (tmp_path / name).mkdir()
    folders = [default_folder(path) for path in sorted(tmp_path.iterdir())]
    assert [f.name for f in folders] == ["drive.2024-05-01_t2g", "drive.2024-05-02_t2g"]
    (tmp_path / "x_t2g").mkdir()
    (tmp_path / "x_t2g" / "report.json").write_text(f'{{"path": "{tmp_path / "x.mp4"}"}}')
    (tmp_path / "x.mp4").write_bytes(b"")
    (tmp_path / "x.mkv").write_bytes(b"")
    assert default_folder(tmp_path / "x.mp4").name == "x_t2g"
    with pytest.raises(ValueError, match=r"x_t2g holds the results of .*x\.mp4; name another"):
        default_folder(tmp_path / "x.mkv")

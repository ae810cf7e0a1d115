# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The CamVid loader on small trees that the tests write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from t2g_core.data.camvid import FULL_RELEASE, load_camvid, read_label
from t2g_core.data.datasets import open_dataset
from t2g_core.images.files import read_image
from t2g_core.labels import CAMVID_CLASSES, IGNORE_INDEX


def write_pair(root: Path, split: str, stem: str, label: np.ndarray, label_stem: str = "") -> None:
    """Write an image (grey by its label's size) and its label."""
    for folder in ("images", "labels"):
        (root / split / folder).mkdir(parents=True, exist_ok=True)
    grey = np.full((*label.shape[:2], 3), 90, np.uint8)
    Image.fromarray(grey).save(root / split / "images" / f"{stem}.jpg")
    Image.fromarray(label).save(root / split / "labels" / f"{label_stem or stem}.png")


def index_label(value: int = 3) -> np.ndarray:
    return np.full((6, 8), value, np.uint8)


def test_frames_are_sorted_by_number_and_recordings_stay_apart(tmp_path):
    for stem in ("B_f00060", "B_f00030", "A_000100", "A_000102", "A_000104", "B_f00090"):
        write_pair(tmp_path, "val", stem, index_label())
    videos = load_camvid(tmp_path, "val")
    assert [video.name for video in videos] == ["A_00100-00104", "B_00030-00090"]
    assert [video.rate_hz for video in videos] == [15.0, 1.0]
    assert [frame.number for frame in videos[1].frames] == [30, 60, 90]
    assert {frame.video for frame in videos[1].frames} == {"B"}
    frame = videos[0].frames[0]
    assert frame.image_path.name == "A_000100.jpg" and frame.label_path.name == "A_000100.png"


@pytest.mark.parametrize(
    ("split", "wanted"), [("val:A", "AA"), ("val:-A", "BC"), ("val:C,B", "BC"), ("val", "AABC")]
)
def test_recordings_of_a_split_are_chosen_by_name(split, wanted, tmp_path):
    for stem in ("A_000000", "A_000002", "A_000900", "B_000000", "C_000030"):
        write_pair(tmp_path, "val", stem, index_label())
    videos = open_dataset("camvid", tmp_path).load_videos(split)
    assert "".join(video.frames[0].video for video in videos) == wanted


@pytest.mark.parametrize("split", ["val:D", "val:-A,B", "val:-D", "val:A,"])
def test_an_unknown_recording_or_none_at_all_names_those_that_are_there(split, tmp_path):
    for stem in ("A_000000", "B_000000"):
        write_pair(tmp_path, "val", stem, index_label())
    with pytest.raises(ValueError, match="has the recordings A, B, got"):
        open_dataset("camvid", tmp_path).load_videos(split)


def test_a_gap_cuts_the_recording(tmp_path):
    for number in (0, 30, 60, 330, 360, 2310):
        write_pair(tmp_path, "train", f"S_{number:06d}", index_label())
    videos = load_camvid(tmp_path, "train")
    numbers = [[frame.number for frame in video.frames] for video in videos]
    assert numbers == [[0, 30, 60], [330, 360], [2310]]
    assert [video.rate_hz for video in videos] == [1.0, 1.0, 1.0]
    assert len({video.name for video in videos}) == 3


def test_frames_are_a_step_of_their_videos_rate_apart(tmp_path):
    for number in (10, 12, 14, 16):
        write_pair(tmp_path, "val", f"S_{number:05d}", index_label())
    (video,) = load_camvid(tmp_path, "val")  # numbers count at 30 Hz
    assert video.step_s == pytest.approx(1 / 15)
    assert video.every(2).step_s == pytest.approx(2 / 15)
    assert replace(video, frames=video.frames[:1], rate_hz=0.0).step_s == 0.0


def test_of_equally_common_steps_the_smallest_is_the_rate(tmp_path):
    for number in (0, 300, 330):
        write_pair(tmp_path, "train", f"S_{number}", index_label())
    assert [len(video.frames) for video in load_camvid(tmp_path, "train")] == [1, 2]


def test_a_single_frame_has_no_rate(tmp_path):
    write_pair(tmp_path, "val", "S_000001", index_label())
    (video,) = load_camvid(tmp_path, "val")
    assert video.rate_hz == 0.0 and len(video.frames) == 1


def test_index_labels_keep_their_ids_and_both_voids_become_the_ignore_index(tmp_path):
    label = np.array([[0, 5, 10], [11, 255, 3]], np.uint8)
    write_pair(tmp_path, "val", "S_1", label)
    (video,) = load_camvid(tmp_path, "val")
    read = read_label(video.frames[0].label_path)
    assert read.dtype == np.uint8
    assert read.tolist() == [[0, 5, 10], [IGNORE_INDEX, IGNORE_INDEX, 3]]


def test_a_palette_png_is_read_by_its_ids(tmp_path):
    picture = Image.fromarray(np.array([[0, 8]], np.uint8), mode="P")
    picture.putpalette([9] * 768)
    picture.save(tmp_path / "label.png")
    assert read_label(tmp_path / "label.png").tolist() == [[0, 8]]


def test_colour_labels_of_the_full_release_are_mapped_by_class_name(tmp_path):
    label = np.array([[colour for colour, _ in FULL_RELEASE.values()]], np.uint8)  # (1, 32, 3)
    write_pair(tmp_path, "val", "0006R0_f01290", label, label_stem="0006R0_f01290_L")
    (video,) = load_camvid(tmp_path, "val")
    ids = read_label(video.frames[0].label_path)[0]
    names = {
        source: "void" if i == IGNORE_INDEX else CAMVID_CLASSES[i]
        for source, i in zip(FULL_RELEASE, ids, strict=True)
    }
    assert len(names) == 32
    assert names["Void"] == "void" and names["Wall"] == "building"  # not the reverse
    assert names["LaneMkgsDriv"] == "road" and names["Column_Pole"] == "pole"
    assert names["TrafficLight"] == "traffic sign" and names["MotorcycleScooter"] == "rider"
    assert set(names.values()) == {*CAMVID_CLASSES, "void"}


def test_an_image_comes_back_as_rgb(tmp_path):
    Image.new("RGB", (4, 2), (200, 10, 30)).save(tmp_path / "image.png")
    Image.new("L", (4, 2), 7).save(tmp_path / "grey.png")
    image = read_image(tmp_path / "image.png")
    assert image.shape == (2, 4, 3) and image.dtype == np.uint8
    assert image[0, 0].tolist() == [200, 10, 30]
    assert read_image(tmp_path / "grey.png")[1, 3].tolist() == [7, 7, 7]


def test_a_missing_split_names_the_folder_and_the_layout(tmp_path):
    write_pair(tmp_path, "train", "S_1", index_label())
    with pytest.raises(FileNotFoundError, match=r"val.images is not a folder.*SPLIT/images"):
        load_camvid(tmp_path, "val")


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "val" / "images").mkdir(parents=True)
    (tmp_path / "val" / "labels").mkdir()
    with pytest.raises(FileNotFoundError, match=r"val.images holds no \.jpg"):
        load_camvid(tmp_path, "val")


@pytest.mark.parametrize(
    ("removed", "wanted"), [("labels/S_2.png", "label"), ("images/S_2.jpg", "image")]
)
def test_a_file_without_its_partner_is_named(tmp_path, removed, wanted):
    for stem in ("S_1", "S_2"):
        write_pair(tmp_path, "val", stem, index_label())
    (tmp_path / "val" / removed).unlink()
    with pytest.raises(FileNotFoundError, match=rf"S_2\.\w+ has no {wanted}"):
        load_camvid(tmp_path, "val")


def test_a_name_that_is_no_sequence_and_frame_is_named(tmp_path):
    write_pair(tmp_path, "val", "holiday", index_label())
    with pytest.raises(ValueError, match=r"holiday\.jpg.*SEQUENCE_FRAME"):
        load_camvid(tmp_path, "val")


def test_a_frame_that_occurs_twice_is_named(tmp_path):
    write_pair(tmp_path, "val", "S_1", index_label())
    write_pair(tmp_path, "val", "S_01", index_label())
    with pytest.raises(ValueError, match="frame 1 of S occurs twice"):
        load_camvid(tmp_path, "val")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_truncated_file_is_named(tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for read in (read_image, read_label):
        with pytest.raises(ValueError, match=rf"cut\{suffix} is not a whole picture.*copy"):
            read(path)


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(ValueError, match=r"text\.png"):
        read_label(tmp_path / "text.png")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        read_image(tmp_path / "none.png")


def test_an_id_outside_the_table_is_void_and_said_once(tmp_path, caplog):
    for name in ("first.png", "second.png"):
        Image.fromarray(np.array([[0, 1, 12, 3, 33]], np.uint8)).save(tmp_path / name)
        assert read_label(tmp_path / name).tolist() == [[0, 1, 255, 3, 255]]
    assert caplog.text.count("ids [12, 33] are in no class table and count as void") == 1
    assert "2 of 5 pixels of" in caplog.text and "first.png" in caplog.text
    Image.fromarray(np.array([[0, 12, 33]], np.uint8)).save(tmp_path / "label.png")
    with pytest.raises(ValueError, match=r"label\.png holds ids \[12, 33\] in 2 of 3 pixels"):
        read_label(tmp_path / "label.png")


def test_a_stray_colour_is_void_and_said_once(tmp_path, caplog):
    colours = np.array([[(128, 0, 0), (129, 0, 0), (128, 0, 0)]], np.uint8)
    Image.fromarray(colours).save(tmp_path / "stray.png")
    assert read_label(tmp_path / "stray.png").tolist() == [[1, 255, 1]]
    assert "colours such as (129, 0, 0) are in no class table" in caplog.text
    colours[0, 2] = 255
    Image.fromarray(colours).save(tmp_path / "label.png")
    with pytest.raises(ValueError, match=r"such as \(129, 0, 0\) in 2 of 3 pixels.*lossless"):
        read_label(tmp_path / "label.png")


def test_a_label_of_another_depth_is_refused(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "label.png")
    with pytest.raises(ValueError, match="I;16"):
        read_label(tmp_path / "label.png")

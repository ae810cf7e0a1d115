# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Every loader on a small tree in its real layout, whole and with the faults of real copies."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
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

from t2g_core.data.class_tables import FIFTEEN_CLASSES
from t2g_core.data.datasets import NAMES, open_dataset
from t2g_core.labels import IGNORE_INDEX

WRITERS = {
    "cityscapes": (write_cityscapes, "val"),
    "kitti360": (write_kitti360, "train"),
    "apolloscape": (write_apolloscape, "train"),
    "own": (write_own_video, "train"),
}


def load(name, root, split=None):
    return open_dataset(name, root).load_videos(split or WRITERS[name][1])


def names_in(frame) -> set[str]:
    return {FIFTEEN_CLASSES[i] for i in np.unique(frame.read_label()) if i != IGNORE_INDEX}


def test_cityscapes_snippets_have_thirty_frames_and_label_the_twentieth(tmp_path):
    videos = load("cityscapes", write_cityscapes(tmp_path))
    assert [v.name for v in videos] == ["frankfurt_000000_000294", "munster_000003_000019"]
    for video in videos:
        assert (len(video.frames), video.labelled, video.rate_hz) == (30, (19,), 17.0)
    assert [videos[0].frames[i].number for i in (0, 19, 29)] == [275, 294, 304]
    assert names_in(videos[0].frames[19]) == {"sky", "road"}
    blank = videos[0].frames[0].read_label()
    assert blank.shape == (40, 48) and (blank == IGNORE_INDEX).all()


def test_kitti360_is_cut_where_its_list_leaves_frames_out(tmp_path):
    videos = load("kitti360", write_kitti360(tmp_path))
    assert [[f.number for f in v.frames] for v in videos] == [[250, 251, 252], [300, 301]]
    assert names_in(videos[0].frames[0]) == {"building", "road"} and videos[0].rate_hz == 10.0


def test_kitti360_labels_of_2021_have_no_folder_of_the_camera(tmp_path):
    root = write_kitti360(tmp_path)
    (camera,) = root.glob("data_2d_semantics/train/*_sync/image_00")
    (camera / "semantic").rename(camera.parent / "semantic")
    camera.rmdir()
    frame = load("kitti360", root)[0].frames[0]
    assert frame.label_path.parent.parent.name.endswith("_sync")
    assert names_in(frame) == {"building", "road"}


def test_kitti360_frames_of_both_splits_are_of_val(tmp_path, caplog):
    root = write_kitti360(tmp_path, "train", (250, 251, 252, 253))
    write_kitti360(tmp_path, "val", (252, 253, 254))
    (video,) = load("kitti360", root, "train")
    assert [f.number for f in video.frames] == [250, 251]
    assert "2 frames of train that val has too are left out" in caplog.text
    assert [f.number for f in load("kitti360", root, "val")[0].frames] == [252, 253, 254]


def test_a_split_without_a_frame_of_its_own_is_named(tmp_path):
    root = write_kitti360(tmp_path, "train", (250, 251))
    write_kitti360(tmp_path, "val", (250, 251))
    with pytest.raises(ValueError, match="split train of kitti360 has no frame of its own"):
        load("kitti360", root, "train")


@pytest.mark.parametrize("name", ["kitti360", "apolloscape"])
def test_a_line_that_a_list_repeats_is_named(name, tmp_path):
    root = WRITERS[name][0](tmp_path)
    listed = next(path for path in root.rglob("*train*") if path.suffix in (".txt", ".lst"))
    listed.write_text(2 * listed.read_text())
    with pytest.raises(ValueError, match=f"{listed.name} lists .* more than once.*sort -u"):
        load(name, root)


def test_apolloscape_lists_beside_the_roads_and_a_renamed_camera(tmp_path):
    root = write_apolloscape(tmp_path)
    lists = root / "public_image_lists"
    (lists / "road02_ins_train.lst").rename(root / "road02_ins_train.lst")
    lists.rmdir()
    for kind in ("ColorImage", "Label"):
        record = root / "road02_ins" / kind / "Record001"
        (record / "Camera 5").rename(record / "Camera_5")
    videos = load("apolloscape", root)
    assert [[f.number for f in v.frames] for v in videos] == [[0, 1], [3, 4]]
    assert videos[0].frames[0].video == "road02_ins_Record001_Camera5"
    assert names_in(videos[0].frames[0]) == {"truck & bus", "road"}


def test_apolloscape_takes_one_camera_and_ends_a_video_where_the_car_stands(tmp_path):
    root = write_apolloscape(tmp_path)
    road = root / "road02_ins"
    for folder, stem in (
        ("Camera 5", "170927_063829000_Camera_5"),
        ("Camera 6", "170927_063812000_Camera_6"),
    ):
        write_image(road / "ColorImage" / "Record001" / folder / f"{stem}.jpg")
        write_ids(road / "Label" / "Record001" / folder / f"{stem}_bin.png", 17, 49)
    videos = load("apolloscape", root, "all")
    assert [[f.number for f in v.frames] for v in videos] == [[0, 1, 2, 3, 4], [6]]
    assert {f.video for v in videos for f in v.frames} == {"road02_ins_Record001_Camera5"}


def test_apolloscapes_second_camera_in_a_list_is_left_out_and_counted(tmp_path, caplog):
    root = write_apolloscape(tmp_path)
    image = "road02_ins/ColorImage/Record001/Camera 6/170927_063812000_Camera_6.jpg"
    listed = root / "public_image_lists" / "road02_ins_train.lst"
    label = image.replace("ColorImage", "Label").replace(".jpg", "_bin.png")
    listed.write_text(f"{listed.read_text()}{image}\t{label}\n")
    videos = load("apolloscape", root)
    assert [[f.number for f in v.frames] for v in videos] == [[0, 1], [3, 4]]
    assert "road02_ins: 1 of 5 frames are of the other camera" in caplog.text


def test_apolloscapes_lane_labels_are_refused(tmp_path):
    frame = load("apolloscape", write_apolloscape(tmp_path))[0].frames[0]
    Image.new("RGB", (48, 40), (70, 130, 180)).save(frame.label_path)
    with pytest.raises(ValueError, match=r"_bin\.png: expected an 8-bit picture of ids, .* RGB"):
        frame.read_label()


def test_own_classes_may_have_colours(tmp_path):
    root = write_own_video(tmp_path)
    (root / "classes.txt").write_text("floor\nhigh shelf 12 200 0\n")
    dataset = open_dataset("own", root)
    assert dataset.class_names == ("floor", "high shelf") and dataset.palette[1] == (12, 200, 0)
    (root / "classes.txt").write_text("floor\nhigh shelf 12 256 0\n")
    with pytest.raises(ValueError, match=r"classes\.txt: expected a name and three .*12 256 0"):
        open_dataset("own", root)


@pytest.mark.parametrize("name", WRITERS)
def test_data_one_folder_too_deep_is_found_and_named(name, tmp_path):
    root = WRITERS[name][0](tmp_path / "unpacked")
    with pytest.raises(FileNotFoundError, match=f"one folder deeper: give {root}$"):
        open_dataset(name, tmp_path)


def test_apolloscape_numbers_count_all_frames_of_the_record(tmp_path):
    videos = load("apolloscape", write_apolloscape(tmp_path))
    assert [[f.number for f in v.frames] for v in videos] == [[0, 1], [3, 4]]
    assert videos[0].rate_hz == pytest.approx(2.0)
    assert videos[0].frames[0].video == "road02_ins_Record001_Camera5"
    assert names_in(videos[0].frames[0]) == {"truck & bus", "road"}
    (whole,) = load("apolloscape", tmp_path, "all")
    assert [f.number for f in whole.frames] == [0, 1, 2, 3, 4]


def test_apolloscape_seg_roads_have_no_list(tmp_path):
    root = write_apolloscape(tmp_path, road="road03_seg")
    with pytest.raises(FileNotFoundError, match="only roads that have no lists .*; use split all"):
        load("apolloscape", root)
    assert len(load("apolloscape", root, "all")[0].frames) == 5


def test_own_video_brings_its_classes_its_rate_and_frames_without_label(tmp_path):
    dataset = open_dataset("own", write_own_video(tmp_path))
    (video,) = dataset.load_videos("train")
    assert dataset.class_names == ("floor", "shelf")
    assert (video.rate_hz, video.labelled) == (10.0, (0, 1, 3))
    assert np.unique(video.frames[0].read_label()).tolist() == [1, IGNORE_INDEX]
    assert pickle.loads(pickle.dumps(video)).frames[0].read_label().max() == IGNORE_INDEX


def test_camvid15_takes_both_releases_by_name(tmp_path):
    for stem, label in (
        ("S_1", np.array([[0, 3, 10, 11]], np.uint8)),  # sky road rider void
        ("S_2", np.array([[(64, 192, 0), (0, 0, 0), (192, 128, 192), (64, 128, 64)]], np.uint8)),
    ):
        write_image(tmp_path / "val" / "images" / f"{stem}.png")
        (tmp_path / "val" / "labels").mkdir(exist_ok=True)
        Image.fromarray(label).save(tmp_path / "val" / "labels" / f"{stem}.png")
    (video,) = load("camvid15", tmp_path, "val")
    first, second = (frame.read_label()[0].tolist() for frame in video.frames)
    assert first == [9, 0, 11, IGNORE_INDEX]
    assert second == [3, IGNORE_INDEX, 13, IGNORE_INDEX]  # Wall, Void, Truck_Bus, Animal


def test_the_merged_variant_knows_paint_vans_and_children(tmp_path):
    """LaneMkgsDriv, SUVPickupTruck, Child, and Misc_Text, which is void in both."""
    colours = [(128, 0, 192), (64, 128, 192), (192, 128, 64), (128, 128, 64)]
    write_camvid_full(tmp_path, stems=("0016E5_07959",))
    label = tmp_path / "LabeledApproved_full" / "0016E5_07959_L.png"
    Image.fromarray(np.array([colours], np.uint8)).save(label)
    found = {}
    for name in ("camvid15", "camvid15_merged"):
        (video,) = load(name, tmp_path, "val")
        found[name] = video.frames[0].read_label()[0].tolist()
    road, car, person = (FIFTEEN_CLASSES.index(n) for n in ("road", "car", "person"))
    assert found["camvid15"] == [IGNORE_INDEX] * 4
    assert found["camvid15_merged"] == [road, car, person, IGNORE_INDEX]


def test_the_frame_whose_label_is_wrong_is_left_out(tmp_path, caplog):
    stems = tuple(f"Seq05VD_f{n:05d}" for n in (2550, 2580, 2610, 2640, 2670))
    videos = load("camvid15", write_camvid_full(tmp_path, stems), "test")
    assert [[f.number for f in v.frames] for v in videos] == [[2550, 2580], [2640, 2670]]
    assert "Seq05VD_f02610.png is left out: its label is wrong" in caplog.text


def test_camvids_full_release_has_segnets_splits(tmp_path):
    root = write_camvid_full(tmp_path)
    videos = {split: load("camvid15", root, split) for split in ("train", "val", "test")}
    numbers = {s: [[f.number for f in v.frames] for v in found] for s, found in videos.items()}
    assert numbers["train"] == [[930], [810, 840, 870, 901, 930], [4350]]  # 901 is on no grid of 30
    assert numbers["val"] == [[7959, 7961, 7963]] and videos["val"][0].rate_hz == 15.0
    assert numbers["test"] == [[0]] and videos["test"][0].frames[0].video == "Seq05VD"
    assert names_in(videos["val"][0].frames[0]) == {"wall", "road"}
    with pytest.raises(ValueError, match="splits train, val, test, got 'trainval'"):
        load("camvid", root, "trainval")
    (root / "LabeledApproved_full" / "0016E5_07961_L.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"07961\.png has no label .*LabeledApproved_full"):
        load("camvid", root, "val")


def test_camvids_eleven_class_release_is_read_as_it_unpacks(tmp_path):
    (video,) = load("camvid", write_camvid_segnet(tmp_path), "val")
    assert [f.number for f in video.frames] == [7959, 7961]
    assert np.unique(video.frames[0].read_label()).tolist() == [0, 3]


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "cityscapes"])
def test_a_missing_image_is_named(name, tmp_path):
    root = WRITERS[name][0](tmp_path)
    frame = load(name, root)[0].frames[1]
    frame.image_path.unlink()
    # the loader of one's own video cannot know of the image, but sees its label left alone
    known = frame.label_path if name == "own" else frame.image_path
    with pytest.raises(FileNotFoundError, match=known.name.replace(".", r"\.") + ".*;"):
        load(name, root)


def test_a_cityscapes_snippet_that_is_not_whole_is_as_long_as_it_has_no_hole(tmp_path, caplog):
    root = write_cityscapes(tmp_path)
    whole, _ = load("cityscapes", root)
    for number in (0, 1, 25):
        whole.frames[number].image_path.unlink()
    video, other = load("cityscapes", root)
    assert [f.number for f in video.frames] == [f.number for f in whole.frames[2:25]]
    assert video.labelled == (17,) and len(other.frames) == 30
    assert "1 of 1 snippets in" in caplog.text and "fewer than 30 frames" in caplog.text
    whole.frames[19].image_path.unlink()
    with pytest.raises(FileNotFoundError, match="frankfurt_000000_000294_leftImg8bit.*again"):
        load("cityscapes", root)


def test_apolloscape_frames_without_a_label_are_left_out_and_counted(tmp_path, caplog):
    root = write_apolloscape(tmp_path)
    frames = [f for video in load("apolloscape", root, "all") for f in video.frames]
    frames[1].label_path.unlink()
    found = [f for video in load("apolloscape", root, "all") for f in video.frames]
    assert [f.image_path for f in found] == [f.image_path for f in frames if f != frames[1]]
    assert f"1 of {len(frames)} frames have no label and are left out" in caplog.text


def test_a_road_of_apolloscape_without_a_list_is_left_to_the_others(tmp_path, caplog):
    root = write_apolloscape(tmp_path)
    listed = load("apolloscape", root)
    write_apolloscape(root, road="road04_ins")
    for path in root.glob("**/road04_ins_*.lst"):
        path.unlink()
    assert load("apolloscape", root) == listed
    assert "road04_ins has no list and is in no split but `all`" in caplog.text


@pytest.mark.parametrize("name", ["kitti360", "own"])
def test_a_missing_label_is_named(name, tmp_path):
    root = WRITERS[name][0](tmp_path)
    frame = load(name, root)[0].frames[1]
    frame.label_path.unlink()
    with pytest.raises(FileNotFoundError, match=frame.label_path.stem + ".*;"):
        load(name, root)


def test_a_cityscapes_snippet_without_its_label_is_named(tmp_path):
    root = write_cityscapes(tmp_path, (("frankfurt", 0, 294), ("frankfurt", 1, 19)))
    load("cityscapes", root)[1].frames[19].label_path.unlink()
    match = r"frankfurt_000001_000000_leftImg8bit\.png belongs to no labelled.*30 such files.*again"
    with pytest.raises(FileNotFoundError, match=match):
        load("cityscapes", root)


def test_a_cityscapes_city_that_is_only_half_there_is_named(tmp_path):
    root = write_cityscapes(tmp_path)
    shutil.rmtree(root / "gtFine" / "val" / "munster")
    with pytest.raises(FileNotFoundError, match=r"\['munster'\] only in one; unpack both"):
        load("cityscapes", root)


@pytest.mark.parametrize("name", ["kitti360", "apolloscape"])
def test_windows_separators_in_a_list_are_named(name, tmp_path):
    root = WRITERS[name][0](tmp_path)
    listed = next(path for path in root.rglob("*train*") if path.suffix in (".txt", ".lst"))
    listed.write_text(listed.read_text().replace("/", "\\"))
    with pytest.raises(ValueError, match=f"{listed.name}, line 1: Windows path separators.*sed"):
        load(name, root)


@pytest.mark.parametrize("name", ["cityscapes", "apolloscape", "own"])
def test_windows_separators_in_file_names_are_named(name, tmp_path):
    root = WRITERS[name][0](tmp_path)
    folder = load(name, root)[0].frames[0].image_path.parent
    write_image(folder / "ColorImage\\picture.jpg")
    with pytest.raises(ValueError, match="Windows path separator in its name; unpack"):
        load(name, root)


@pytest.fixture
def nobody():
    """Run as a user without rights, also where the tests run as root, who reads every folder."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield
    os.seteuid(was)


@pytest.mark.parametrize("name", ["cityscapes", "own"])
def test_an_unreadable_folder_is_named(name, nobody):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folder is its user's alone
        root = WRITERS[name][0](Path(folder))
        images = load(name, root)[0].frames[0].image_path.parent
        images.chmod(0)
        try:
            with pytest.raises(ValueError, match="cannot be read .*chmod"):
                load(name, root)
        finally:
            images.chmod(0o755)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_root_is_an_error_with_the_layout_or_the_missing_file(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path) + ".*;"):
        open_dataset(name, tmp_path).load_videos("val")


def test_an_id_outside_the_table_is_named(tmp_path):
    root = write_kitti360(tmp_path)
    frame = load("kitti360", root)[0].frames[0]
    write_ids(frame.label_path, 7, 45)
    with pytest.raises(ValueError, match=r"0000000250\.png holds ids \[45\].*train ids"):
        frame.read_label()


def test_two_own_frames_of_one_number_and_odd_rates_are_named(tmp_path):
    root = write_own_video(tmp_path, unlabelled=())
    (root / "rate_hz.txt").write_text("fast")
    with pytest.raises(ValueError, match=r"rate_hz\.txt: expected one positive number, got 'fast'"):
        load("own", root)
    (root / "rate_hz.txt").write_text("10")
    write_image(root / "train" / "images" / "hall_2.jpg")
    write_ids(root / "train" / "labels" / "hall_2.png", 0, 1)
    with pytest.raises(ValueError, match="frame 2 of hall occurs twice.*remove one"):
        load("own", root)


def test_an_unknown_data_set_is_named():
    with pytest.raises(ValueError, match="must be one of .*got 'nuscenes'"):
        open_dataset("nuscenes", ".")

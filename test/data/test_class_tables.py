# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The mapping tables against the official label definitions, by class name."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from PIL import Image

from t2g_core.data import class_tables as tables
from t2g_core.data.camvid import FULL_RELEASE
from t2g_core.data.class_tables import FIFTEEN_CLASSES, UNKNOWN, lookup_table, read_ids
from t2g_core.labels import IGNORE_INDEX, PALETTE

# Appendix B's Cityscapes column: train id of each class
TRAIN_IDS = dict(
    zip(FIFTEEN_CLASSES, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 17], strict=True)
)
CLASS_OF_TRAIN_ID = {number: name for name, number in TRAIN_IDS.items()} | {15: "truck & bus"}


@pytest.mark.parametrize(
    ("module", "ids", "mapping"),
    [
        ("cityscapesscripts", tables.CITYSCAPES_IDS, tables.CITYSCAPES_TO_15),
        ("kitti360scripts", tables.KITTI360_IDS, tables.KITTI360_TO_15),
    ],
)
def test_ids_and_classes_are_the_official_ones(module, ids, mapping):
    labels = import_module(f"{module}.helpers.labels").labels
    official = {label.name: label for label in labels if label.id >= 0}
    assert {name: label.id for name, label in official.items()} == ids
    for name, label in official.items():
        assert mapping.get(name) == CLASS_OF_TRAIN_ID.get(label.trainId), name


def test_apolloscape_train_ids_of_the_paper():
    """Its class table gives these ids to the train ids of appendix B's column."""
    class_ids = {
        "road": [49], "sidewalk": [50], "building": [97], "wall": [84], "fence": [67],
        "pole": [82], "traffic light": [81], "traffic sign": [83], "vegetation": [113],
        "sky": [17], "person": [36, 164], "rider": [37, 165], "car": [33, 161],
        "truck & bus": [38, 39, 166, 167], "motorcycle": [34, 162],
    }  # fmt: skip
    table = lookup_table(tables.APOLLOSCAPE_IDS, tables.APOLLOSCAPE_TO_15, FIFTEEN_CLASSES)
    for i, name in enumerate(FIFTEEN_CLASSES):
        assert np.flatnonzero(table == i).tolist() == class_ids[name]
    assert table[[0, 1, 40, 98, 255]].tolist() == [IGNORE_INDEX] * 5  # others ... unlabeled
    assert table[[2, 16, 254]].tolist() == [UNKNOWN] * 3


def test_camvid_numbers_of_the_paper_but_for_wall():
    names = sorted(FULL_RELEASE, key=str.lower)
    numbers = {}
    for name, target in tables.CAMVID_TO_15.items():
        numbers.setdefault(target, []).append(names.index(name))
    paper = [17, 19, 4, 30, 9, 8, 24, 20, 26, 21, 16, 2, 5, 27, 13]
    ours = [min(numbers[name]) for name in FIFTEEN_CLASSES]
    differing = [i for i, (a, b) in enumerate(zip(ours, paper, strict=True)) if a != b]
    assert [FIFTEEN_CLASSES[i] for i in differing] == ["wall"]
    assert names[30] == "Void" and names[31] == "Wall"
    assert numbers["vegetation"] == [26, 29]


@pytest.mark.parametrize("prefix", ["CITYSCAPES", "KITTI360", "APOLLOSCAPE"])
def test_every_class_of_the_fifteen_has_an_id_and_a_colour(prefix):
    mapping, ids = getattr(tables, f"{prefix}_TO_15"), getattr(tables, f"{prefix}_IDS")
    reached = {target for name, target in mapping.items() if name in ids}
    assert reached == set(FIFTEEN_CLASSES) and reached <= set(PALETTE)


def test_ids_go_through_the_table(tmp_path):
    table = lookup_table({"a": 1, "b": 7, "c": 9}, {"a": "x", "b": "y"}, ("y", "x"))
    Image.fromarray(np.array([[1, 7, 9]], np.uint8)).save(tmp_path / "label.png")
    assert read_ids(tmp_path / "label.png", table).tolist() == [[1, 0, IGNORE_INDEX]]
    Image.fromarray(np.array([[1, 7, 255]], np.uint8)).save(tmp_path / "kitti.png")
    assert read_ids(tmp_path / "kitti.png", table).tolist() == [[1, 0, IGNORE_INDEX]]
    Image.fromarray(np.array([[1, 8, 200]], np.uint8)).save(tmp_path / "odd.png")
    with pytest.raises(ValueError, match=r"odd\.png holds ids \[8, 200\] in 2 of 3 pixels, which"):
        read_ids(tmp_path / "odd.png", table)
    Image.new("RGB", (3, 1)).save(tmp_path / "colour.png")
    with pytest.raises(
        ValueError, match=r"colour\.png: expected an 8-bit picture of ids, got.*RGB"
    ):
        read_ids(tmp_path / "colour.png", table)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Small trees in the layouts, names and label encodings in which the data sets are distributed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (48, 40)  # width, height


def write_image(path: Path, grey: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE, (grey, grey, grey)).save(path)


def write_ids(path: Path, top: int, bottom: int) -> None:
    """A label of two ids, one above the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = np.full(SIZE[::-1], top, np.uint8)
    ids[20:] = bottom
    Image.fromarray(ids).save(path)


def write_cityscapes(root: Path, snippets=(("frankfurt", 0, 294), ("munster", 3, 19))) -> Path:
    """Snippets of 30 frames; the label is sky (23) over road (7)."""
    for city, sequence, labelled in snippets:
        stem = f"{city}_{sequence:06d}"
        for n in range(labelled - 19, labelled + 11):
            name = f"{stem}_{n:06d}_leftImg8bit.png"
            write_image(root / "leftImg8bit_sequence" / "val" / city / name)
        name = f"{stem}_{labelled:06d}_gtFine_labelIds.png"
        write_ids(root / "gtFine" / "val" / city / name, 23, 7)
    return root


def write_kitti360(root: Path, split: str = "train", numbers=(250, 251, 252, 300, 301)) -> Path:
    """One drive with a gap; the label is garage (34) over road (7)."""
    drive = "2013_05_28_drive_0000_sync"
    lines = []
    for n in numbers:
        image = f"data_2d_raw/{drive}/image_00/data_rect/{n:010d}.png"
        label = f"data_2d_semantics/train/{drive}/image_00/semantic/{n:010d}.png"
        write_image(root / image)
        write_ids(root / label, 34, 7)
        lines.append(f"{image} {label}\n")
    name = f"2013_05_28_drive_{split}_frames.txt"
    (root / "data_2d_semantics" / "train" / name).write_text("".join(lines))
    return root


def write_apolloscape(root: Path, road: str = "road02_ins", split: str = "train") -> Path:
    """Five frames half a second apart, the third is another split's; bus_group (167) over road."""
    lines = []
    for i in range(5):
        stem = f"170927_0638{12 + i // 2:02d}{500 * (i % 2):03d}_Camera_5"
        image = f"{road}/ColorImage/Record001/Camera 5/{stem}.jpg"
        label = f"{road}/Label/Record001/Camera 5/{stem}_bin.png"
        write_image(root / image)
        write_ids(root / label, 167, 49)
        if i != 2:
            lines.append(f"{image}\t{label}\n")
    if road.endswith("_ins"):
        lists = root / "public_image_lists"
        lists.mkdir(exist_ok=True)
        (lists / f"{road}_{split}.lst").write_text("".join(lines))
    return root


# Of the full release: on the grid of 30 but for 901, val at 15 Hz, test.
CAMVID_FRAMES = (
    "0006R0_f00930",
    *(f"0016E5_{n:05d}" for n in (810, 840, 870, 901, 930, 4350, 7959, 7961, 7963)),
    "Seq05VD_f00000",
)


def write_camvid_full(root: Path, stems=CAMVID_FRAMES) -> Path:
    """The 32-class release; the label is Wall over Road."""
    for stem in stems:
        write_image(root / "701_StillsRaw_full" / f"{stem}.png")
        colours = np.full((*SIZE[::-1], 3), (64, 192, 0), np.uint8)
        colours[20:] = (128, 64, 128)
        label = root / "LabeledApproved_full" / f"{stem}_L.png"
        label.parent.mkdir(exist_ok=True)
        Image.fromarray(colours).save(label)
    return root


def write_camvid_segnet(root: Path, split: str = "val") -> Path:
    """The eleven-class release as it came with SegNet; the label is sky (0) over road (3)."""
    for stem in ("0016E5_07959", "0016E5_07961"):
        write_image(root / split / f"{stem}.png")
        write_ids(root / f"{split}annot" / f"{stem}.png", 0, 3)
    return root


def write_own_video(root: Path, unlabelled=(2,)) -> Path:
    """Four frames of a drive at 10 Hz with the classes floor and shelf."""
    (root / "train").mkdir(parents=True)
    (root / "classes.txt").write_text("floor\nshelf\n")
    (root / "rate_hz.txt").write_text("10\n")
    for n in range(4):
        write_image(root / "train" / "images" / f"hall_{n:06d}.jpg")
        if n not in unlabelled:
            write_ids(root / "train" / "labels" / f"hall_{n:06d}.png", 255, 1)
    names = "".join(f"hall_{n:06d}\n" for n in unlabelled)
    (root / "train" / "unlabelled.txt").write_text(names)
    return root

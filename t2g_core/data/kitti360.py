# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""KITTI-360: long drives with a label on almost every frame of the left perspective camera.

As distributed, drive by drive::

    ROOT/data_2d_raw/2013_05_28_drive_0000_sync/image_00/data_rect/0000000250.png
    ROOT/data_2d_semantics/train/2013_05_28_drive_0000_sync/image_00/semantic/0000000250.png
    ROOT/data_2d_semantics/train/2013_05_28_drive_train_frames.txt   (and _val_frames.txt)

The list files name the split: each line an image and its label, relative to ROOT. The release of
2021 has no ``image_00`` in the labels' path; either is found. Windows of the two splits overlap at
their borders: what the val list has too is no training frame.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from t2g_core.data.class_tables import (
    FIFTEEN_CLASSES,
    KITTI360_IDS,
    KITTI360_TO_15,
    lookup_table,
    read_ids,
)
from t2g_core.data.video import Video, VideoFrame, cut_at_gaps, read_list, require_files

_LIST = "2013_05_28_drive_{}_frames.txt"
RATE_HZ = 10.0  # nominal; frame numbers count at it
_TABLE = lookup_table(KITTI360_IDS, KITTI360_TO_15, FIFTEEN_CLASSES)
_LOG = logging.getLogger(__name__)
_IMAGE = re.compile(r"data_2d_raw/(\w+_sync)/image_00/data_rect/(\d{10})\.png")


def kitti360_splits(root: Path) -> list[str]:
    """Those that have a list."""
    labels = root / "data_2d_semantics" / "train"
    return [split for split in ("train", "val") if (labels / _LIST.format(split)).is_file()]


def load_kitti360(root: str | Path, split: str) -> list[Video]:
    """List the videos of split ``train`` or ``val``, cut where the list leaves frames out.

    Raises ``FileNotFoundError`` for a missing list, image or label, ``ValueError`` for a list of
    another form.
    """
    root = Path(root)
    labels = root / "data_2d_semantics" / "train"
    listed = _listed(labels / _LIST.format(split))
    if split == "train" and (labels / _LIST.format("val")).is_file():
        both = set(listed) & set(_listed(labels / _LIST.format("val")))
        if both:
            listed = [key for key in listed if key not in both]
            _LOG.warning("%d frames of %s that val has too are left out", len(both), split)
    frames = [_frame(root, labels, drive, number) for drive, number in listed]
    drives: dict[str, list[VideoFrame]] = defaultdict(list)
    for frame in frames:
        drives[frame.video].append(frame)
    require_files((f.image_path for f in frames), "download data_2d_raw of that drive again")
    require_files((f.label_path for f in frames), "download data_2d_semantics again")
    return [
        video
        for drive in sorted(drives)
        for video in cut_at_gaps(sorted(drives[drive], key=lambda f: f.number), RATE_HZ)
    ]


def _listed(path: Path) -> list[tuple[str, str]]:
    """Drive and frame of each line, in ten digits."""
    keys = []
    for image, _ in read_list(path, columns=2):
        match = _IMAGE.fullmatch(image)
        if match is None:
            raise ValueError(
                f"{path}: expected data_2d_raw/DRIVE_sync/image_00/data_rect/0000000000.png, got "
                f"{image!r}; take the list of the release"
            )
        keys.append((match[1], match[2]))
    return keys


def _frame(root: Path, labels: Path, drive: str, number: str) -> VideoFrame:
    image = root / "data_2d_raw" / drive / "image_00" / "data_rect" / f"{number}.png"
    camera = labels / drive / "image_00"
    label = (camera if camera.is_dir() else labels / drive) / "semantic" / f"{number}.png"
    return VideoFrame(drive, int(number), image, label, read_label)


def read_label(path: Path) -> np.ndarray:
    """``(H, W)`` uint8 ids of the fifteen classes; errors as ``read_ids``."""
    return read_ids(path, _TABLE)

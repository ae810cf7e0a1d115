# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The data sets by the name that ``--data`` gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from t2g_core.data.apolloscape import apolloscape_splits, load_apolloscape
from t2g_core.data.camvid import (
    camvid_splits,
    load_camvid,
    load_camvid15,
    load_camvid15_merged,
)
from t2g_core.data.cityscapes import cityscapes_splits, load_cityscapes
from t2g_core.data.class_tables import FIFTEEN_CLASSES
from t2g_core.data.kitti360 import kitti360_splits, load_kitti360
from t2g_core.data.own_video import load_own_video, own_video_splits, read_classes
from t2g_core.data.shards import INDEX, load_shards, read_index, shard_splits
from t2g_core.data.video import Video
from t2g_core.labels import CAMVID_CLASSES, colour_of
from t2g_core.listing import visible


@dataclass(frozen=True)
class Dataset:
    """One data set on disk: its classes, the lister of a split's videos, and its licence.

    ``palette`` (RGB) and ``licence`` go into every checkpoint that is trained on it.
    """

    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    splits: tuple[str, ...]  # those that are there
    load_videos: Callable[[str], list[Video]]
    licence: str


_LOADERS = {
    "camvid": (CAMVID_CLASSES, camvid_splits, load_camvid),
    "camvid15": (FIFTEEN_CLASSES, camvid_splits, load_camvid15),
    "camvid15_merged": (FIFTEEN_CLASSES, camvid_splits, load_camvid15_merged),
    "cityscapes": (FIFTEEN_CLASSES, cityscapes_splits, load_cityscapes),
    "kitti360": (FIFTEEN_CLASSES, kitti360_splits, load_kitti360),
    "apolloscape": (FIFTEEN_CLASSES, apolloscape_splits, load_apolloscape),
}
FRAME_SIZES = {  # width, height of an image, as released
    "camvid": (960, 720),
    "camvid15": (960, 720),
    "camvid15_merged": (960, 720),
    "cityscapes": (2048, 1024),
    "kitti360": (1408, 376),
    "apolloscape": (3384, 2710),
}
OWN_VIDEO, SHARDS = "own", "shards"
NAMES = (*_LOADERS, OWN_VIDEO, SHARDS)

_CAMVID_LICENCE = (
    "Trained on CamVid (Brostow et al., 2009) as released with SegNet, CC BY-NC 4.0: research "
    "and other non-commercial use."
)
_LICENCES = {
    "camvid": _CAMVID_LICENCE,
    "camvid15": _CAMVID_LICENCE,
    "camvid15_merged": _CAMVID_LICENCE,
    "cityscapes": "Trained on Cityscapes (Cordts et al., 2016): its licence, non-commercial use.",
    "kitti360": "Trained on KITTI-360 (Liao et al., 2022): CC BY-NC-SA 3.0, non-commercial use.",
    "apolloscape": "Trained on ApolloScape (Huang et al., 2018): its licence, educational use.",
    OWN_VIDEO: "Trained on its user's own video.",
}

_MARKS = {  # what stands in a data set's folder and in no other's; the first that does
    INDEX: SHARDS,
    "leftImg8bit_sequence": "cityscapes",
    "data_2d_raw": "kitti360",
    "public_image_lists": "apolloscape",
    "*/ColorImage": "apolloscape",
    "classes.txt": OWN_VIDEO,
    "701_StillsRaw_full": "camvid",
    "*annot": "camvid",
    "*/images": "camvid",
}


def recognise(root: str | Path) -> str:
    """The name of the data set whose layout the folder ``root`` has.

    Raises ``FileNotFoundError`` where it has none of them.
    """
    root = Path(root)
    for mark, name in _MARKS.items():
        if any(visible(root.glob(mark))):
            return name
    for mark in _MARKS:
        _check_depth(root, mark)
    raise FileNotFoundError(
        f"{root} has none of {', '.join(_MARKS)}: give --data; docs/datasets.md has the layouts"
    )


def open_dataset(name: str, root: str | Path) -> Dataset:
    """The data set ``name`` whose folder is ``root``.

    Raises ``ValueError`` for an unknown name, ``FileNotFoundError`` where one's own video has no
    class list or shards no index, and where the data lies one folder deeper.
    """
    if name not in NAMES:
        raise ValueError(f"the data set must be one of {NAMES}, got {name!r}")
    marks = [mark for mark, marked in _MARKS.items() if marked == name.partition("15")[0]]
    if not any(any(visible(Path(root).glob(mark))) for mark in marks):
        for mark in marks:
            _check_depth(Path(root), mark)
    licence = _LICENCES.get(name, "")
    if name == SHARDS:
        index, splits, load = read_index(root), shard_splits, load_shards
        colours, licence = index["classes"], index["licence"]
    elif name == OWN_VIDEO:
        colours, splits, load = read_classes(root), own_video_splits, load_own_video
    else:
        class_names, splits, load = _LOADERS[name]
        colours = {name: colour_of(name) for name in class_names}
    return Dataset(
        class_names=tuple(colours),
        palette=tuple(colours.values()),
        splits=tuple(splits(Path(root))),
        load_videos=partial(_load_some, load, name, root),
        licence=licence,
    )


def _load_some(
    load: Callable[[str | Path, str], list[Video]], name: str, root: str | Path, split: str
) -> list[Video]:
    """What the data set's lister finds; ValueError where that is nothing.

    split: `SPLIT`, `SPLIT:NAME,NAME` for some of its recordings, `SPLIT:-NAME,NAME` for the others.
    """
    split, _, chosen = split.partition(":")
    videos = [video for video in load(root, split) if video.frames]
    if not videos:
        raise ValueError(f"{root}: split {split} of {name} has no frame of its own")
    if not chosen:
        return videos
    asked = set(chosen.removeprefix("-").split(","))
    recordings = {video.frames[0].video for video in videos}
    kept = recordings - asked if chosen.startswith("-") else asked
    if asked - recordings or not kept:
        raise ValueError(
            f"{root}: split {split} of {name} has the recordings {', '.join(sorted(recordings))}, "
            f"got {chosen}"
        )
    return [video for video in videos if video.frames[0].video in kept]


def _check_depth(root: Path, mark: str) -> None:
    """An archive that was unpacked into a folder of its own is a common mistake."""
    deeper = next(root.glob(f"*/{mark}"), None)
    if deeper is not None:
        folder = root / deeper.relative_to(root).parts[0]
        raise FileNotFoundError(f"{root} holds the data one folder deeper: give {folder}")

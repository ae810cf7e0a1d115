# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""ApolloScape scene parsing: a frame every metre of long drives, each with a label.

As the archives unpack, with the published image lists beside them or in a folder of their own::

    ROOT/road02_ins/ColorImage/Record001/Camera 5/170927_063811892_Camera_5.jpg
    ROOT/road02_ins/Label/Record001/Camera 5/170927_063811892_Camera_5_bin.png
    ROOT/road02_ins_train.lst or ROOT/public_image_lists/road02_ins_train.lst
                                            (image TAB label, relative to ROOT)

A split is all its lists together, as far as their roads are there. Split ``all`` takes every
labelled frame of every road and needs no list (the ``_seg`` roads have none). Cameras 5 and 6 show
the same scene: camera 5 is taken. The folder may be called ``Camera_5``. A frame comes every metre,
so that nothing comes while the car stands: a step beyond a second ends a video.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from t2g_core.data.class_tables import (
    APOLLOSCAPE_IDS,
    APOLLOSCAPE_TO_15,
    FIFTEEN_CLASSES,
    lookup_table,
    read_ids,
)
from t2g_core.data.video import (
    Video,
    VideoFrame,
    cut_at_gaps,
    list_folder,
    read_list,
    require_files,
)
from t2g_core.listing import visible

LAYOUT = "an ApolloScape root holds ROAD_ins or ROAD_seg with ColorImage and Label in it"
_TABLE = lookup_table(APOLLOSCAPE_IDS, APOLLOSCAPE_TO_15, FIFTEEN_CLASSES)
_LOG = logging.getLogger(__name__)
MAX_STEP_S = 1.0
WITHOUT_LIST = "road04_ins"  # the release lists road01 to road03
CAMERA = "Camera[ _]5"
_NAME = re.compile(r"\d{6}_(\d{2})(\d{2})(\d{2})(\d{3})_Camera_\d")


def apolloscape_splits(root: Path) -> list[str]:
    """Those of which a road has a list; without any, all frames of all roads."""
    lists = visible([*root.glob("*.lst"), *root.glob("public_image_lists/*.lst")])
    names = [path.stem for path in lists]
    found = {name.rpartition("_")[2] for name in names}
    return [split for split in ("train", "val") if split in found] or ["all"]


def load_apolloscape(root: str | Path, split: str) -> list[Video]:
    """List the videos of a split, one a record and camera, cut where frames are left out.

    A frame's number is its place among all images of its folder, so it is the same in every split.
    Frames without a label are left out with a warning, as the release has them. Raises
    ``FileNotFoundError`` for missing roads, lists or images, ``ValueError`` for names of another
    form.
    """
    root = Path(root)
    pairs = _all_pairs(root) if split == "all" else _listed_pairs(root, split)
    require_files((image for image, _ in pairs), "unpack that road's archive again")
    without = [label for _, label in pairs if not label.is_file()]
    if without:  # as released: some roads have fewer labels than images
        _LOG.warning(
            "%d of %d frames have no label and are left out, the first %s",
            len(without),
            len(pairs),
            without[0],
        )
        pairs = [pair for pair in pairs if pair[1].is_file()]
    if not pairs:
        raise FileNotFoundError(f"{root} has no label of split {split}; {LAYOUT}")
    folders: dict[Path, list[tuple[Path, Path]]] = defaultdict(list)
    for image, label in pairs:
        folders[image.parent].append((image, label))
    return [v for folder in sorted(folders) for v in _record(root, folder, folders[folder])]


def read_label(path: Path) -> np.ndarray:
    """``(H, W)`` uint8 ids of the fifteen classes; errors as ``read_ids``."""
    return read_ids(path, _TABLE)


def capture_time_s(path: Path) -> float:
    """Seconds of the day in a name like ``170927_063811892_Camera_5.jpg``."""
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise ValueError(f"{path}: expected DATE_TIME_Camera_5 as name; restore it")
    hours, minutes, seconds, milliseconds = map(int, match.groups())
    return 3600 * hours + 60 * minutes + seconds + milliseconds / 1000


def _record(root: Path, folder: Path, pairs: list[tuple[Path, Path]]) -> list[Video]:
    everything = [path for path in list_folder(folder, LAYOUT) if path.suffix == ".jpg"]
    ordered = sorted(everything, key=capture_time_s)
    steps = np.diff([capture_time_s(path) for path in ordered])
    pauses = np.concatenate([[0], np.cumsum(steps > MAX_STEP_S)])  # a number is left out for each
    number = {path: i + int(pauses[i]) for i, path in enumerate(ordered)}
    road, _, record, camera = folder.relative_to(root).parts[-4:]
    name = f"{road}_{record}_{camera}".replace("Camera_", "Camera").replace(" ", "")
    frames = [VideoFrame(name, number[i], i, label, read_label) for i, label in pairs]
    rate_hz = 1 / float(np.median(steps)) if len(steps) and np.median(steps) > 0 else 0.0
    return cut_at_gaps(sorted(frames, key=lambda frame: frame.number), rate_hz)


def _roads(root: Path) -> list[Path]:
    roads = [path for path in list_folder(root, LAYOUT) if (path / "ColorImage").is_dir()]
    if not roads:
        raise FileNotFoundError(f"{root} holds no road; {LAYOUT}")
    return roads


def _listed_pairs(root: Path, split: str) -> list[tuple[Path, Path]]:
    folder = root / "public_image_lists"
    lists = folder if folder.is_dir() else root
    pairs = []
    for road in _roads(root):
        path = lists / f"{road.name}_{split}.lst"
        if not path.is_file() and (road.name.endswith("_seg") or road.name == WITHOUT_LIST):
            _LOG.warning("%s has no list and is in no split but `all`", road.name)
            continue
        rows = read_list(path, columns=2)
        listed = [(_present(root, image), _present(root, label)) for image, label in rows]
        chosen = [pair for pair in listed if re.fullmatch(CAMERA, pair[0].parent.name)]
        if len(chosen) < len(listed):
            _LOG.warning(
                "%s: %d of %d frames are of the other camera and left out",
                road.name,
                len(listed) - len(chosen),
                len(listed),
            )
        pairs += chosen
    if not pairs:
        raise FileNotFoundError(
            f"{root} holds only roads that have no lists (_seg, {WITHOUT_LIST}); use split all"
        )
    return pairs


def _present(root: Path, listed: str) -> Path:
    """The path of a list's line, also where the folder `Camera 5` was renamed `Camera_5`."""
    path = root / listed
    renamed = path.parent.with_name(path.parent.name.replace(" ", "_")) / path.name
    return renamed if not path.parent.is_dir() and renamed.parent.is_dir() else path


def _all_pairs(root: Path) -> list[tuple[Path, Path]]:
    pairs = []
    for road in _roads(root):
        images = sorted(visible((road / "ColorImage").glob("*/Camera[ _]5/*.jpg")))
        labels = set(visible((road / "Label").glob("*/Camera[ _]5/*_bin.png")))
        for image in images:
            folder = road / "Label" / image.relative_to(road / "ColorImage").parent
            pairs.append((image, folder / f"{image.stem}_bin.png"))
        alone = sorted(labels - {label for _, label in pairs})
        if alone:
            raise FileNotFoundError(
                f"{alone[0]} has no image ({len(alone)} such labels); unpack {road.name} again"
            )
    return pairs

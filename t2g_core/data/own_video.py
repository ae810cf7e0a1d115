# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One's own drive in a plain layout.

The files are::

    ROOT/classes.txt                     one class a line, its name and, if you like, its colour
                                         (``pallet 220 20 60``); line 1 is id 0
    ROOT/SPLIT/images/SEQUENCE_FRAME.jpg (or .png), frame numbers counting at ROOT/rate_hz.txt
    ROOT/SPLIT/labels/SEQUENCE_FRAME.png 8-bit ids; 255 is void; frames may lack a label

Frames without a label are listed in ``ROOT/SPLIT/unlabelled.txt``, one name a line, so that a
label that was lost is told from one that never was.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np

from t2g_core.data.class_tables import lookup_table, read_ids
from t2g_core.data.video import Video, VideoFrame, cut_at_gaps, list_folder
from t2g_core.labels import IGNORE_INDEX, colour_of
from t2g_core.listing import by_stem, visible
from t2g_core.text_files import read_text

LAYOUT = "a video root holds classes.txt, rate_hz.txt and SPLIT/images, SPLIT/labels"
SUFFIXES = (".jpg", ".jpeg", ".png")


def read_classes(root: str | Path) -> dict[str, tuple[int, int, int]]:
    """Names and RGB colours of a root's class list, in its order.

    Raises where it is missing, empty, too long, repeats a name or has a colour beyond 255.
    """
    path = Path(root) / "classes.txt"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {LAYOUT}")
    lines = [line.strip() for line in read_text(path).splitlines()]
    classes = [_name_and_colour(path, line) for line in lines if line]
    names = [name for name, _ in classes]
    if not 2 <= len(names) <= 254 or len(set(names)) != len(names):
        raise ValueError(f"{path}: expected 2 to 254 different names, one a line, got {names}")
    return dict(classes)


def _name_and_colour(path: Path, line: str) -> tuple[str, tuple[int, int, int]]:
    match = re.fullmatch(r"(.*\S)\s+(\d+)\s+(\d+)\s+(\d+)", line)
    if match is None:
        return line, colour_of(line)
    name, *channels = match.groups()
    colour = tuple(map(int, channels))
    if max(colour) > 255:
        raise ValueError(f"{path}: expected a name and three values of 0 to 255, got {line!r}")
    return name, colour


def own_video_splits(root: Path) -> list[str]:
    """The folders that hold images."""
    return sorted(path.name for path in visible(images.parent for images in root.glob("*/images")))


def load_own_video(root: str | Path, split: str) -> list[Video]:
    """List a split's videos, sorted by recording and frame number, cut at gaps.

    Raises ``FileNotFoundError`` for missing files, ``ValueError`` for names of another form and
    for two frames of one number.
    """
    root = Path(root)
    names = tuple(read_classes(root))
    ids = {name: i for i, name in enumerate(names)} | {"void": IGNORE_INDEX}
    reader = partial(_read, table=_Table(lookup_table(ids, {n: n for n in names}, names)))
    images = _by_stem(root / split / "images", SUFFIXES)
    labels = _by_stem(root / split / "labels", (".png",))
    _check_pairs(root / split, set(images), set(labels))
    sequences: dict[str, list[VideoFrame]] = defaultdict(list)
    for stem, path in images.items():
        sequence, _, number = stem.rpartition("_")
        if not sequence or not number.isdigit():
            raise ValueError(f"{path}: expected a name like drive1_000123 (SEQUENCE_FRAME)")
        sequences[sequence].append(
            VideoFrame(sequence, int(number), path, labels.get(stem), reader)
        )
    rate_hz = _rate(root)
    return [
        video
        for name in sorted(sequences)
        for video in cut_at_gaps(sorted(sequences[name], key=lambda f: f.number), rate_hz)
    ]


class _Table:
    """A lookup table that compares by identity, so that frames stay hashable."""

    def __init__(self, ids: np.ndarray) -> None:
        self.ids = ids


def _read(path: Path, table: _Table) -> np.ndarray:
    return read_ids(path, table.ids)


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    files = [path for path in list_folder(folder, LAYOUT) if path.suffix.lower() in suffixes]
    if not files:
        raise FileNotFoundError(f"{folder} holds no {' or '.join(suffixes)} file; copy the data in")
    return by_stem(files)


def _check_pairs(split: Path, images: set[str], labels: set[str]) -> None:
    path = split / "unlabelled.txt"
    lines = read_text(path).splitlines() if path.is_file() else []
    unlabelled = {line.strip() for line in lines} - {""}
    if images - labels != unlabelled:
        odd = min((images - labels) ^ unlabelled)
        raise FileNotFoundError(
            f"{split / 'labels'}: {odd} and {path.name} disagree; every image has a label or its "
            f"name stands in {path}"
        )
    if labels - images:
        raise FileNotFoundError(
            f"{split / 'labels' / min(labels - images)}.png has no image; copy it or remove the "
            "label"
        )


def _rate(root: Path) -> float:
    path = root / "rate_hz.txt"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; write the rate at which frame numbers count")
    text = read_text(path).strip()
    try:
        rate_hz = float(text)
    except ValueError:
        rate_hz = 0.0
    if not 0 < rate_hz < float("inf"):
        raise ValueError(f"{path}: expected one positive number, got {text!r}")
    return rate_hz

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Cityscapes-sequence: snippets of 30 frames at 17 Hz, of which the 20th has a label.

As distributed (``leftImg8bit_sequence_trainvaltest.zip`` and ``gtFine_trainvaltest.zip``)::

    ROOT/leftImg8bit_sequence/val/frankfurt/frankfurt_000000_000275_leftImg8bit.png ... _000304_...
    ROOT/gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_labelIds.png
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from t2g_core.data.class_tables import (
    CITYSCAPES_IDS,
    CITYSCAPES_TO_15,
    FIFTEEN_CLASSES,
    lookup_table,
    read_ids,
)
from t2g_core.data.video import Video, VideoFrame, list_folder, require_files
from t2g_core.listing import visible

_LOG = logging.getLogger(__name__)
RATE_HZ = 17.0
SNIPPET = 30  # frames
LABELLED = 19  # position of the labelled frame in its snippet, from 0
LAYOUT = "a Cityscapes root holds leftImg8bit_sequence/SPLIT/CITY and gtFine/SPLIT/CITY"
_TABLE = lookup_table(CITYSCAPES_IDS, CITYSCAPES_TO_15, FIFTEEN_CLASSES)


def cityscapes_splits(root: Path) -> list[str]:
    """Those of which images are there; `test` has no labels."""
    found = sorted(path.name for path in visible((root / "leftImg8bit_sequence").glob("*/")))
    return [split for split in found if split != "test"]


def load_cityscapes(root: str | Path, split: str) -> list[Video]:
    """List a split's snippets, one a label, sorted by city, sequence and frame.

    A snippet of which frames are missing is as long as there is no hole around its label, and that
    is said. Raises ``FileNotFoundError`` for a missing folder, label or labelled frame,
    ``ValueError`` for a file name of another form.
    """
    images, labels = (Path(root) / kind / split for kind in ("leftImg8bit_sequence", "gtFine"))
    cities = [entry.name for entry in list_folder(images, LAYOUT) if entry.is_dir()]
    labelled = [entry.name for entry in list_folder(labels, LAYOUT) if entry.is_dir()]
    if cities != labelled:
        alone = sorted(set(cities) ^ set(labelled))
        raise FileNotFoundError(
            f"{images} and {labels} hold different cities: {alone} only in one; unpack both "
            "archives whole"
        )
    videos = [video for city in cities for video in _city(images / city, labels / city)]
    if not videos:
        raise FileNotFoundError(f"{labels} holds no *_gtFine_labelIds.png; {LAYOUT}")
    return videos


def read_label(path: Path) -> np.ndarray:
    """``(H, W)`` uint8 ids of the fifteen classes; errors as ``read_ids``."""
    return read_ids(path, _TABLE)


def _city(images: Path, labels: Path) -> list[Video]:
    suffix = "_gtFine_labelIds.png"
    paths = [path for path in list_folder(labels, LAYOUT) if path.name.endswith(suffix)]
    present = {path.name for path in list_folder(images, LAYOUT)}
    videos = [_snippet(images, path, suffix) for path in paths]
    wanted = {frame.image_path.name for video in videos for frame in video.frames}
    videos = [_present(video, present) for video in videos]
    short = [video for video in videos if len(video.frames) < SNIPPET]
    if short:
        _LOG.warning(
            "%d of %d snippets in %s have fewer than %d frames, for example %s: windows that do "
            "not fit are left out of its consistency",
            len(short),
            len(videos),
            images,
            SNIPPET,
            short[0].name,
        )
    left = sorted(name for name in present - wanted if name.endswith("_leftImg8bit.png"))
    if left:
        raise FileNotFoundError(
            f"{images / left[0]} belongs to no labelled snippet in {labels} ({len(left)} such "
            "files); unpack gtFine again"
        )
    return videos


def _present(video: Video, names: set[str]) -> Video:
    """The snippet's frames that are there, from its label as far as there is no hole.

    Raises ``FileNotFoundError`` where the labelled frame itself is missing.
    """
    there = [frame.image_path.name in names for frame in video.frames]
    if not there[LABELLED]:
        require_files([video.frames[LABELLED].image_path], "unpack leftImg8bit_sequence again")
    first, last = LABELLED, LABELLED
    while first > 0 and there[first - 1]:
        first -= 1
    while last + 1 < len(there) and there[last + 1]:
        last += 1
    return replace(video, frames=video.frames[first : last + 1])


def _snippet(images: Path, label: Path, suffix: str) -> Video:
    match = re.fullmatch(r"(.+_\d{6})_(\d{6})", label.name.removesuffix(suffix))
    if match is None:
        raise ValueError(f"{label}: expected CITY_123456_123456{suffix}; restore the name")
    sequence, number = match[1], int(match[2])
    name = f"{sequence}_{number:06d}"  # a sequence may hold hundreds of snippets
    frames = [
        VideoFrame(
            name,
            n,
            images / f"{sequence}_{n:06d}_leftImg8bit.png",
            label if n == number else None,
            read_label,
        )
        for n in range(number - LABELLED, number - LABELLED + SNIPPET)
    ]
    return Video(name, RATE_HZ, tuple(frames))

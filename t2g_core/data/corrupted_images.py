# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Cityscapes-sequence-Corrupted and its like on disk: the same pixels as those made on the fly.

A corrupted tree lies apart from the data set, with its file names as PNG (lossless), and a
``weather.json`` that says how it was made::

    OUT/fog/leftImg8bit_sequence/val/frankfurt/frankfurt_000000_000275_leftImg8bit.png
    OUT/fog/weather.json
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from t2g_core.data.corruptions import Weather, corrupt
from t2g_core.data.video import Video
from t2g_core.images.files import read_image

RECORD = "weather.json"


def write_corrupted(videos: Sequence[Video], root: Path, out: Path, weather: Weather) -> int:
    """Write every image of ``videos`` in one weather; what is there already stays. Returns images.

    Raises ``ValueError`` where ``out`` holds another severity or seeding.
    """
    folder = out / weather.name
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / RECORD).is_file():
        check_record(folder, weather)
    (folder / RECORD).write_text(json.dumps(weather.record(), indent=2) + "\n")
    frames = [frame for video in videos for frame in video.frames]
    for frame in frames:
        path = corrupted_path(out, weather.name, root, frame.image_path)
        if path.is_file():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        image = corrupt(read_image(frame.image_path), weather, frame.video, frame.number)
        partial = path.with_suffix(".partial")
        Image.fromarray(image).save(partial, format="PNG")
        partial.replace(path)
    return len(frames)


def corrupted_path(out: Path, corruption: str, root: Path, image_path: Path) -> Path:
    """Where the corrupted twin of an image of the data set ``root`` lies."""
    return (out / corruption / image_path.relative_to(root)).with_suffix(".png")


def check_record(folder: Path, weather: Weather) -> None:
    """Raise unless ``folder`` was made with this corruption, severity and seeding."""
    path = folder / RECORD
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; make the images with `t2g data corrupt`")
    found = json.loads(path.read_text())
    wanted = weather.record()
    if found != wanted:
        raise ValueError(f"{path}: expected {wanted}, got {found}; choose another folder")

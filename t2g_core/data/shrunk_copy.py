# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A smaller copy of a data set in its own layout: decoding 9-megapixel pictures takes long."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from t2g_core.data.video import Video
from t2g_core.images.files import label_turn, open_label, open_upright
from t2g_core.listing import visible

RECORD = "shrunk.json"
PICTURES = (".jpg", ".jpeg", ".png")
LISTS = (".txt", ".lst")  # what names splits, classes and rates
JPEG_QUALITY = 95


def write_shrunk(
    videos: Sequence[Video],
    root: Path,
    out: Path,
    width: int,
    workers: int = 4,
    on_picture: Callable[[], None] = lambda: None,
) -> int:
    """Write the images and labels of ``videos``, no wider than ``width`` pixels, and the lists.

    Images are averaged over areas, labels keep their values (nearest). What is there already stays.
    Returns the number of pictures. Raises ``ValueError`` where ``out`` holds another width, or lies
    in the data set.
    """
    if width < 16:
        raise ValueError(f"--width: expected at least 16 pixels, got {width}")
    if out.resolve() == root.resolve() or root.resolve() in out.resolve().parents:
        raise ValueError(f"--out: {out} lies in the data set; choose a folder beside it")
    _check_record(out, width)
    for path in visible(root.rglob("*")):
        if path.suffix in LISTS and path.is_file():
            _prepare(out / path.relative_to(root))
            shutil.copyfile(path, out / path.relative_to(root))
    frames = [frame for video in videos for frame in video.frames]
    labels = {f.label_path: f.image_path for f in frames if f.label_path is not None}
    folders = {frame.image_path.parent for frame in frames}
    # All of a folder: what a split leaves out still counts as a frame of the recording.
    listed = {path for folder in folders for path in visible(folder.iterdir())}
    images = {path for path in listed if path.suffix.lower() in PICTURES}
    jobs = [(path, None) for path in sorted(images - labels.keys())]
    jobs += sorted(labels.items())

    def shrink(job: tuple[Path, Path | None]) -> None:
        path, image = job
        _shrink(path, out / path.relative_to(root), width, image)
        on_picture()

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(shrink, jobs))  # an error of any of them is raised here
    return len(jobs)


def _check_record(out: Path, width: int) -> None:
    path = out / RECORD
    if path.is_file() and json.loads(path.read_text())["width"] != width:
        raise ValueError(f"{path}: {path.read_text().strip()}; choose another folder for {width}")
    _prepare(path)
    path.write_text(json.dumps({"width": width}) + "\n")


def _shrink(source: Path, target: Path, width: int, image: Path | None) -> None:
    """Write a smaller picture, upright; `image` is that of a label, None for an image itself."""
    if target.is_file():
        return
    _prepare(target)
    if image is None:
        picture, resampling = open_upright(source), Image.Resampling.BOX
    else:
        picture, resampling = open_label(source), Image.Resampling.NEAREST
        turn = label_turn(image, picture.size)
        picture = picture if turn is None else picture.transpose(turn)
    if picture.width > width:
        height = max(1, round(picture.height * width / picture.width))
        picture = picture.resize((width, height), resampling)
    jpeg = source.suffix.lower() in (".jpg", ".jpeg")
    partial_path = target.with_suffix(".partial")
    picture.save(partial_path, "JPEG" if jpeg else "PNG", quality=JPEG_QUALITY)
    partial_path.replace(target)


def _prepare(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)

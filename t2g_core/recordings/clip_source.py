# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A driving clip from whatever holds one: a folder of images, a video file, a bag, the renderer.

The libraries of bags and videos are imported where one is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from t2g_core.data.datasets import open_dataset, recognise
from t2g_core.images.files import read_image
from t2g_core.listing import IMAGE_SUFFIXES, by_number, by_stem, visible
from t2g_core.recordings.bag_files import is_bag
from t2g_core.streaming.continuity import NS


class ClipFrame(NamedTuple):
    """One frame: its time, image (H, W, 3) uint8 RGB, labels (H, W) uint8 where they are known."""

    stamp_ns: int
    image: np.ndarray
    labels: np.ndarray | None


def open_clip(
    path: str | Path, rate_hz: float, topic: str | None = None, labels_topic: str | None = None
) -> Iterator[ClipFrame]:
    """Yield the frames of a folder of images, a video file or a bag.

    A folder of images has no times: its frames are stamped ``rate_hz`` apart from 0 on. Labels are
    known for a folder with ``images`` and ``labels`` in it (CamVid ids or colours under the same
    stem), and for a bag with ``labels_topic``. ``topic`` is only for bags, None for the only one.

    Raises ``ValueError`` for a path that holds no clip.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"no such clip: {path}")
    if is_bag(path):
        from t2g_core.recordings.bag import pick_image_topic
        from t2g_core.recordings.bag_clip import bag_frames

        return bag_frames(path, pick_image_topic(path, topic), labels_topic)
    if path.is_dir():
        return folder_frames(path, rate_hz)
    if path.suffix == ".bag":
        raise ValueError(f"{path} is a bag of ROS 1: `rosbags-convert --src {path} --dst FOLDER`")
    from t2g_core.recordings.video_file import read_video

    return (ClipFrame(time_ns, image, None) for time_ns, image in read_video(path))


def usual_rate(path: str | Path, rate_hz: float, topic: str | None = None) -> float:
    """Frames a second of a clip, from the middle one of the steps between frames.

    `rate_hz` for a folder or a picture, and where the times of a bag stand still. Arguments and
    errors as of ``open_clip``.
    """
    path = Path(path)
    if is_bag(path):
        from t2g_core.recordings.bag_clip import bag_stamps

        return clip_rate(bag_stamps(path, topic), rate_hz)
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return rate_hz
    from t2g_core.recordings.video_file import video_rate

    return video_rate(path)


def clip_rate(stamps_ns: list[int], otherwise_hz: float) -> float:
    """Frames a second from the median step of the stamps; `otherwise_hz` where there is none."""
    steps = np.diff(np.asarray(stamps_ns, np.int64))
    step = float(np.median(steps)) if len(steps) else 0.0
    return NS / step if step > 0 else otherwise_hz


def folder_frames(path: Path, rate_hz: float) -> Iterator[ClipFrame]:
    """Yield the images of a folder, or of its ``images``, by number: frame 2 before frame 10."""
    if rate_hz <= 0:
        raise ValueError(f"rate_hz must be positive, got {rate_hz}")
    return _stamped_files(image_files(path), label_readers(path), rate_hz)


def image_files(path: Path) -> list[Path]:
    """The images of a folder, or of its ``images``, by number; ValueError where there is none."""
    images = path / "images" if (path / "images").is_dir() else path
    files = [f for f in visible(images.iterdir()) if f.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise ValueError(f"no image ({', '.join(IMAGE_SUFFIXES)}) in {images}")
    return sorted(by_stem(files).values(), key=by_number)


def label_readers(path: Path) -> dict[Path, Callable[[], np.ndarray]]:
    """By image, what reads the labels of a split's folder; empty for a folder without labels.

    The data set that the folder above has the layout of does the reading, with its own classes.
    """
    if not (path / "labels").is_dir():
        return {}
    root = path.resolve().parent
    dataset = open_dataset(recognise(root), root)
    frames = (frame for video in dataset.load_videos(path.name) for frame in video.frames)
    return {frame.image_path.resolve(): frame.read_label for frame in frames}


def _stamped_files(
    files: list[Path], readers: dict[Path, Callable[[], np.ndarray]], rate_hz: float
) -> Iterator[ClipFrame]:
    for index, file in enumerate(files):
        read = readers.get(file.resolve())
        labels = None if read is None else read()
        yield ClipFrame(round(index * NS / rate_hz), read_image(file), labels)


def fit(frames: Iterable[ClipFrame], max_width: int) -> Iterator[ClipFrame]:
    """Shrink frames that are wider than ``max_width``; labels keep their ids."""
    for frame in frames:
        height, width = frame.image.shape[:2]
        if width <= max_width:
            yield frame
            continue
        size = (max_width, round(height * max_width / width))
        labels = frame.labels
        if labels is not None:
            labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
        yield ClipFrame(
            frame.stamp_ns, cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), labels
        )

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a split on disk holds: frames, rates, gaps, class frequencies, and every faulty file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from t2g_core.data.video import Video, VideoFrame
from t2g_core.images.files import read_image
from t2g_core.labels import IGNORE_INDEX


@dataclass(frozen=True)
class Gap:
    """Frame numbers that a recording leaves out between two of its videos."""

    recording: str
    last_before: int
    first_after: int


@dataclass
class DataReport:
    """The findings; ``pixels`` counts labelled pixels by class, ``sizes`` images by (w, h)."""

    videos: int
    frames: int
    labelled: int
    rates_hz: dict[float, int]
    lengths: tuple[int, int]  # frames of the shortest and the longest video
    gaps: list[Gap]
    pixels: np.ndarray
    void_pixels: int = 0
    sizes: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FrameFindings:
    """Of one frame: its size, its labelled pixels by class, its void pixels, what is wrong."""

    size: tuple[int, int] | None
    pixels: np.ndarray
    void_pixels: int
    faults: tuple[str, ...]


def check_videos(
    videos: Sequence[Video],
    num_classes: int,
    workers: int = 4,
    on_frame: Callable[[], None] = lambda: None,
) -> DataReport:
    """Decode every file of ``videos`` and report; faults are collected, none is raised."""
    frames = [frame for video in videos for frame in video.frames]
    report = DataReport(
        videos=len(videos),
        frames=len(frames),
        labelled=sum(len(video.labelled) for video in videos),
        rates_hz=dict(Counter(round(video.rate_hz, 2) for video in videos)),
        lengths=(min(len(v.frames) for v in videos), max(len(v.frames) for v in videos)),
        gaps=find_gaps(videos),
        pixels=np.zeros(num_classes, dtype=np.int64),
    )
    sizes: dict[str, Counter] = {}
    first: dict[tuple, VideoFrame] = {}
    with ThreadPoolExecutor(workers) as pool:
        findings = pool.map(lambda frame: check_frame(frame, num_classes), frames)
        for frame, found in zip(frames, findings, strict=True):
            on_frame()
            report.pixels += found.pixels
            report.void_pixels += found.void_pixels
            report.faults += found.faults
            if found.size:
                report.sizes[found.size] += 1
                sizes.setdefault(frame.video, Counter())[found.size] += 1
                first.setdefault((frame.video, found.size), frame)
    report.faults += _odd_sizes(sizes, first)
    return report


def check_frame(frame: VideoFrame, num_classes: int) -> FrameFindings:
    """Decode one frame's files; a broken file or a label of another size is a fault."""
    faults: list[str] = []
    size, void, pixels = None, 0, np.zeros(num_classes, dtype=np.int64)
    try:
        height, width = read_image(frame.image_path).shape[:2]
        size = (width, height)
    except (ValueError, OSError) as error:
        faults.append(str(error))
    if frame.label_path is not None:
        try:
            label = frame.read_label()
            counts = np.bincount(label.ravel(), minlength=256)
            pixels, void = counts[:num_classes], int(counts[IGNORE_INDEX])
            if size and label.shape != (size[1], size[0]):
                faults.append(
                    f"{frame.label_path} is {label.shape[1]}x{label.shape[0]}, its image "
                    f"{size[0]}x{size[1]}; take both from the same release"
                )
        except (ValueError, OSError) as error:
            faults.append(str(error))
    return FrameFindings(size, pixels, void, tuple(faults))


def find_gaps(videos: Sequence[Video]) -> list[Gap]:
    """Where one recording goes on after frames that are not there."""
    return [
        Gap(a.frames[0].video, a.frames[-1].number, b.frames[0].number)
        for a, b in pairwise(videos)
        if a.frames[0].video == b.frames[0].video
        and a.frames[-1].number < b.frames[0].number
        and a.frames[0].image_path.parent == b.frames[0].image_path.parent
    ]


def _odd_sizes(sizes: dict[str, Counter], first: dict[tuple, VideoFrame]) -> list[str]:
    """Within a recording every image has one size; the rarer ones are faults."""
    faults = []
    for recording, counts in sizes.items():
        (usual, _), *odd = counts.most_common()
        faults += [
            f"{first[recording, size].image_path} is {size[0]}x{size[1]}, the other images of "
            f"{recording} {usual[0]}x{usual[1]} ({count} such files); copy them again"
            for size, count in odd
        ]
    return faults

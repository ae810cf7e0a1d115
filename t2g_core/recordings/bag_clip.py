# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The images of a bag as a clip."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from t2g_core.recordings.bag import (
    PackedMasks,
    image_times,
    pick_image_topic,
    read_images,
    read_masks,
)
from t2g_core.recordings.clip_source import ClipFrame
from t2g_core.streaming.continuity import NS

RATE_IMAGES = 300  # whose times give the rate


def bag_stamps(path: Path, topic: str | None) -> list[int]:
    """Times [ns] of the first images on a topic; None: the only one."""
    times = image_times(path, pick_image_topic(path, topic))
    return list(itertools.islice(times, RATE_IMAGES))


def bag_frames(path: Path, topic: str, labels_topic: str | None) -> Iterator[ClipFrame]:
    """Yield the images on ``topic``, each with the labels that have its stamp.

    Raises ``ValueError`` where a stamp repeats and its images and labels differ in number.
    """
    labels = PackedMasks(() if labels_topic is None else read_masks(path, labels_topic))
    repeated: Counter[int] = Counter()
    for image in read_images(path, topic):
        repeated[image.header_ns] += 1
        label = labels.take(image.header_ns)
        if label is None and labels_topic is not None and repeated[image.header_ns] > 1:
            raise ValueError(_unequal(path, image.header_ns, topic, labels_topic))
        yield ClipFrame(image.time_ns, image.pixels, label)
    for header_ns, count in repeated.items():
        if count > 1 and labels.count(header_ns):
            raise ValueError(_unequal(path, header_ns, topic, labels_topic))


def _unequal(path: Path, header_ns: int, topic: str, labels_topic: str | None) -> str:
    return (
        f"{path}: several messages are stamped {header_ns / NS:.9f}, and not as many on {topic} as "
        f"on {labels_topic}: nothing says which belong together"
    )

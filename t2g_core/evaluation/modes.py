# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The three ways to run a segmenter over a video; each is a function from images to masks.

``segmenter`` is a ``StreamingSegmenter`` or anything with its interface; ``images`` are
``(H, W, 3)`` uint8 RGB in the order of time, ``step_s`` seconds apart (0: unknown),
taken as late as possible; a mask is ``(H, W)`` uint8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from t2g_core.streaming.streaming_segmenter import StreamingSegmenter


def stream_masks(
    segmenter: StreamingSegmenter, images: Iterable[np.ndarray], step_s: float
) -> Iterator[np.ndarray]:
    """Segment as frames arrive: each mask rests on its frame and the ones before it."""
    state = segmenter.start()
    for image in images:
        result, state = segmenter.step(image, state, step_s)
        yield result.mask


def clip_masks(
    segmenter: StreamingSegmenter, images: Iterable[np.ndarray], step_s: float
) -> Iterator[np.ndarray]:
    """Segment clips of T frames that do not overlap, as the paper does; the last may be shorter.

    A recurrent method is never cut into clips: it streams.
    """
    if segmenter.recurrent:
        yield from stream_masks(segmenter, images, step_s)
        return
    images = iter(images)
    while clip := list(islice(images, segmenter.clip_length)):
        for result in segmenter.segment_clip(clip, step_s):
            yield result.mask


def frame_masks(
    segmenter: StreamingSegmenter, images: Iterable[np.ndarray], step_s: float
) -> Iterator[np.ndarray]:
    """Segment each frame on its own, from an empty state: the model without its memory."""
    for image in images:
        result, _ = segmenter.step(image, segmenter.start(), step_s)
        yield result.mask


MODES = {"stream": stream_masks, "clip": clip_masks, "frame": frame_masks}

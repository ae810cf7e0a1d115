# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Whether what is measured without labels says anything about what labels say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from t2g_core.faults.faults import well
from t2g_core.faults.scenes import Labelled
from t2g_core.faults.trials import Encoded, WatchedStream
from t2g_core.labels import IGNORE_INDEX
from t2g_core.metrics.mask_stability import MaskStability
from t2g_core.metrics.video_consistency import WindowCounter
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

WINDOW = 8  # frames; windows do not overlap


class WindowFigures(NamedTuple):
    """Of one window of eight frames, shares from 0 to 1.

    flicker_as_it_was, flicker: mean share of pixels that change class between neighbouring masks,
    compared place by place and along the motion; doubt: 1 - mean confidence. error: labelled pixels
    that are wrong; inconsistency: 1 - VC8, reading ``correct``.
    """

    flicker_as_it_was: float
    flicker: float
    doubt: float
    error: float
    inconsistency: float


WITHOUT_LABELS = ("flicker_as_it_was", "flicker", "doubt")
WITH_LABELS = ("error", "inconsistency")


def windows_of(
    segmenter: StreamingSegmenter,
    frames: Sequence[Labelled],
    rate_hz: float,
    on_frame: Callable[[], None] = lambda: None,
) -> list[WindowFigures]:
    """Segment a labelled clip and measure each window of eight frames of it."""
    stream = WatchedStream(segmenter, Encoded(segmenter), rate_hz)
    in_place = MaskStability(len(segmenter.class_names))
    rng, found = np.random.default_rng(0), []
    rows: list[tuple[float, float, float, float]] = []
    counter = WindowCounter(WINDOW)
    images = [image for image, _ in frames]
    for arrival, (_, labels) in zip(well(images), frames, strict=True):
        result, health, _ = stream.step(arrival, rng)
        before = in_place.update(result.mask, arrival.stamp)
        counter.update(result.mask, labels)
        known = labels != IGNORE_INDEX
        wrong = float((result.mask != labels)[known].mean()) if known.any() else np.nan
        rows.append(
            (1 - before.agreement, 1 - health.report.agreement, 1 - health.confidence, wrong)
        )
        if len(rows) == WINDOW:
            counts = counter.counts[-1]
            kept = counts.correct / counts.stable if counts.stable else np.nan
            found.append(WindowFigures(*np.nanmean(rows, axis=0), 1 - kept))
            rows = []
        on_frame()
    return found


def rank_correlations(windows: Sequence[WindowFigures]) -> dict[tuple[str, str], float]:
    """Spearman's rank correlation of each figure without labels with each one with them."""
    from scipy.stats import spearmanr

    columns = {name: [getattr(one, name) for one in windows] for name in WindowFigures._fields}
    return {
        (a, b): float(spearmanr(columns[a], columns[b], nan_policy="omit").statistic)
        for a in WITHOUT_LABELS
        for b in WITH_LABELS
    }

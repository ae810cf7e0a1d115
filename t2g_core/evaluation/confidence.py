# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""95 % confidence intervals over videos, by a seeded bootstrap.

Frames of one video are far from independent, so videos are what is drawn again with replacement;
the interval is that of the 2.5th to the 97.5th percentile.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from t2g_core.evaluation.evaluate import Evaluation
from t2g_core.metrics.iou import miou

RESAMPLES = 1000
SEED = 0


def interval(statistic: Callable[[np.ndarray], float], videos: int) -> tuple[float, float] | None:
    """The interval of ``statistic``, a function of how often each video was drawn, ``(V,)`` int64.

    None for fewer than two videos, or where no draw gives a number.
    """
    if videos < 2:
        return None
    rng = np.random.default_rng(SEED)
    draws = rng.multinomial(videos, np.full(videos, 1 / videos), size=RESAMPLES)
    values = np.array([statistic(times) for times in draws])
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def miou_interval(evaluation: Evaluation) -> tuple[float, float] | None:
    """Of the mIoU: the confusion matrix of a draw is the sum of its videos'."""
    matrices = np.stack([video.confmat for video in evaluation.videos])  # (V, K, K)
    return interval(lambda times: miou(np.tensordot(times, matrices, axes=1)), len(matrices))


def vc_interval(evaluation: Evaluation, window: int) -> tuple[float, float] | None:
    """Of VC_n, reading ``correct``: videos without a scored window have no part in it."""
    scores = [evaluation.vc_of([video], window).correct for video in evaluation.videos]
    known = np.array([score for score in scores if not np.isnan(score)])
    return interval(lambda times: float(times @ known / len(known)), len(known))

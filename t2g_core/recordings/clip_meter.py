# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a run over a clip is judged by: drops, latency, flicker, and accuracy where labels exist."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from t2g_core.metrics.iou import confusion_matrix, iou, miou
from t2g_core.metrics.json_values import percent, rounded
from t2g_core.metrics.mask_stability import MaskStability
from t2g_core.metrics.video_consistency import WINDOWS, WindowCounter, video_consistency


class ClipMeter:
    """Takes the masks of one clip in the order of time and sums up how good and steady they are.

    Where frames are missing between two masks, say so with ``gap``: no pair of masks and no
    consistency window reaches across.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self._stability = MaskStability(len(self.class_names), window=2)
        self._changes: list[float] = []
        self._flicker: list[np.ndarray] = []
        self._confmat = np.zeros((len(self.class_names),) * 2, np.int64)
        self._runs: list[list[WindowCounter]] = []

    def update(
        self, mask: np.ndarray, stamp_ns: int, labels: np.ndarray | None, gap: bool = False
    ) -> None:
        """Take the next mask ``(H, W)`` uint8 and, where they are known, its labels."""
        if gap:
            self._stability.reset()
        report = self._stability.update(mask, stamp_ns)
        if not math.isnan(report.agreement):
            self._changes.append(1 - report.agreement)
            self._flicker.append(report.flicker)
        if labels is None:
            return
        if gap or not self._runs:
            self._runs.append([WindowCounter(n) for n in WINDOWS])
        self._confmat += confusion_matrix(mask, labels, len(self.class_names))
        for counter in self._runs[-1]:
            counter.update(mask, labels)

    def compute(self) -> dict:
        """Return the figures as JSON values; what cannot be computed is None.

        ``flicker`` is the mean share of pixels that change class from one mask to the next [0..1],
        ``flicker_by_class`` the mean of 1 - IoU of a class's region in the two. ``miou``, ``iou``
        and ``vc8``, ``vc16`` are in percent; a clip without labels has None there.
        """
        labelled = bool(self._confmat.sum())
        return {
            "flicker": rounded(np.mean(self._changes)) if self._changes else None,
            "flicker_by_class": self._flicker_by_class(),
            "miou": percent(miou(self._confmat)) if labelled else None,
            "iou": self._iou() if labelled else None,
            **{f"vc{n}": self._vc(i) if labelled else None for i, n in enumerate(WINDOWS)},
        }

    def _flicker_by_class(self) -> dict[str, float | None]:
        by_class = {}
        for k, name in enumerate(self.class_names):
            seen = [flicker[k] for flicker in self._flicker if not math.isnan(flicker[k])]
            by_class[name] = rounded(np.mean(seen)) if seen else None
        return by_class

    def _iou(self) -> dict[str, float | None]:
        values = map(percent, iou(self._confmat))
        return dict(zip(self.class_names, values, strict=True))

    def _vc(self, window: int) -> dict:
        score = video_consistency([run[window].counts for run in self._runs])
        return {
            **{name: percent(getattr(score, name)) for name in ("stable", "correct", "vspw")},
            "windows": score.windows,
        }


def latency_summary(latencies_ms: Sequence[float]) -> dict[str, float | None]:
    """Return the median and the 95th percentile in milliseconds; None without a value."""
    if not len(latencies_ms):
        return {"p50": None, "p95": None}
    p50, p95 = np.percentile(latencies_ms, (50, 95))
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}

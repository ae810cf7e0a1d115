"""What a run over a clip is judged by: drops, latency, flicker, and accuracy where labels exist."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from t2g_core.metrics import confusion_matrix, iou, miou
from t2g_core.temporal_consistency import TemporalConsistency
from t2g_core.video_consistency import WindowCounter, video_consistency

WINDOWS = (8, 16)


class ClipMeter:
    """Takes the masks of one clip in the order of time and sums up how good and steady they are.

    Where frames are missing between two masks, say so with ``gap``: no pair of masks and no
    consistency window reaches across.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self._consistency = TemporalConsistency(len(self.class_names), window=2)
        self._changes: list[float] = []
        self._flicker: list[np.ndarray] = []
        self._confmat = np.zeros((len(self.class_names),) * 2, np.int64)
        self._runs: list[list[WindowCounter]] = []

    def add(
        self, mask: np.ndarray, stamp_s: float, labels: np.ndarray | None, gap: bool = False
    ) -> None:
        """Take the next mask ``(H, W)`` uint8 and, where they are known, its labels."""
        if gap:
            self._consistency.reset()
        report = self._consistency.update(mask, stamp_s)
        if not math.isnan(report.agreement):
            self._changes.append(1 - report.agreement)
            self._flicker.append(report.flicker)
        if labels is None:
            return
        if gap or not self._runs:
            self._runs.append([WindowCounter(n) for n in WINDOWS])
        self._confmat += confusion_matrix(mask, labels, len(self.class_names))
        for counter in self._runs[-1]:
            counter.push(mask, labels)

    def summary(self) -> dict:
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


def rounded(value: float) -> float | None:
    """Return a value for JSON, which knows no NaN."""
    return None if math.isnan(value) else round(float(value), 5)


def percent(value: float) -> float | None:
    """Return a fraction in percent, for JSON."""
    return None if math.isnan(value) else round(100 * float(value), 2)

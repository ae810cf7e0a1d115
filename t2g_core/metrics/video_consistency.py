# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Video consistency VC_n (paper, appendix C, Eq. 12), as fractions from 0 to 1.

How much of what stands still in the ground truth also stands still in the prediction? A window is
n consecutive frames of one video. The paper's M ∩ O has two readings, and both are reported:
``stable`` asks for a constant prediction, right or wrong, ``correct`` for a constant prediction
that equals the ground truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from t2g_core.labels import IGNORE_INDEX
from t2g_core.metrics.iou import check_masks

WINDOWS = (8, 16)  # n of the VC_n that are reported, in frames


class WindowCounts(NamedTuple):
    """Pixels of one window: label-stable ones, and how many of them the prediction kept."""

    stable: int
    constant: int
    correct: int


class ConsistencyScore(NamedTuple):
    """VC_n of a set of videos; a reading is NaN where no window could be scored.

    ``windows`` were scored, ``skipped_windows`` had no label-stable pixel, ``short_videos`` had
    fewer than n frames.
    """

    stable: float
    correct: float
    vspw: float
    windows: int
    skipped_windows: int
    short_videos: int


class WindowCounter:
    """Counts the windows of one video as its frames come, in the memory of a few masks.

    For each pixel it keeps for how many frames, up to n, the label has been one class, the
    prediction one class, and the prediction right. ``counts`` holds the windows so far. Use a new
    object for every video and every n.
    """

    def __init__(self, window: int) -> None:
        if not 1 <= window <= 255:
            raise ValueError(f"window must be 1 to 255 frames, got {window}")
        self.window = window
        self.counts: list[WindowCounts] = []
        self._frames = 0

    def update(self, preds: np.ndarray, target: np.ndarray) -> None:
        """Take the next frame's ``(H, W)`` uint8 masks; from the n-th on, count its window.

        Raises ``ValueError`` for other dtypes or when the shape changes.
        """
        check_masks(preds, target)
        if self._frames == 0:
            self._preds, self._target = preds.copy(), target.copy()
            self._label_run, self._preds_run, self._correct_run = np.zeros(
                (3, *preds.shape), dtype=np.uint8
            )
        elif preds.shape != self._preds.shape:
            raise ValueError(f"frames must stay {self._preds.shape}, got {preds.shape}")
        self._extend(self._label_run, counts=target != IGNORE_INDEX, same=target == self._target)
        self._extend(self._preds_run, counts=True, same=preds == self._preds)
        self._extend(self._correct_run, counts=preds == target, same=True)
        self._preds[...], self._target[...] = preds, target
        self._frames += 1
        if self._frames >= self.window:
            self.counts.append(self._count())

    def _extend(self, run: np.ndarray, counts: np.ndarray | bool, same: np.ndarray | bool) -> None:
        """Lengthen runs up to n; begin anew where not ``same``, at 0 where not ``counts``."""
        longer = np.where(same, np.minimum(run, self.window - 1) + 1, 1)
        run[...] = np.where(counts, longer, 0)

    def _count(self) -> WindowCounts:
        stable = self._label_run == self.window
        return WindowCounts(
            stable=int(stable.sum()),
            constant=int((stable & (self._preds_run == self.window)).sum()),
            correct=int((stable & (self._correct_run == self.window)).sum()),
        )


def count_windows(
    preds: Iterable[np.ndarray], target: Iterable[np.ndarray], window: int
) -> list[WindowCounts]:
    """Count all windows of one video given as two sequences of ``(H, W)`` uint8 masks."""
    counter = WindowCounter(window)
    for pair in zip(preds, target, strict=True):
        counter.update(*pair)
    return counter.counts


def video_consistency(videos: Sequence[Sequence[WindowCounts]]) -> ConsistencyScore:
    """Score the windows of several videos, one list of counts a video in the order of time, Eq. 12.

    ``stable`` and ``correct`` are means over videos of means over their windows. ``vspw`` repeats
    the script published with the VSPW data set: ``stable``, but each video's last window is left
    out and the windows of all videos share one mean. One departure: that script takes void for a
    label like any other, here void pixels are out. Windows without a label-stable pixel are
    skipped and counted; a video without any other has no part in the means.
    """
    shares = [_shares(windows) for windows in videos]
    scored = [pairs for pairs in shares if len(pairs)]
    macro = np.mean([pairs.mean(axis=0) for pairs in scored], axis=0) if scored else [np.nan] * 2
    pooled = np.concatenate([_shares(windows[:-1]) for windows in videos] or [_shares([])])
    windows = sum(len(pairs) for pairs in shares)
    return ConsistencyScore(
        stable=float(macro[0]),
        correct=float(macro[1]),
        vspw=float(pooled[:, 0].mean()) if len(pooled) else float("nan"),
        windows=windows,
        skipped_windows=sum(len(windows) for windows in videos) - windows,
        short_videos=sum(not windows for windows in videos),
    )


def _shares(windows: Sequence[WindowCounts]) -> np.ndarray:
    """Return ``(windows with a stable pixel, 2)``: the constant and the correct share of each."""
    shares = [(w.constant / w.stable, w.correct / w.stable) for w in windows if w.stable]
    return np.array(shares, dtype=np.float64).reshape(-1, 2)


def ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")

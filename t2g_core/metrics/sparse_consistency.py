# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""VC_n where few frames have a label (paper, appendix C, Eq. 13), as fractions from 0 to 1."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from t2g_core.data.video import Video
from t2g_core.labels import IGNORE_INDEX
from t2g_core.metrics.video_consistency import ConsistencyScore, ratio

STATIC_THRESHOLD = 10  # grey levels of 255
_LUMA = np.array([299, 587, 114], dtype=np.int32)  # thousandths, ITU-R BT.601


class SparseConsistency(NamedTuple):
    """Eq. 13 for one labelled frame: both readings (NaN without a static pixel) and context.

    ``start`` is the window's first frame, ``coverage`` the share of the labelled pixels that were
    static and so could be judged.
    """

    stable: float
    correct: float
    coverage: float
    start: int


def sparse_consistency(
    preds: np.ndarray,
    clean_frames: np.ndarray,
    label: np.ndarray,
    labelled: int,
    window: int,
    threshold: int = STATIC_THRESHOLD,
) -> SparseConsistency:
    """Score a video of which only frame ``labelled`` has a label, Eq. 13 (``approx``).

    ``preds`` is ``(T, H, W)`` uint8, ``clean_frames`` the ``(T, H, W, 3)`` uint8 RGB video before
    any corruption, ``label`` the ``(H, W)`` uint8 ground truth of frame ``labelled`` (from 0).
    A pixel is static where the grey value of every frame of the window is within ``threshold`` of
    255 of the labelled frame's.

    Departure: the paper's window starts at the labelled frame r, which for the Cityscapes snippets
    (r = 19 of 30) leaves no 16 frames. Here it starts at min(r, T - n), the last possible start,
    so that it always holds r. Raises ``ValueError`` for shapes that do not match, an r outside the
    video or fewer than n frames.
    """
    frames = len(preds)
    if clean_frames.shape != (*preds.shape, 3) or label.shape != preds.shape[1:]:
        raise ValueError(
            f"preds {preds.shape} need clean_frames {(*preds.shape, 3)} and label "
            f"{preds.shape[1:]}, got {clean_frames.shape} and {label.shape}"
        )
    if not 0 <= labelled < frames or not 1 <= window <= frames:
        raise ValueError(f"frame {labelled} or window {window} does not fit {frames} frames")
    start = min(labelled, frames - window)
    span = slice(start, start + window)
    valid = label != IGNORE_INDEX
    static = valid & static_pixels(clean_frames[span], clean_frames[labelled], threshold)
    constant = static & (preds[span] == preds[labelled]).all(axis=0)
    correct = constant & (preds[labelled] == label)
    return SparseConsistency(
        stable=ratio(constant.sum(), static.sum()),
        correct=ratio(correct.sum(), static.sum()),
        coverage=ratio(static.sum(), valid.sum()),
        start=start,
    )


def static_pixels(
    frames: np.ndarray, reference: np.ndarray, threshold: int = STATIC_THRESHOLD
) -> np.ndarray:
    """Return where no frame's grey value leaves the reference's by more than ``threshold``.

    ``frames`` is ``(n, H, W, 3)``, ``reference`` ``(H, W, 3)``, both uint8 RGB; the result is
    ``(H, W)`` bool. Integers throughout, so that a difference of exactly that is static everywhere.
    """
    reference_gray = reference.astype(np.int32) @ _LUMA  # (H, W), thousandths of a grey level
    static = np.ones(reference.shape[:2], dtype=bool)
    for frame in frames:
        static &= np.abs(frame.astype(np.int32) @ _LUMA - reference_gray) <= 1000 * threshold
    return static


class SparseWindows:
    """Scores the window of every labelled frame of one video as soon as its last frame is there.

    A window of n starts at its labelled frame r, or as late as the video allows where it would
    not fit: min(r, C - n). ``scores`` holds, by n, one score a labelled frame.
    """

    def __init__(
        self, video: Video, windows: Sequence[int], threshold: int = STATIC_THRESHOLD
    ) -> None:
        self._threshold = threshold
        self.scores: dict[int, list[SparseConsistency]] = {n: [] for n in windows}
        count = len(video.frames)
        self._due: dict[int, list[tuple[int, int]]] = {}  # by last frame: (window, labelled)
        for n in (n for n in windows if n <= count):
            for labelled in video.labelled:
                last = min(labelled, count - n) + n - 1
                self._due.setdefault(last, []).append((n, labelled))
        self._held: deque = deque(maxlen=max(windows))
        self._labels = dict.fromkeys(video.labelled)
        self._frame = 0

    def update(self, preds: np.ndarray, clean_frame: np.ndarray, target: np.ndarray) -> None:
        """Take the next frame: ``(H, W)`` uint8 masks and its uncorrupted ``(H, W, 3)`` image."""
        self._held.append((preds, clean_frame))
        if self._frame in self._labels:
            self._labels[self._frame] = target
        for window, labelled in self._due.pop(self._frame, []):
            held = list(self._held)[-window:]
            first = self._frame - window + 1
            score = sparse_consistency(
                np.stack([mask for mask, _ in held]),
                np.stack([image for _, image in held]),
                self._labels[labelled],
                labelled - first,
                window,
                self._threshold,
            )
            self.scores[window].append(score._replace(start=first))
        self._frame += 1


def sparse_video_consistency(videos: Sequence[Sequence[SparseConsistency]]) -> ConsistencyScore:
    """VC_n^approx: the mean over videos of means over their labelled frames, Eq. 13.

    Labelled frames without a static pixel are skipped and counted. There is no ``vspw`` reading.
    """
    scored = [[s for s in video if not np.isnan(s.stable)] for video in videos]
    means = [np.mean([(s.stable, s.correct) for s in video], axis=0) for video in scored if video]
    stable, correct = np.mean(means, axis=0) if means else (np.nan, np.nan)
    windows = sum(map(len, scored))
    return ConsistencyScore(
        stable=float(stable),
        correct=float(correct),
        vspw=float("nan"),
        windows=windows,
        skipped_windows=sum(map(len, videos)) - windows,
        short_videos=sum(not video for video in videos),
    )

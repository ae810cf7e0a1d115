"""Eq. 13 while a video streams by: windows around its labelled frames, in a short memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from t2g_core.video_consistency import ConsistencyScore, SparseConsistency, sparse_consistency
from t2g_core.video_frames import Video


class SparseWindows:
    """Scores the window of every labelled frame of one video as soon as its last frame is there.

    A window of n starts at its labelled frame r, or as late as the video allows where it would
    not fit: min(r, C - n). ``scores`` holds, by n, one score a labelled frame.
    """

    def __init__(self, video: Video, windows: Sequence[int]) -> None:
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

    def push(self, preds: np.ndarray, clean_frame: np.ndarray, target: np.ndarray) -> None:
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

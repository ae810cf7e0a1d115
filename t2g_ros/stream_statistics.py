# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What the node counts and times, for its diagnostics."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np

from t2g_ros.log import shortened

# Why a received image got no mask.
NEWER_FRAME = "newer_frame"  # a newer image came before the model had time for it
BAD_IMAGE = "bad_image"  # it cannot be read
INFERENCE_ERROR = "inference_error"  # the model failed on it
DISABLED = "disabled"  # someone has switched segmentation off
RATE_LIMIT = "rate_limit"  # it came sooner than max_rate_hz allows
CAUSES = (NEWER_FRAME, BAD_IMAGE, INFERENCE_ERROR, DISABLED, RATE_LIMIT)

LATENCY_WINDOW_S = 30.0
ERROR_MEMORY_S = 60.0  # an error is reported for so long
RATE_WINDOW_S = 10.0


@dataclass(frozen=True)
class StatisticsSnapshot:
    """The counters since the start, and rates and latencies of late.

    Attributes:
        received: images that came.
        masks: images that got a mask.
        dropped: for each cause in CAUSES, images that did not.
        lost: images that the middleware says were sent and did not come.
        last_error: the last problem with an image or the model, and how long ago it was; empty if
            there was none within ERROR_MEMORY_S.
        input_rate_hz, mask_rate_hz: over the last RATE_WINDOW_S seconds.
        latency_p50_ms, latency_p95_ms: from an image's arrival to its mask's publication, over the
            last LATENCY_WINDOW_S seconds; NaN without a mask in them.
        silence_s: time since the last image came, or since the start.
        unanswered_s: time since inference was offered an image and has answered none; else 0.
    """

    received: int
    masks: int
    dropped: dict[str, int]
    lost: int
    last_error: str
    input_rate_hz: float
    mask_rate_hz: float
    latency_p50_ms: float
    latency_p95_ms: float
    silence_s: float
    unanswered_s: float


class StreamStatistics:
    """Counts images, masks and drops. Every method may be called from any thread.

    Times are readings of a monotonic clock [s], given by the caller.
    """

    def __init__(self, now_s: float) -> None:
        self._lock = threading.Lock()
        self._started_s = now_s
        self._received = 0
        self._masks = 0
        self._dropped: Counter[str] = Counter()
        self._lost = 0
        self._last_error, self._last_error_s = "", now_s
        self._unanswered_since_s: float | None = None
        self._last_arrival_s = now_s
        self._arrivals_s: deque[float] = deque()
        self._masks_s: deque[float] = deque()
        self._latencies_s: deque[tuple[float, float]] = deque()  # when, and how long

    def listening_from(self, now_s: float) -> None:
        """Note that images are awaited from now on: silence before it does not count."""
        with self._lock:
            self._last_arrival_s = now_s
            self._unanswered_since_s = None

    def image_received(self, now_s: float) -> None:
        with self._lock:
            self._received += 1
            self._last_arrival_s = now_s
            _append_recent(self._arrivals_s, now_s)

    def mask_published(self, arrival_s: float, now_s: float) -> None:
        """Count a mask; arrival_s is when its image came."""
        with self._lock:
            self._masks += 1
            self._unanswered_since_s = None
            self._latencies_s.append((now_s, now_s - arrival_s))
            _append_recent(self._masks_s, now_s)

    def image_offered(self, now_s: float) -> None:
        """Note that inference has an image to work on: from now on an answer is due."""
        with self._lock:
            if self._unanswered_since_s is None:
                self._unanswered_since_s = now_s

    def image_answered(self) -> None:
        """Note that inference has done with an image, though without a mask."""
        with self._lock:
            self._unanswered_since_s = None

    def images_lost(self, count: int) -> None:
        """Count images that the middleware lost on their way."""
        with self._lock:
            self._lost += count

    def image_dropped(self, cause: str, error: str = "", now_s: float = 0.0) -> int:
        """Count an image without a mask, with its error if it had one; return the cause's count.

        Raises:
            ValueError: `cause` is not in CAUSES.
        """
        if cause not in CAUSES:
            raise ValueError(f"cause: expected one of {', '.join(CAUSES)}; got {cause!r}")
        with self._lock:
            self._dropped[cause] += 1
            if error:
                self._last_error, self._last_error_s = shortened(error), now_s
            return self._dropped[cause]

    def snapshot(self, now_s: float) -> StatisticsSnapshot:
        """Everything at one moment."""
        with self._lock:
            while self._latencies_s and self._latencies_s[0][0] < now_s - LATENCY_WINDOW_S:
                self._latencies_s.popleft()
            latencies_ms = 1000 * np.array([s for _, s in self._latencies_s] or [math.nan])
            p50, p95 = np.percentile(latencies_ms, [50, 95])
            window_s = min(RATE_WINDOW_S, now_s - self._started_s)
            return StatisticsSnapshot(
                received=self._received,
                masks=self._masks,
                dropped={cause: self._dropped[cause] for cause in CAUSES},
                lost=self._lost,
                last_error=self._recent_error(now_s),
                input_rate_hz=_rate_hz(self._arrivals_s, now_s, window_s),
                mask_rate_hz=_rate_hz(self._masks_s, now_s, window_s),
                latency_p50_ms=float(p50),
                latency_p95_ms=float(p95),
                silence_s=now_s - self._last_arrival_s,
                unanswered_s=self._unanswered_s(now_s),
            )

    def _unanswered_s(self, now_s: float) -> float:
        since_s = self._unanswered_since_s
        return 0.0 if since_s is None else now_s - since_s

    def _recent_error(self, now_s: float) -> str:
        age_s = now_s - self._last_error_s
        if not self._last_error or age_s > ERROR_MEMORY_S:
            return ""
        return f"{self._last_error} ({age_s:.0f} s ago)"


def _append_recent(times_s: deque[float], now_s: float) -> None:
    """Append now_s and forget what is older than the rates look back."""
    times_s.append(now_s)
    while times_s[0] < now_s - RATE_WINDOW_S:
        times_s.popleft()


def _rate_hz(times_s: deque[float], now_s: float, window_s: float) -> float:
    recent = sum(time_s >= now_s - window_s for time_s in times_s)
    return recent / window_s if window_s > 0 else 0.0

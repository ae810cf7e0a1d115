# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A recording segmented frame by frame, without drops."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from t2g_core.health.limits import HealthLimits
from t2g_core.health.stream_health import StreamHealth, in_order
from t2g_core.health.timing_watch import TimingWatch
from t2g_core.recordings.clip_meter import latency_summary
from t2g_core.recordings.clip_source import ClipFrame
from t2g_core.recordings.result_folder import MaskedFrame, write_report
from t2g_core.recordings.timeline import Timeline
from t2g_core.streaming.continuity import FrameInfo
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.streaming.video_segmenter import VideoSegmenter


class OfflineRun:
    """Segments the frames of a recording in turn; afterwards it knows times and a digest, and how
    far the masks can be trusted (``timeline``).

    The memory is emptied where the node would do so (`continuity.py`); ``resets`` counts it by
    reason, the start included.
    """

    def __init__(self, segmenter: StreamingSegmenter, max_gap_s: float) -> None:
        self.video = VideoSegmenter(segmenter)
        self.timeline = Timeline()
        self._health, self._timing = StreamHealth(segmenter), TimingWatch()
        self.max_gap_s = max_gap_s
        self.resets: dict[str, int] = {}
        self.latencies_ms: list[float] = []
        self.stamps_ns: list[int] = []
        self.error: ValueError | None = None
        self._digest = hashlib.sha256()

    def segment(self, frames: Iterable[ClipFrame]) -> Iterator[MaskedFrame]:
        """Yield each frame with its mask.

        An error of the frames ends them and stays in ``error``, so that what was segmented before
        is written.
        """
        for frame in self._until_error(frames):
            started = time.perf_counter()
            segmented = self.video.segment(
                frame.image, FrameInfo(frame.stamp_ns, frame.image.shape[:2]), self.max_gap_s
            )
            self.latencies_ms.append(1e3 * (time.perf_counter() - started))
            self.stamps_ns.append(frame.stamp_ns)
            reset = segmented.reset
            if reset is not None:
                self.resets[reset.reason] = self.resets.get(reset.reason, 0) + 1
            health = self._health.update(frame.image, segmented, frame.stamp_ns, HealthLimits())
            found = in_order(self._timing.update(frame.stamp_ns) + health.findings)
            self.timeline.add(frame.stamp_ns, health, found)
            self._digest.update(np.ascontiguousarray(segmented.result.mask))
            yield MaskedFrame(frame, segmented.result.mask)

    def _until_error(self, frames: Iterable[ClipFrame]) -> Iterator[ClipFrame]:
        try:
            yield from frames
        except ValueError as error:
            self.error = error

    def finish(self, out: Path, report: dict) -> None:
        """Write the report; raise ``error`` afterwards, where the frames ended with one."""
        problem = {} if self.error is None else {"error": str(self.error)}
        write_report(out, report | problem)
        if self.error is not None:
            count = len(self.latencies_ms)
            raise ValueError(f"{self.error}; the results of {count} frames before are in {out}")

    @property
    def masks_sha256(self) -> str:
        """Digest of all masks in order: equal runs have equal digests."""
        return self._digest.hexdigest()


def offline_report(offline: OfflineRun, scores: dict) -> dict:
    """Return the report of a finished run; the keys are those of the demo's report."""
    count, seconds = len(offline.latencies_ms), sum(offline.latencies_ms) / 1e3
    return {
        "frames_sent": count,
        "masks_received": count,
        "dropped": 0,
        "latency_ms": latency_summary(offline.latencies_ms),
        "fps": round(count / seconds, 3) if seconds else None,
        "resets": offline.resets,
        **offline.timeline.record(),
        **scores,
        "masks_sha256": offline.masks_sha256,
    }

"""One camera's video through the model: the clip buffer, its resets and the consistency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from t2g_core.streaming import SegmentationResult, StreamingSegmenter
from t2g_core.temporal_consistency import TemporalConsistency, TemporalConsistencyReport
from t2g_ros.continuity import START, FrameInfo, Reset, reset_between


@dataclass(frozen=True)
class SegmentedFrame:
    """A frame's result; `reset` says why the buffers were emptied before it, None if not."""

    result: SegmentationResult
    report: TemporalConsistencyReport
    buffer_fill: int
    reset: Reset | None


class VideoSegmenter:
    """Feeds the frames of one video to a segmenter, which other videos may share."""

    def __init__(self, segmenter: StreamingSegmenter, consistency_window: int) -> None:
        self.segmenter = segmenter
        self.consistency = TemporalConsistency(len(segmenter.class_names), consistency_window)
        self.reset(START)

    def reset(self, reset: Reset) -> None:
        """Empty the buffers; the next frame's `reset` is this one."""
        self.consistency.reset()
        self._state = self.segmenter.start()
        self._previous: FrameInfo | None = None
        self._reset: Reset | None = reset

    def segment(self, image: np.ndarray, stamp_s: float, max_gap_s: float) -> SegmentedFrame:
        """Segment the video's next frame, after a reset where it does not continue the last one.

        image (H, W, 3) uint8 RGB; stamp_s when it was taken [s]; max_gap_s see `reset_between`.
        """
        frame = FrameInfo(stamp_s, image.shape[:2])
        if self._previous is not None:
            reset = reset_between(self._previous, frame, max_gap_s)
            if reset is not None:
                self.reset(reset)
        result, self._state = self.segmenter.step(image, self._state)
        report = self.consistency.update(result.mask, stamp_s)
        reset, self._reset, self._previous = self._reset, None, frame
        return SegmentedFrame(result, report, self._state.fill, reset)

"""One camera's video through the model: the clip buffer, its resets and the stability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from t2g_core.metrics.mask_stability import MaskStability, MaskStabilityReport
from t2g_core.streaming.continuity import FIRST_FRAME, FrameInfo, Reset, reset_between
from t2g_core.streaming.streaming_segmenter import SegmentationResult, StreamingSegmenter


@dataclass(frozen=True)
class SegmentedFrame:
    """A frame's result; `reset` says why the buffers were emptied before it, None if not."""

    result: SegmentationResult
    report: MaskStabilityReport
    buffer_fill: int
    reset: Reset | None


class VideoSegmenter:
    """Feeds the frames of one video to a segmenter, which other videos may share."""

    def __init__(self, segmenter: StreamingSegmenter, stability_window: int) -> None:
        self.segmenter = segmenter
        self.stability = MaskStability(len(segmenter.class_names), stability_window)
        self.reset(FIRST_FRAME)

    def reset(self, reset: Reset) -> None:
        """Empty the buffers; the next frame's `reset` is this one."""
        self.stability.reset()
        self._state = self.segmenter.start()
        self._previous: FrameInfo | None = None
        self._reset: Reset | None = reset

    def segment(self, image: np.ndarray, frame: FrameInfo, max_gap_s: float) -> SegmentedFrame:
        """Segment the video's next frame, after a reset where it does not continue the last one.

        image (H, W, 3) uint8 RGB; max_gap_s see `reset_between`.
        """
        if self._previous is not None:
            reset = reset_between(self._previous, frame, max_gap_s)
            if reset is not None:
                self.reset(reset)
        result, self._state = self.segmenter.step(image, self._state)
        report = self.stability.update(result.mask, frame.stamp_ns)
        reset, self._reset, self._previous = self._reset, None, frame
        return SegmentedFrame(result, report, self._state.fill, reset)

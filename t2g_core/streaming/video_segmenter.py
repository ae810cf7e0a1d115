# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One camera's video through the model: which frames continue it, and which are remembered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from t2g_core.images.motion import Motion
from t2g_core.streaming.continuity import FIRST_FRAME, NS, FrameInfo, Reset, reset_between
from t2g_core.streaming.streaming_segmenter import (
    EncodedFrame,
    SegmentationResult,
    StreamingSegmenter,
)


@dataclass(frozen=True)
class ClipStride:
    """How far apart the frames are that are remembered; every frame gets a mask.

    A frame stays where it comes at least `frames` frames, and about `seconds` by the stamps, after
    the last that stayed. "About": within half the step to the frame before it, so that stamps that
    waver choose the frame nearest to the stride.
    """

    frames: int = 1
    seconds: float = 0.0

    def is_reached(self, frames: int, since_s: float, step_s: float) -> bool:
        """frames, since_s: from the last frame that stayed; step_s: from the frame before."""
        return frames >= self.frames and since_s + step_s / 2 >= self.seconds


@dataclass(frozen=True)
class SegmentedFrame:
    """A frame's result; `reset` says why the memory was emptied before it, None if not.

    memory_fill: share of its memory that the method had filled, 0 to 1, None where it does not say;
    stays: whether later masks see this frame. motion: its optical flow against the video's frame
    before it, where the method has found that; None else.
    """

    result: SegmentationResult
    memory_fill: float | None
    reset: Reset | None
    stays: bool = True
    motion: Motion | None = None


class VideoSegmenter:
    """Feeds the frames of one video to a segmenter, which other videos may share."""

    def __init__(self, segmenter: StreamingSegmenter) -> None:
        self.segmenter = segmenter
        self.reset(FIRST_FRAME)

    def reset(self, reset: Reset) -> None:
        """Empty the memory; the next frame's `reset` is this one."""
        self._state = self.segmenter.start()
        self._previous: FrameInfo | None = None
        self._stayed_ns, self._passed = 0, 0  # the last frame that stayed, and frames since
        self._reset: Reset | None = reset

    def segment(
        self,
        image: np.ndarray,
        frame: FrameInfo,
        max_gap_s: float,
        stride: ClipStride = ClipStride(),  # noqa: B008, a value
    ) -> SegmentedFrame:
        """Segment the video's next frame, after a reset where it does not continue the last one.

        image (H, W, 3) uint8 RGB; max_gap_s see `reset_between`.
        """
        return self.segment_encoded(self.segmenter.encode(image), frame, max_gap_s, stride)

    def segment_encoded(
        self, encoded: EncodedFrame, frame: FrameInfo, max_gap_s: float, stride: ClipStride
    ) -> SegmentedFrame:
        """`segment` for a frame that is encoded already."""
        if self._previous is not None:
            reset = reset_between(self._previous, frame, max_gap_s)
            if reset is not None:
                self.reset(reset)
        stays = self._stays(frame, stride)
        result, state = self.segmenter.step_encoded(encoded, self._state, self._since_s(frame))
        reset, self._reset, self._previous = self._reset, None, frame
        motion = state.motion if reset is None and self._passed == 0 else None
        self._passed += 1
        if stays:
            self._state, self._stayed_ns, self._passed = state, frame.stamp_ns, 0
        return SegmentedFrame(result, state.memory_fill, reset, stays, motion)

    def _stays(self, frame: FrameInfo, stride: ClipStride) -> bool:
        if self._previous is None:
            return True
        since_s = self._since_s(frame)
        step_s = (frame.stamp_ns - self._previous.stamp_ns) / NS
        return stride.is_reached(self._passed + 1, since_s, step_s)

    def _since_s(self, frame: FrameInfo) -> float:
        """Time since the last frame that stayed [s]; 0 before the first."""
        return 0.0 if self._previous is None else (frame.stamp_ns - self._stayed_ns) / NS

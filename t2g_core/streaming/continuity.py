# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""When a frame does not continue the video before it, so that the memory starts anew."""

from __future__ import annotations

from dataclasses import dataclass

NS = 1_000_000_000  # nanoseconds in a second

MAX_GAP_S = 3.0  # by default, the largest step between two stamps within a clip

START = "start"
STAMP_WENT_BACK = "stamp_went_back"
GAP = "gap"
IMAGE_SIZE = "image_size"
FRAME_ID = "frame_id"
INFERENCE_ERROR = "inference_error"
REQUEST = "request"


@dataclass(frozen=True)
class FrameInfo:
    """What continuity is judged by: stamp [ns], size (height, width), and whose image it is."""

    stamp_ns: int
    size: tuple[int, int]
    frame_id: str = ""


@dataclass(frozen=True)
class Reset:
    """Why the buffer was emptied: a constant above (the message has one for each), and in words."""

    reason: str
    detail: str


FIRST_FRAME = Reset(START, "first frame")


def reset_between(previous: FrameInfo, frame: FrameInfo, max_gap_s: float) -> Reset | None:
    """Why `frame` cannot follow `previous` in one clip; None if it can.

    A stamp that repeats is no break: some drivers stamp coarsely or not at all.

    previous: the last frame that was segmented.
    max_gap_s: the largest step between two stamps within a clip [s].
    """
    if frame.frame_id != previous.frame_id:
        return Reset(
            FRAME_ID,
            f"frame_id {frame.frame_id[:80]!r} after {previous.frame_id[:80]!r}: "
            "two cameras on one topic?",
        )
    step_s = (frame.stamp_ns - previous.stamp_ns) / NS
    if step_s < 0:
        return Reset(STAMP_WENT_BACK, f"the stamp went back by {-step_s:.9g} s")
    if step_s > max_gap_s:
        return Reset(
            GAP,
            f"{step_s:.3f} s since the last frame, more than max_gap_s = {max_gap_s:g}",
        )
    if frame.size != previous.size:
        height, width = frame.size
        return Reset(
            IMAGE_SIZE,
            f"{width}x{height} pixels after {previous.size[1]}x{previous.size[0]}",
        )
    return None

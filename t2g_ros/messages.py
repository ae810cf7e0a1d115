# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Results to messages: arrays and reports in, filled messages out."""

from __future__ import annotations

import math

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import ColorRGBA, Header

from t2g_core.health.stream_health import FrameHealth
from t2g_core.streaming.continuity import Reset
from t2g_core.streaming.video_segmenter import SegmentedFrame
from t2g_ros.msg import ClassList, TemporalConsistency

CHANNELS = {"mono8": 1, "rgb8": 3}


def image_message(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    """An image message with this header.

    pixels: (H, W) uint8 for mono8, (H, W, 3) uint8 for rgb8.

    Raises:
        ValueError: `pixels` does not have the encoding's channels or is not uint8.
    """
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.uint8 or CHANNELS.get(encoding) != channels:
        raise ValueError(f"expected uint8 pixels for {encoding}, got {pixels.shape} {pixels.dtype}")
    message = Image(header=header, encoding=encoding)
    message.height, message.width = pixels.shape[:2]
    message.step = message.width * channels
    # Assigning an array to `data` checks every byte in Python, 600 ms for 1080p; this copies.
    message.data.frombytes(np.ascontiguousarray(pixels))
    return message


def class_list_message(
    class_names: tuple[str, ...], palette: np.ndarray, header: Header
) -> ClassList:
    """What mask values mean; palette (K, 3) uint8 RGB."""
    colors = [ColorRGBA(r=r, g=g, b=b, a=1.0) for r, g, b in (palette / 255.0).tolist()]
    return ClassList(header=header, names=list(class_names), colors=colors)


def temporal_consistency_message(
    frame: SegmentedFrame,
    health: FrameHealth,
    motion_corrected: bool,
    class_names: tuple[str, ...],
    header: Header,
) -> TemporalConsistency:
    """The message that goes with a mask; `header` is the image's."""
    reset, report = frame.reset or Reset("none", ""), health.report
    return TemporalConsistency(
        header=header,
        interval_s=report.interval_s,
        motion_corrected=motion_corrected,
        compared_share=report.compared_share,
        agreement=report.agreement,
        stable_share=report.stable_share,
        window_fill=report.fill,
        window_length=report.window,
        class_names=list(class_names),
        flicker=report.flicker.tolist(),
        mean_confidence=health.confidence,
        memory_fill=math.nan if frame.memory_fill is None else frame.memory_fill,
        remembered=frame.stays,
        reset_reason=getattr(TemporalConsistency, f"RESET_{reset.reason.upper()}"),
        reset_detail=reset.detail,
    )

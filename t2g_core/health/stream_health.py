# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One camera's images and masks, watched together."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from t2g_core.health.findings import KINDS, Finding
from t2g_core.health.image_watch import ImageWatch, signs_of
from t2g_core.health.limits import HealthLimits
from t2g_core.health.mask_watch import MaskWatch
from t2g_core.metrics.mask_stability import MaskStability, MaskStabilityReport
from t2g_core.streaming.continuity import FRAME_ID, IMAGE_SIZE
from t2g_core.streaming.mask_motion import MaskMotion
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.streaming.video_segmenter import SegmentedFrame

COMPARED_SIDE = 640  # pixels; larger masks are compared on every second, third ... row and column


class FrameHealth(NamedTuple):
    """Of one frame.

    report: its mask against those before. confidence: mean probability of the winning class [0..1].
    flicker: share of the compared pixels that changed class, mean over eight masks [0..1], NaN
    before two. confidence_drop, confidence_trend: see `MaskWatch`. findings: what is wrong now, in
    the order of `KINDS`.
    """

    report: MaskStabilityReport
    confidence: float
    flicker: float
    confidence_drop: float
    confidence_trend: float
    findings: list[Finding]


class StreamHealth:
    """How steady and sure one camera's masks are, and what is wrong with them or its images."""

    def __init__(self, segmenter: StreamingSegmenter, window: int = 8) -> None:
        """segmenter: whose masks they are; window: of the report, in masks."""
        self._motion = MaskMotion(segmenter.input_size)
        self._stability = MaskStability(len(segmenter.class_names), window)
        self._images = ImageWatch()
        self._masks = MaskWatch(segmenter.labelling.source_confidence)

    def update(
        self,
        image: np.ndarray,
        segmented: SegmentedFrame,
        stamp_ns: int,
        limits: HealthLimits,
        motion_correction: bool = True,
    ) -> FrameHealth:
        """Take the next image, (H, W, 3) uint8 RGB, and what came of it.

        motion_correction: whether its mask is compared with the one before moved along the flow.
        """
        reset, result = segmented.reset, segmented.result
        if reset is not None:
            self._stability.reset()
            self._masks.reset()
            if reset.reason in (IMAGE_SIZE, FRAME_ID):  # another camera
                self._images.reset()
        motion = self._motion.update(image, segmented) if motion_correction else None
        step = math.ceil(max(image.shape[:2]) / COMPARED_SIDE)
        mask = np.ascontiguousarray(result.mask[::step, ::step])
        report = self._stability.update(mask, stamp_ns, motion)
        confidence = float(result.confidence.mean() / 255)
        found = self._images.update(signs_of(image), limits)
        found += self._masks.update(report, confidence, stamp_ns, limits)
        watch = self._masks
        return FrameHealth(
            report,
            confidence,
            watch.flicker,
            watch.confidence_drop,
            watch.confidence_trend,
            in_order(found),
        )


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """As `KINDS` stand: what explains another comes first."""
    return sorted(findings, key=lambda finding: KINDS.index(finding.kind))


class FoundSince:
    """What was found since somebody last asked, from whatever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, Finding] = {}

    def add(self, findings: Iterable[Finding]) -> None:
        """Note them; a kind's last sentence counts, and its worst level."""
        with self._lock:
            for finding in findings:
                before = self._found.get(finding.kind)
                level = finding.level if before is None else max(before.level, finding.level)
                self._found[finding.kind] = Finding(finding.kind, level, finding.sentence)

    def take(self) -> list[Finding]:
        """All of them in the order of `KINDS`; the next call has what comes from now on."""
        with self._lock:
            found, self._found = self._found, {}
        return in_order(found.values())

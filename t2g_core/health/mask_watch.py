# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Whether a model's masks hold still and are sure, told without labels."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection

from t2g_core.health.findings import FLICKER, LOW_CONFIDENCE, Finding
from t2g_core.health.limits import HealthLimits, level_of
from t2g_core.metrics.mask_stability import MaskStabilityReport
from t2g_core.streaming.continuity import NS

WINDOW = 8  # masks whose figures are averaged
LEAST_COMPARED = 0.1  # of the image, to judge how steady it is
TREND_S = 4.0  # over which a fall of the confidence is told
MOST_REMEMBERED = 500  # masks


class MaskWatch:
    """Takes the figures of every mask of one camera and says what is wrong with them.

    source_confidence: mean probability of the winning class that the model has on the domain it was
    trained for [0..1]; None where nobody knows, and then confidence is not judged.
    """

    def __init__(self, source_confidence: float | None) -> None:
        self._source = source_confidence
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next mask is the first of another one."""
        self._changes: deque[float] = deque(maxlen=WINDOW)
        self._confidences: deque[float] = deque(maxlen=WINDOW)
        # Stamp [ns] and windowed confidence; stamps that stand still would fill it without end.
        self._history: deque[tuple[int, float]] = deque(maxlen=MOST_REMEMBERED)

    @property
    def flicker(self) -> float:
        """Share of the compared pixels that changed class from one mask to the next, mean over the
        window [0..1]; NaN before two masks.
        """
        return mean(self._changes)

    @property
    def confidence(self) -> float:
        """Mean probability of the winning class, mean over the window [0..1]; NaN before a mask."""
        return mean(self._confidences)

    @property
    def confidence_drop(self) -> float:
        """How far the confidence lies below the source domain's [-1..1]; NaN where unknown."""
        return math.nan if self._source is None else self._source - self.confidence

    @property
    def confidence_trend(self) -> float:
        """Change of the confidence over the last four seconds [-1..1]."""
        return self.confidence - self._history[0][1] if self._history else 0.0

    def update(
        self, report: MaskStabilityReport, confidence: float, stamp_ns: int, limits: HealthLimits
    ) -> list[Finding]:
        """Take the next mask's report and mean confidence [0..1]; what is wrong now."""
        if report.compared_share >= LEAST_COMPARED:
            self._changes.append(1 - report.agreement)
        self._confidences.append(confidence)
        self._history.append((stamp_ns, self.confidence))
        while self._history[0][0] < stamp_ns - TREND_S * NS:
            self._history.popleft()
        return self._judge_flicker(limits) + self._judge_confidence(limits)

    def _judge_flicker(self, limits: HealthLimits) -> list[Finding]:
        level = level_of(self.flicker, limits.flicker_warning, limits.flicker_error)
        if level is None or len(self._changes) < WINDOW // 2:
            return []
        sentence = f"masks flicker: {100 * self.flicker:.1f} % of the pixels that were found again "
        return [Finding(FLICKER, level, sentence + "change class from one mask to the next")]

    def _judge_confidence(self, limits: HealthLimits) -> list[Finding]:
        warning, error = limits.confidence_drop_warning, limits.confidence_drop_error
        level = level_of(self.confidence_drop, warning, error)
        if level is None or len(self._confidences) < WINDOW // 2:
            return []
        sentence = (
            f"the model is {100 * self.confidence:.0f} % sure on average, on its own domain "
            f"{100 * self._source:.0f} %"
        )
        trend = 100 * self.confidence_trend
        if abs(trend) >= 1:
            way = "fallen" if trend < 0 else "risen"
            sentence += f"; {way} by {abs(trend):.0f} in the last {TREND_S:g} s"
        return [Finding(LOW_CONFIDENCE, level, sentence)]


def mean(values: Collection[float]) -> float:
    """NaN where there is none."""
    return sum(values) / len(values) if values else math.nan

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How far the masks of a recording can be trusted, over time, and the moments to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from t2g_core.health.findings import Finding, Level
from t2g_core.health.stream_health import FrameHealth
from t2g_core.metrics.json_values import rounded
from t2g_core.streaming.continuity import NS

APART_S = 1.0  # findings of a kind that are closer are one moment


class Moment(NamedTuple):
    """A stretch in which one thing is wrong.

    kind, level, sentence: of its worst finding, or the last of them; first, last: numbers of its
    first and last frame; start_s, end_s: their times since the recording's first frame [s].
    """

    kind: str
    level: Level
    sentence: str
    first: int
    last: int
    start_s: float
    end_s: float

    def record(self) -> dict:
        """As JSON values."""
        return self._asdict() | {"level": self.level.name, "start_s": round(self.start_s, 3),
                                 "end_s": round(self.end_s, 3)}  # fmt: skip


class Timeline:
    """Takes the health of each frame of a recording.

    times_s: since the first frame [s]; flicker, confidence: see `FrameHealth`; moments: in the
    order in which they begin.
    """

    def __init__(self) -> None:
        self.times_s: list[float] = []
        self.flicker: list[float] = []
        self.confidence: list[float] = []
        self.moments: list[Moment] = []
        self._open: dict[str, int] = {}  # by kind, the place of its last moment
        self._start_ns: int | None = None

    def add(self, stamp_ns: int, health: FrameHealth, findings: Sequence[Finding]) -> None:
        """Take the next frame; findings: all of it, the clock's among them."""
        if self._start_ns is None:
            self._start_ns = stamp_ns
        number, now_s = len(self.times_s), (stamp_ns - self._start_ns) / NS
        self.times_s.append(now_s)
        self.flicker.append(health.flicker)
        self.confidence.append(health.confidence)
        for finding in findings:
            self._note(finding, number, now_s)

    def _note(self, finding: Finding, number: int, now_s: float) -> None:
        place = self._open.get(finding.kind)
        before = None if place is None else self.moments[place]
        if before is None or not 0 <= now_s - before.end_s < APART_S:
            self._open[finding.kind] = len(self.moments)
            self.moments.append(
                Moment(finding.kind, finding.level, finding.sentence, number, number, now_s, now_s)
            )
            return
        worse = finding.level >= before.level
        self.moments[place] = before._replace(
            level=max(before.level, finding.level),
            sentence=finding.sentence if worse else before.sentence,
            last=number,
            end_s=now_s,
        )

    def record(self) -> dict:
        """For the report."""
        return {
            "mean_confidence": rounded(sum(self.confidence) / max(1, len(self.confidence))),
            "moments": [moment.record() for moment in self.moments],
        }

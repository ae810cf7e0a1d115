# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Whether a camera's images come as they used to, by their stamps."""

from __future__ import annotations

from collections import deque

import numpy as np

from t2g_core.health.findings import FRAME_DROPS, RATE_FELL, STAMPS_STAND_STILL, Finding, Level
from t2g_core.streaming.continuity import NS

LEARNED = 20  # steps whose median may be the usual one
RECENT = 12  # steps that are judged
LONG = 1.5  # usual steps; over a longer one an image is missing
SLOW = 6  # long steps in a row that are a slower camera
STILL = 5  # images in a row with one stamp


class TimingWatch:
    """Takes the stamp of every image that comes.

    The usual step is the shortest median of twenty steps in a row since the start: a camera that
    once sent 30 images a second and now sends 15 has not become used to it.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next stamp is the first of another one."""
        self._last_ns: int | None = None
        self._steps_s: deque[float] = deque(maxlen=LEARNED)
        self._usual_s = 0.0
        self._repeats = 0
        self._slow = False

    def update(self, stamp_ns: int) -> list[Finding]:
        """Take the next image's stamp [ns]; what is wrong now."""
        last, self._last_ns = self._last_ns, stamp_ns
        if last is None:
            return []
        step_s = (stamp_ns - last) / NS
        if step_s < 0:  # another clip
            self._steps_s.clear()
            return []
        if step_s == 0:
            self._repeats += 1
        else:
            self._repeats = 0
            self._steps_s.append(step_s)
        return self._judge()

    def _judge(self) -> list[Finding]:
        if self._repeats >= STILL - 1:
            stamp = f"the stamp {self._last_ns / NS:.3f} s"
            sentence = f"{self._repeats + 1} images in a row have {stamp}"
            return [Finding(STAMPS_STAND_STILL, Level.WARN, sentence)]
        if len(self._steps_s) == LEARNED:
            median_s = float(np.median(self._steps_s))
            self._usual_s = min(self._usual_s or median_s, median_s)
        if not self._usual_s:
            return []
        steps = np.array(self._steps_s)[-RECENT:] / self._usual_s
        long = steps > LONG
        if long[-SLOW:].all() and len(long) >= SLOW:
            self._slow = True
            rate_hz = 1 / (self._usual_s * np.median(steps[-SLOW:]))
            sentence = f"{rate_hz:.1f} images/s come, usually {1 / self._usual_s:.1f}"
            return [Finding(RATE_FELL, Level.WARN, sentence)]
        if self._slow:  # it is as fast again: the long steps behind it were none of lost images
            self._slow = False
            self._steps_s.clear()
            return []
        first = int(long.argmax())
        if long.sum() > 1 and (~long[first:]).sum() > 1:
            lost = int((steps[long].round() - 1).sum())
            sentence = f"{lost} of the last {len(steps) + lost} images are missing, by their stamps"
            return [Finding(FRAME_DROPS, Level.WARN, sentence)]
        return []

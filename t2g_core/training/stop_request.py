# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How a training is asked to stop."""

from __future__ import annotations

import signal
from types import FrameType


class StopRequest:
    """Ctrl-C (or SIGTERM) as a wish: the loop ends after its iteration and saves.

    A second one ends the program at once, as the first does before the loop is `entered`.
    """

    def __init__(self) -> None:
        self.asked = False
        self.entered = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked or not self.entered:
            raise KeyboardInterrupt
        self.asked = True

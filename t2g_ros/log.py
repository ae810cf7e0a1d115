# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What the node says, not over and over: each kind of sentence has a period of its own."""

from __future__ import annotations

import threading
import time

from rclpy.impl.rcutils_logger import RcutilsLogger

PERIOD_S = 5.0
LONGEST = 300  # characters of a text that comes from outside


class Log:
    """A logger that says a kind of sentence at most once in `period_s`. From any thread."""

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._said_s: dict[str, float] = {}

    def info(self, kind: str, sentence: str, period_s: float = PERIOD_S) -> None:
        if self._is_due(kind, period_s):
            self._logger.info(sentence)

    def warning(self, kind: str, sentence: str, period_s: float = PERIOD_S) -> None:
        if self._is_due(kind, period_s):
            self._logger.warning(sentence)

    def error(self, kind: str, sentence: str, period_s: float = PERIOD_S) -> None:
        if self._is_due(kind, period_s):
            self._logger.error(sentence)

    def _is_due(self, kind: str, period_s: float) -> bool:
        now_s = time.monotonic()
        with self._lock:
            if now_s - self._said_s.get(kind, -period_s) < period_s:
                return False
            self._said_s[kind] = now_s
            return True


def shortened(text: str) -> str:
    """The text, or its beginning and how long it was."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"

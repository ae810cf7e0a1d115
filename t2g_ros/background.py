# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Something slow in a thread of its own, for a caller that goes on and looks in now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Background(Generic[Result]):
    """Runs `work` once, at once; a process that ends does not wait for it."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)
        self._thread.start()

    def is_done(self, timeout_s: float) -> bool:
        """Wait up to timeout_s [s]; whether the work has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def result(self) -> Result:
        """What the work has given, or its error raised, once it has ended."""
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error

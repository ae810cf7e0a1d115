# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The inference thread: it works on the newest items of all sources until it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic

from t2g_ros.newest_frames import Item, NewestFrames


class Worker(Generic[Item]):
    """Runs `work` on a list of items at a time: the newest of each source that has offered one.

    Whatever `work` raises ends the thread and is handed to `fail`: the thread never ends without a
    word. `work` deals itself with what a single item can do wrong.
    """

    def __init__(
        self, work: Callable[[list[Item]], None], fail: Callable[[BaseException], None]
    ) -> None:
        self._work, self._fail = work, fail
        self._newest: NewestFrames[Item] = NewestFrames()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, source: Hashable, item: Item) -> bool:
        """Hand over a source's newest item; return whether one that was waiting was dropped."""
        return self._newest.put(source, item)

    def stop(self, timeout_s: float) -> bool:
        """End after the items in progress; return whether the thread has ended in this time."""
        self._newest.close()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while items := self._newest.take():
                self._work(items)
        except BaseException as error:
            self._fail(error)

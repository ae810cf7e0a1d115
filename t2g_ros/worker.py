"""The inference thread: it prepares once, then works on the newest item until it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic

from t2g_ros.newest_slot import Item, NewestSlot


class Worker(Generic[Item]):
    """Runs `work` on one item at a time, always the newest that was offered.

    Whatever `prepare` or `work` raise ends the thread and is handed to `fail`: the thread never
    ends without a word. `work` deals itself with what a single item can do wrong.
    """

    def __init__(
        self,
        prepare: Callable[[], None],
        work: Callable[[Item], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._prepare, self._work, self._fail = prepare, work, fail
        self._slot: NewestSlot[Item] = NewestSlot()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, item: Item) -> bool:
        """Hand over the newest item; return whether one that was waiting was dropped for it."""
        return self._slot.put(item)

    def stop(self, timeout_s: float) -> bool:
        """End after the item in progress; return whether the thread has ended in this time."""
        self._slot.close()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._prepare()
            while (item := self._slot.take()) is not None:
                self._work(item)
        except BaseException as error:
            self._fail(error)

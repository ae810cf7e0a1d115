# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A place for the newest item of each source between two threads."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestFrames(Generic[Item]):
    """Holds the newest item of each source until all are taken together.

    So a source that sends more often gets no more turns than the others. Every method may be
    called from any thread.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: dict[Hashable, Item] = {}
        self._closed = False

    def put(self, source: Hashable, item: Item) -> bool:
        """Offer a source's newest item; return whether it replaced one that was never taken."""
        with self._changed:
            replaced = source in self._items
            self._items[source] = item
            self._changed.notify()
            return replaced

    def take(self) -> list[Item]:
        """Wait for items and return all, first the source that has waited longest.

        Empty once it is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items)
            items, self._items = list(self._items.values()), {}
            return [] if self._closed else items

    def close(self) -> None:
        """Wake whoever waits and hand out nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

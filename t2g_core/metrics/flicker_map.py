# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Where masks change: how often each pixel has had another class than in the mask before."""

from __future__ import annotations

from collections import deque

import numpy as np


class FlickerMap:
    """How often each pixel has changed class over the last ``window`` masks."""

    def __init__(self, window: int = 8) -> None:
        self._changes: deque[np.ndarray] = deque(maxlen=window - 1)
        self._previous: np.ndarray | None = None

    def update(self, mask: np.ndarray) -> np.ndarray:
        """Take the next mask ``(H, W)`` uint8; return the share of changes ``(H, W)``, 0..1."""
        if self._previous is not None and self._previous.shape == mask.shape:
            self._changes.append(mask != self._previous)
        else:
            self._changes.clear()
        self._previous = mask
        if not self._changes:
            return np.zeros(mask.shape, np.float32)
        return np.mean(self._changes, axis=0, dtype=np.float32)

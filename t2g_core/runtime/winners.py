# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""From probabilities at stride 4 to the winning class of every pixel of the frame."""

from __future__ import annotations

import cv2
import numpy as np

NOT_FINITE = "the model's probabilities are not finite"


def winners(probs: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """probs (K, h, w) float32, K <= 255 -> at `size` (width, height), bilinear between: class ids
    (H, W) uint8 and the winner's probability (H, W) float32.

    Class by class, which a processor's caches hold: never more than two maps at full size.
    """
    enlarged = (cv2.resize(p, size) for p in np.ascontiguousarray(probs))
    best = next(enlarged)
    ids = np.zeros(best.shape, np.uint8)
    for number, p in enumerate(enlarged, start=1):
        greater = cv2.compare(p, best, cv2.CMP_GT)  # 255 where it is
        ids = cv2.max(ids, greater & np.uint8(number))  # no number before is larger
        cv2.max(best, p, dst=best)
    return ids, best

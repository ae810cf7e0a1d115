# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A mask's colours over its image."""

from __future__ import annotations

import cv2
import numpy as np

from t2g_core.labels import IGNORE_INDEX, colorize


def overlay(image: np.ndarray, mask: np.ndarray, palette: np.ndarray, opacity: float) -> np.ndarray:
    """`image` with the colours of `mask` on it; unlabelled pixels stay as they are.

    image (H, W, 3) uint8 RGB, mask (H, W) uint8, palette (K, 3) uint8 RGB, opacity 0..1.
    """
    colours = colorize(mask, palette)
    painted = cv2.addWeighted(image, 1 - opacity, colours, opacity, 0)
    np.copyto(painted, image, where=(mask == IGNORE_INDEX)[..., None])
    return painted

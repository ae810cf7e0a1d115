# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Pixels to what a model reads: the size, the aspect ratio and the range."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

PIXEL_MEAN = (0.485, 0.456, 0.406)  # what DINOv2 was trained with
PIXEL_STD = (0.229, 0.224, 0.225)

PATCH = 16  # pixels a token side
MOST_INPUT_PIXELS = 2**24  # a file may ask for any size, and memory is taken for it


class Prepared(NamedTuple):
    """A frame on the host, at the model's size.

    image: (h, w, 3) uint8 RGB. motion_image: what the motion between two frames is found from,
    in a form that is the method's own; None for a method that follows no motion.
    """

    image: np.ndarray
    motion_image: np.ndarray | None = None


def check_input_size(size: tuple[int, ...]) -> None:
    """Raise ValueError unless this is a width and a height in whole patches, within reason."""
    whole = len(size) == 2 and all(isinstance(s, int) and s >= PATCH for s in size)
    if not whole or any(side % PATCH for side in size):
        raise ValueError(f"expected multiples of {PATCH} pixels, got {size}")
    if size[0] * size[1] > MOST_INPUT_PIXELS:
        most = f"{MOST_INPUT_PIXELS / 1e6:.0f} million pixels"
        raise ValueError(f"expected no more than {most}, got {size}")


def fit_size(frame: tuple[int, int], budget: tuple[int, int]) -> tuple[int, int]:
    """Width and height that a frame is resized to: its own aspect ratio and the budget's area.

    frame, budget: width, height in pixels. Both results are multiples of 16, so that either is only
    about so; a frame of the budget's aspect ratio gets the budget itself. A very long one is
    squeezed rather than given more than a tenth above the budget.
    """
    scale = math.sqrt(budget[0] * budget[1] / (frame[0] * frame[1]))
    width, height = (max(PATCH, round(side * scale / PATCH) * PATCH) for side in frame)
    most = 1.1 * budget[0] * budget[1]
    if width * height > most:
        width = min(width, max(PATCH, int(most / height) // PATCH * PATCH))
        height = min(height, max(PATCH, int(most / width) // PATCH * PATCH))
    return width, height


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 at (width, height): averaging areas where it shrinks, bilinear else.

    Bilinear shrinking skips pixels, and what it skips changes with every small move of the camera.
    """
    shrinks = size[0] < image.shape[1] or size[1] < image.shape[0]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)

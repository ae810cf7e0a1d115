# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Things of one training frame put into another: what is rare is then seen before other scenes."""

from __future__ import annotations

import cv2
import numpy as np

from t2g_core.labels import IGNORE_INDEX

RARE = 0.02  # of a frame's labelled pixels: a class with fewer is worth repeating
SMALLEST = 30  # pixels of a thing
MOST = 4  # things that are put in


def paste_things(
    rng: np.random.Generator,
    image: np.ndarray,
    label: np.ndarray,
    other_image: np.ndarray,
    other_label: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Copies of an image (H, W, 3) uint8 and its label (H, W) with one to four things of another
    frame, whose image and label are of any size.

    A thing is a connected region of a class that fills less than 2 % of its frame. It keeps its
    height over the ground, that is its row, and with it about its right size; its column is drawn.
    """
    size = image.shape[1], image.shape[0]
    other_image = cv2.resize(other_image, size, interpolation=cv2.INTER_LINEAR)
    other_label = cv2.resize(other_label, size, interpolation=cv2.INTER_NEAREST)
    image, label = image.copy(), label.copy()
    things = rare_things(other_label)
    for chosen in rng.permutation(len(things))[: rng.integers(1, MOST + 1)]:
        class_id, inside, (x, y, width, height) = things[chosen]
        left = int(rng.integers(0, size[0] - width + 1))
        to = np.s_[y : y + height, left : left + width]
        cut = np.s_[y : y + height, x : x + width]
        share = (
            cv2.GaussianBlur(inside.astype(np.float32), (3, 3), 0)[..., None] * inside[..., None]
        )
        image[to] = (image[to] * (1 - share) + other_image[cut] * share).round().astype(np.uint8)
        label[to][inside] = class_id
    return image, label


def rare_things(label: np.ndarray) -> list[tuple[int, np.ndarray, tuple[int, int, int, int]]]:
    """Of every thing its class, its mask within its box, and the box (x, y, width, height)."""
    known = label[label != IGNORE_INDEX]
    counts = np.bincount(known, minlength=1)
    found = []
    for class_id in np.flatnonzero((counts > 0) & (counts < RARE * len(known))):
        _, regions, boxes, _ = cv2.connectedComponentsWithStats(
            (label == class_id).astype(np.uint8)
        )
        for number, (x, y, width, height, area) in enumerate(boxes[1:], start=1):
            if area >= SMALLEST:
                inside = regions[y : y + height, x : x + width] == number
                found.append((int(class_id), inside, (int(x), int(y), int(width), int(height))))
    return found

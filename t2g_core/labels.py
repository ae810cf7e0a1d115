# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Class names, their colours, and the painting of masks.

A mask is an ``(H, W)`` uint8 array of class ids; the id is the position of the class in its list of
names, and ``IGNORE_INDEX`` marks a pixel without a label.
"""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Sequence

import numpy as np

IGNORE_INDEX = 255

CAMVID_CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "sidewalk",
    "vegetation",
    "traffic sign",
    "fence",
    "car",
    "person",
    "rider",
)

# Cityscapes colours. "truck & bus" is one class in the paper (appendix B); it takes the truck's.
PALETTE: dict[str, tuple[int, int, int]] = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck & bus": (0, 0, 70),
    "motorcycle": (0, 0, 230),
}


def colour_of(name: str) -> tuple[int, int, int]:
    """The RGB colour of a class: ``PALETTE``'s, or for one's own class a bright one of its name."""
    if name in PALETTE:
        return PALETTE[name]
    hue = zlib.crc32(name.encode()) / 2**32
    return tuple(round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, 0.75, 0.9))


def palette_of(class_names: Sequence[str]) -> np.ndarray:
    """Return the ``(K, 3)`` uint8 RGB palette of ``class_names``, in their order.

    Raises ``ValueError`` for a class without a colour in ``PALETTE``.
    """
    unknown = [name for name in class_names if name not in PALETTE]
    if unknown:
        raise ValueError(f"no colour for {unknown}; PALETTE has {sorted(PALETTE)}")
    return np.array([PALETTE[name] for name in class_names], dtype=np.uint8).reshape(-1, 3)


def colorize(mask: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Paint class ids with their colours; void becomes black.

    ``mask`` is ``(H, W)`` uint8, ``palette`` ``(K, 3)`` uint8 RGB; returns ``(H, W, 3)`` uint8 RGB.
    Raises ``ValueError`` for other shapes or dtypes, and for an id that is neither below ``K`` nor
    ``IGNORE_INDEX``: painting it black would hide a wrong table.
    """
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise ValueError(f"mask must be (H, W) uint8, got {mask.shape} {mask.dtype}")
    if palette.ndim != 2 or palette.shape[1] != 3 or palette.dtype != np.uint8:
        raise ValueError(f"palette must be (K, 3) uint8, got {palette.shape} {palette.dtype}")
    labelled = mask[mask != IGNORE_INDEX]
    if labelled.size and labelled.max() >= len(palette):
        raise ValueError(f"mask holds id {labelled.max()}, the palette ends at {len(palette) - 1}")
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(palette)] = palette
    table[IGNORE_INDEX] = 0
    return table[mask]

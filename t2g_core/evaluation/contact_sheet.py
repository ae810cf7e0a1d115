# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A contact sheet of an evaluation: image, ground truth, prediction and errors, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from t2g_core.labels import IGNORE_INDEX, colorize

COLUMNS = ("image", "ground truth", "prediction", "errors in red")
TEXT_HEIGHT = 16  # pixels, of a line of captions
ERROR_COLOUR = np.array([255, 40, 40], dtype=np.uint8)
SWATCH = 12


@dataclass(frozen=True)
class Sample:
    """One frame to show: caption, ``(H, W, 3)`` uint8 RGB image and two ``(H, W)`` uint8 masks."""

    caption: str
    image: np.ndarray
    target: np.ndarray
    mask: np.ndarray


def contact_sheet(
    samples: Sequence[Sample], class_names: Sequence[str], palette: np.ndarray
) -> np.ndarray:
    """Return one picture, uint8 RGB: a row of four panels a sample, and the classes' colours below.

    ``palette`` is ``(K, 3)`` uint8. Raises ``ValueError`` for no samples or samples of several
    sizes.
    """
    sizes = {sample.image.shape for sample in samples}
    if len(sizes) != 1:
        raise ValueError(f"samples must be of one size, got {sorted(sizes)}")
    rows = [caption_bar(COLUMNS, samples[0].image.shape[1])]
    for sample in samples:
        row = np.concatenate(_panels(sample, palette), axis=1)
        rows += [caption_bar([sample.caption], row.shape[1]), row]
    rows.append(legend(class_names, palette, rows[0].shape[1]))
    return np.concatenate(rows)


def save_picture(path: Path, picture: np.ndarray) -> None:
    """Write ``(H, W, 3)`` uint8 RGB to ``path``, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def _panels(sample: Sample, palette: np.ndarray) -> list[np.ndarray]:
    errors = sample.image // 2
    wrong = (sample.mask != sample.target) & (sample.target != IGNORE_INDEX)
    errors[wrong] = ERROR_COLOUR
    return [
        sample.image,
        colorize(sample.target, palette),
        colorize(sample.mask, palette),
        errors,
    ]


def caption_bar(captions: Sequence[str], width: int) -> np.ndarray:
    """Draw captions ``width`` pixels apart on a black bar."""
    bar = Image.new("RGB", (width * len(captions), TEXT_HEIGHT))
    draw = ImageDraw.Draw(bar)
    for column, caption in enumerate(captions):
        draw.text((column * width + 4, 2), caption, fill="white")
    return np.asarray(bar)


def legend(class_names: Sequence[str], palette: np.ndarray, width: int) -> np.ndarray:
    """Draw a swatch and a name for each class, wrapped to ``width``."""
    cell = 2 * SWATCH + 8 * max(len(name) for name in class_names)
    per_line = max(1, width // cell)
    lines = -(-len(class_names) // per_line)
    legend = Image.new("RGB", (width, lines * TEXT_HEIGHT))
    draw = ImageDraw.Draw(legend)
    for i, (name, colour) in enumerate(zip(class_names, palette.tolist(), strict=True)):
        x, y = i % per_line * cell, i // per_line * TEXT_HEIGHT
        draw.rectangle((x + 4, y + 2, x + 4 + SWATCH, y + 2 + SWATCH), fill=tuple(colour))
        draw.text((x + SWATCH + 9, y + 2), name, fill="white")
    return np.asarray(legend)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How large things are in a training crop, beside inference."""

from __future__ import annotations

from dataclasses import dataclass

from t2g_core.config import Config
from t2g_core.images.model_input import fit_size


@dataclass(frozen=True)
class Zoom:
    """Of a training on frames of one size: how large things are in its crops, beside inference.

    frame, inference, crop: width, height in pixels of a frame, of what it is resized to at
    inference, of a crop. smallest, largest: pixels of a thing in a crop, divided by those it has at
    inference. void: share of a crop that lies beyond the frame at the smallest zoom.
    """

    frame: tuple[int, int]
    inference: tuple[int, int]
    crop: tuple[int, int]
    smallest: float
    largest: float
    void: float

    def __str__(self) -> str:
        frame, inference, crop = (f"{w}x{h}" for w, h in (self.frame, self.inference, self.crop))
        return (
            f"frames of {frame}, {inference} at inference; in a crop of {crop} things are "
            f"{self.smallest:g} to {self.largest:g} times as large as there, and up to "
            f"{100 * self.void:.0f} % of it lie beyond the frame"
        )


def training_zoom(config: Config, frame: tuple[int, int]) -> Zoom:
    """For frames of this width and height; ValueError for a config without a section train."""
    if config.train is None:
        raise ValueError("--data: the config has no section train")
    crop, (smallest, largest) = config.train.crop_size, config.train.zoom
    inference = fit_size(frame, config.input_size)
    seen = [min(1.0, smallest * f / c) for f, c in zip(inference, crop, strict=True)]
    return Zoom(frame, inference, crop, smallest, largest, 1 - seen[0] * seen[1])

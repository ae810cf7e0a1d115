# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""From where on a figure of a stream is a warning or an error."""

from __future__ import annotations

from dataclasses import dataclass

from t2g_core.health.findings import Level


@dataclass(frozen=True)
class HealthLimits:
    """Of everything that is judged by a limit; 0 switches one off.

    Attributes:
        flicker_warning, flicker_error: share of the pixels found again that change class from one
            mask to the next, mean over eight masks [0..1].
        confidence_drop_warning, confidence_drop_error: how far the mean probability of the winning
            class, over eight masks, lies below the one on the model's own domain [0..1].
        overexposed_error: share of burnt-out pixels [0..1].
        blur_warning: fine detail of the image, as a share of what it usually has, below which it
            is blurred [0..1].
        contrast_warning: contrast of the image, as a share of what it usually has, below which it
            is hazy [0..1].
        dirt_warning: share of the image that has lost its detail while the rest has not [0..1].
        frozen_images: equal images in a row that are an error.
    """

    flicker_warning: float = 0.08
    flicker_error: float = 0.2
    confidence_drop_warning: float = 0.04
    confidence_drop_error: float = 0.2
    overexposed_error: float = 0.35
    blur_warning: float = 0.6
    contrast_warning: float = 0.6
    dirt_warning: float = 0.15
    frozen_images: int = 5


def level_of(value: float, warning: float, error: float) -> Level | None:
    """What a value above these limits is; None where nothing is wrong, as where it is NaN."""
    if error and value > error:
        return Level.ERROR
    return Level.WARN if warning and value > warning else None

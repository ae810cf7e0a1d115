# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Whether a camera's images are what they seem: dark, burnt out, frozen, blurred."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import cv2
import numpy as np

from t2g_core.health.findings import (
    BLACKOUT,
    BLURRED,
    FROZEN,
    LOW_CONTRAST,
    OVEREXPOSED,
    Finding,
    Level,
)
from t2g_core.health.limits import HealthLimits

LONGER_SIDE = 320  # pixels; images are looked at in this size
DARK = 24  # grey values; an image is black where hardly a pixel is brighter
BRIGHT = 250  # grey values; a pixel is burnt out from here on
LEARNED = 15  # images before sharpness is judged
REMEMBERED = 60  # images that say how sharp the camera usually is
TEXTURED = 0.8  # grey values of fine detail in a part of the image that usually has some
LEAST_PARTS = 20  # of 192 with detail, to tell dirt
COVERED = 0.3  # of a part's usual detail, against what the others have kept of theirs
RECENT = 5  # images over which detail is averaged
LONGEST = 300  # images for which what is found does not change what is usual


class Detail(NamedTuple):
    """How much detail an image has.

    fine: (12, 16) float32, contrast of details of one pixel of the small image in each part of it;
    contrast: of details of four pixels, mean over the image. Both in grey values.
    """

    fine: np.ndarray
    contrast: float

    @property
    def sharpness(self) -> float:
        """Fine detail over coarser; haze takes as much of both."""
        return float(self.fine.mean() / (self.contrast + 1e-6))


class ImageSigns(NamedTuple):
    """Figures of one image.

    small: its green channel, uint8, the longer side of 320 pixels; brightest: its 98th percentile
    [0..255]; burnt_out: share of pixels that are [0..1]; detail: see `Detail`.
    """

    small: np.ndarray
    brightest: float
    burnt_out: float
    detail: Detail


def signs_of(image: np.ndarray) -> ImageSigns:
    """image: (H, W, 3) uint8 RGB."""
    height, width = image.shape[:2]
    scale = LONGER_SIDE / max(height, width)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    small = cv2.resize(cv2.extractChannel(image, 1), size, interpolation=cv2.INTER_AREA)
    grey = small.astype(np.float32)
    soft = cv2.GaussianBlur(grey, (0, 0), 1)
    softer = cv2.GaussianBlur(soft, (0, 0), 3)
    fine = cv2.resize(np.abs(grey - soft), (16, 12), interpolation=cv2.INTER_AREA)
    return ImageSigns(
        small,
        brightest=float(np.percentile(small, 98)),
        burnt_out=float((small >= BRIGHT).mean()),
        detail=Detail(fine, contrast=float(np.abs(soft - softer).mean())),
    )


class ImageWatch:
    """Takes every image of one camera and says what is wrong with it.

    How sharp images usually are is learned from the stream itself: the median of the last sixty,
    those left out that were found to be blurred.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next image is the first of another one."""
        self._last: np.ndarray | None = None
        self._alike = 1
        self._usual: deque[Detail] = deque(maxlen=REMEMBERED)
        self._recent: deque[Detail] = deque(maxlen=RECENT)
        self._found = 0  # blurred images in a row

    def update(self, signs: ImageSigns, limits: HealthLimits) -> list[Finding]:
        """Take the next image's figures; what is wrong now, the worst first."""
        alike = self._last is not None and np.array_equal(self._last, signs.small)
        self._alike, self._last = self._alike + 1 if alike else 1, signs.small
        if signs.brightest < DARK:
            sentence = f"the image is black: 98 % of it is darker than {signs.brightest:.0f} of 255"
            return [Finding(BLACKOUT, Level.ERROR, sentence)]
        if limits.overexposed_error and signs.burnt_out > limits.overexposed_error:
            sentence = f"{100 * signs.burnt_out:.0f} % of the image is overexposed"
            return [Finding(OVEREXPOSED, Level.ERROR, sentence)]
        if limits.frozen_images and self._alike >= limits.frozen_images:
            sentence = f"the last {self._alike} images are the same, though their stamps go on"
            return [Finding(FROZEN, Level.ERROR, sentence)]
        return self._blur(signs.detail, limits)

    def _blur(self, detail: Detail, limits: HealthLimits) -> list[Finding]:
        self._recent.append(detail)
        found = self._lost_detail(limits) if len(self._usual) >= LEARNED else []
        self._found = self._found + 1 if found else 0
        if not found or self._found > LONGEST:
            self._usual.append(detail)
        return found

    def _lost_detail(self, limits: HealthLimits) -> list[Finding]:
        """What has become of the image's detail, against what it usually has."""
        sharpness = self._share_of_usual("sharpness")
        if sharpness < limits.blur_warning:
            sentence = f"the image is blurred: {100 * sharpness:.0f} % of the usual fine detail"
            return [Finding(BLURRED, Level.WARN, sentence)]
        contrast = self._share_of_usual("contrast")
        if contrast < limits.contrast_warning:
            sentence = (
                f"the image has {100 * contrast:.0f} % of its usual contrast: fog, or a lens that "
                "is steamed up?"
            )
            return [Finding(LOW_CONTRAST, Level.WARN, sentence)]
        covered = self._covered()
        if limits.dirt_warning and covered > limits.dirt_warning:
            sentence = (
                f"{100 * covered:.0f} % of the image has lost its detail and the rest has not: "
                "dirt on the lens?"
            )
            return [Finding(BLURRED, Level.WARN, sentence)]
        return []

    def _share_of_usual(self, name: str) -> float:
        usual = np.median([getattr(one, name) for one in self._usual])
        return float(np.mean([getattr(one, name) for one in self._recent]) / (usual + 1e-6))

    def _covered(self) -> float:
        """Share of the parts with detail that have lost it while most have not [0..1]."""
        detail = np.median([one.fine for one in self._usual], axis=0)
        kept = np.mean([one.fine for one in self._recent], axis=0) / (detail + 1e-6)
        kept = kept[detail > TEXTURED]
        if len(kept) < LEAST_PARTS:
            return 0.0
        return float((kept < COVERED * np.median(kept)).mean())

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How steady a stream of class masks is, measured without labels.

Nothing here knows what is right: a mask that is wrong in the same way all the time counts as
steady. With the motion between two frames a mask is compared with the one before moved along it,
where its content was found again; without it, motion in the scene lowers every figure. (With labels
there is video consistency, see `video_consistency.py`.)
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from t2g_core.images.motion import Motion, moved, origin
from t2g_core.labels import IGNORE_INDEX

MAX_WINDOW = 255


@dataclass(frozen=True)
class MaskStabilityReport:
    """One mask against the ones before it. What cannot be computed yet is NaN.

    Attributes:
        interval_s: time since the previous mask [s]; NaN for the first one.
        compared_share: share of pixels that are labelled in both masks and, with motion, were found
            again: those that agreement and flicker are about [0..1]; NaN for the first mask.
        agreement: share of these with the class they had in the previous mask [0..1]; NaN where
            there is none.
        stable_share: share of the pixels labelled now, and followed through every mask of the
            window, that had this class in all of them [0..1]; NaN for the first mask, or where
            there is none.
        flicker: (K,) float64, for each class 1 - IoU of its regions in neighbouring masks, pixels
            summed over the window's pairs [0..1]; NaN for a class that no mask of the window has.
        fill: masks in the window, this one included [1..window].
        window: masks in a full window.
    """

    interval_s: float
    compared_share: float
    agreement: float
    stable_share: float
    flicker: np.ndarray
    fill: int
    window: int


class MaskStability:
    """Accumulates the last `window` masks of one video into a report for each mask.

    Keeps one mask, two counters for each pixel and two numbers for each class and pair of masks,
    whatever the length of the window. Pixels with `IGNORE_INDEX` are left out of a comparison.

    >>> stability = MaskStability(num_classes=2, window=3)
    >>> report = stability.update(np.array([[0, 0], [1, 1]], np.uint8), stamp_ns=0)
    >>> report = stability.update(np.array([[0, 0], [0, 1]], np.uint8), stamp_ns=100_000_000)
    >>> report.agreement
    0.75
    >>> report.flicker.round(3).tolist()
    [0.333, 0.5]
    """

    def __init__(self, num_classes: int, window: int = 8) -> None:
        """Raise ValueError unless 1 <= num_classes <= 255 and 2 <= window <= 255."""
        if not 1 <= num_classes <= IGNORE_INDEX:
            raise ValueError(f"num_classes: expected 1 to {IGNORE_INDEX}, got {num_classes}")
        if not 2 <= window <= MAX_WINDOW:
            raise ValueError(f"window: expected 2 to {MAX_WINDOW} masks, got {window}")
        self.num_classes = num_classes
        self.window = window
        self.reset()

    def reset(self) -> None:
        """Forget every mask: the next one is the first of a new video."""
        self._mask: np.ndarray | None = None
        self._stamp_ns: int | None = None
        self._age = np.zeros((0, 0), np.uint8)  # masks in a row in which a pixel kept its class
        self._followed = self._age  # masks in a row in which its content was found again
        self._pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=self.window - 1)

    def update(
        self, mask: np.ndarray, stamp_ns: int, motion: Motion | None = None
    ) -> MaskStabilityReport:
        """Add the next mask of the video and compare it with the ones before.

        Args:
            mask: (H, W) uint8 class ids below num_classes, or IGNORE_INDEX.
            stamp_ns: when its image was taken [ns].
            motion: of its frame against the frame of the previous mask, arrays with B = 1; None:
                masks are compared place by place.

        Raises:
            ValueError: the mask has another type, other ids or, without a reset, another size
                than the one before.
        """
        self._check(mask)
        labelled = mask != IGNORE_INDEX
        if self._mask is None:
            self._age, self._followed = labelled.astype(np.uint8), np.ones_like(mask)
            compared = agreement = math.nan
        else:
            compared, agreement = self._compare(mask, labelled, motion)
        report = MaskStabilityReport(
            interval_s=math.nan if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9,
            compared_share=compared,
            agreement=agreement,
            stable_share=self._stable_share(labelled),
            flicker=self._flicker(),
            fill=len(self._pairs) + 1,
            window=self.window,
        )
        self._mask, self._stamp_ns = mask.copy(), stamp_ns
        return report

    def _check(self, mask: np.ndarray) -> None:
        if mask.dtype != np.uint8 or mask.ndim != 2 or mask.size == 0:
            raise ValueError(f"mask: expected (H, W) uint8, got {mask.shape} {mask.dtype}")
        if self._mask is not None and mask.shape != self._mask.shape:
            raise ValueError(
                f"mask: expected the size of the one before, {self._mask.shape}, got {mask.shape}; "
                "call reset() where the image size changes"
            )
        ids = np.flatnonzero(np.bincount(mask.ravel(), minlength=IGNORE_INDEX + 1))
        foreign = ids[(ids >= self.num_classes) & (ids != IGNORE_INDEX)]
        if foreign.size:
            raise ValueError(
                f"mask: expected ids below {self.num_classes} or {IGNORE_INDEX}, got {foreign[-1]}"
            )

    def _compare(
        self, mask: np.ndarray, labelled: np.ndarray, motion: Motion | None
    ) -> tuple[float, float]:
        """Take the pair into the window and return its compared share and agreement."""
        previous, age, followed = self._mask, self._age, self._followed
        if motion is not None:
            there = origin(motion, *mask.shape)
            previous = moved(previous, there, IGNORE_INDEX)
            age, followed = moved(age, there, 0), moved(followed, there, 0)
        same = (mask == previous) & labelled
        self._age = np.where(same, np.minimum(age, MAX_WINDOW - 1) + 1, labelled)
        self._followed = np.minimum(followed, MAX_WINDOW - 1) + 1

        both = labelled & (previous != IGNORE_INDEX)
        in_both = self._class_areas(mask[same])
        in_either = self._class_areas(mask[both]) + self._class_areas(previous[both]) - in_both
        self._pairs.append((in_both, in_either))
        return float(both.mean()), float(same.sum() / both.sum()) if both.any() else math.nan

    def _class_areas(self, ids: np.ndarray) -> np.ndarray:
        """Pixels of each class, (K,) int64."""
        return np.bincount(ids, minlength=self.num_classes)

    def _stable_share(self, labelled: np.ndarray) -> float:
        judged = labelled & (self._followed > len(self._pairs))
        if not self._pairs or not judged.any():
            return math.nan
        return float((self._age[judged] > len(self._pairs)).mean())

    def _flicker(self) -> np.ndarray:
        in_both = sum((pair[0] for pair in self._pairs), np.zeros(self.num_classes))
        in_either = sum((pair[1] for pair in self._pairs), np.zeros(self.num_classes))
        flicker = np.full(self.num_classes, math.nan)
        np.divide(in_either - in_both, in_either, out=flicker, where=in_either > 0)
        return flicker

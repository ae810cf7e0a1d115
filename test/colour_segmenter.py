# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A small real segmenter for tests: it knows classes by their colour and remembers T frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from t2g_core.labels import CAMVID_CLASSES, IGNORE_INDEX, colorize, palette_of

PALETTE = palette_of(CAMVID_CLASSES)


@dataclass(frozen=True)
class ColourResult:
    """Stands where ``SegmentationResult`` does."""

    mask: np.ndarray
    confidence: np.ndarray


class ColourSegmenter:
    """Takes the class whose colour is nearest; the mask is the oldest frame's that is in memory.

    So with an empty memory every mask is its own frame's, in a stream it lags T - 1 frames behind,
    and in a clip every mask is the first frame's: the three modes can be told apart by hand.
    """

    class_names = CAMVID_CLASSES
    palette = PALETTE
    recurrent = False
    precision = "fp32"

    def __init__(self, clip_length: int = 1) -> None:
        self.clip_length = clip_length
        self.steps_s: list[float] = []  # that it was told

    def start(self) -> tuple[np.ndarray, ...]:
        return ()

    def step(self, frame: np.ndarray, state: tuple, step_s: float) -> tuple[ColourResult, tuple]:
        self.steps_s.append(step_s)
        state = (*state, frame)[-self.clip_length :]
        return self._segment(state[0]), state

    def segment_clip(self, frames: Sequence[np.ndarray], step_s: float) -> list[ColourResult]:
        self.steps_s.append(step_s)
        assert 1 <= len(frames) <= self.clip_length
        return [self._segment(frames[0])] * len(frames)

    def _segment(self, frame: np.ndarray) -> ColourResult:
        distances = np.abs(frame[:, :, None].astype(int) - PALETTE).sum(axis=3)  # (H, W, K)
        mask = distances.argmin(axis=2).astype(np.uint8)
        return ColourResult(mask, np.full_like(mask, 255))


def write_camvid(root: Path, labels: np.ndarray, split: str = "val", video: str = "S") -> Path:
    """Write ``(T, H, W)`` labels as a CamVid split whose images are the labels' colours."""
    for folder in ("images", "labels"):
        (root / split / folder).mkdir(parents=True, exist_ok=True)
    for t, label in enumerate(labels):
        stem = f"{video}_{2 * t:05d}.png"
        Image.fromarray(colorize(label, PALETTE)).save(root / split / "images" / stem)
        index = np.where(label == IGNORE_INDEX, 11, label).astype(np.uint8)
        Image.fromarray(index).save(root / split / "labels" / stem)
    return root

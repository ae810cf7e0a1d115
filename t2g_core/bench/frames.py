# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Frames to time a model with, and the memory of a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

SCENES = 8  # different frames, shown in turn


def moving_scenes(size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Endless (H, W, 3) uint8: pictures of noise that move a little from frame to frame."""
    drawn = np.random.default_rng(0)
    scenes = [drawn.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8) for _ in range(SCENES)]
    number = 0
    while True:
        yield np.roll(scenes[number // 100 % SCENES], number % 100, axis=1)
        number += 1


def resident_bytes() -> int:
    """What this process holds in the machine's memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

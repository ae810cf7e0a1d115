# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g bench --soak N`: whether a long stream keeps its memory use and its pace."""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass

import torch
from tqdm import tqdm

from t2g_core.bench.frames import moving_scenes, resident_bytes
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

LEAST = 20  # frames; a tenth of them is a beginning and an end


@dataclass(frozen=True)
class Soak:
    """A stream of `frames`: memory [bytes] and the median step [s] in its second and last tenth.

    The first tenth fills buffers and warms up. Resident memory tells a leak once it is larger than
    what the process had freed before and still holds: hence many frames.
    """

    config: str
    size: tuple[int, int]
    frames: int
    device: str
    precision: str
    early_bytes: int
    late_bytes: int
    early_step_s: float
    late_step_s: float

    def __str__(self) -> str:
        width, height = self.size
        growth = (self.late_bytes - self.early_bytes) / 1e6
        return (
            f"{self.config}, {width}x{height}, {self.device}, {self.precision}: "
            f"{self.frames} frames streamed\n"
            f"memory {self.early_bytes / 1e6:.0f} MB in the second tenth, "
            f"{self.late_bytes / 1e6:.0f} MB in the last: {growth:+.1f} MB\n"
            f"step {1e3 * self.early_step_s:.1f} ms and {1e3 * self.late_step_s:.1f} ms"
        )


def soak(name: str, segmenter: StreamingSegmenter, size: tuple[int, int], frames: int) -> Soak:
    """Stream `frames` frames of `size` (width, height); ValueError for fewer than 20."""
    if frames < LEAST:
        raise ValueError(f"--soak: expected at least {LEAST} frames, got {frames}")
    seconds, resident, state = [], [], segmenter.start()
    images = moving_scenes(size)
    for _ in tqdm(range(frames), desc="soak", unit="frame", file=sys.stderr):
        image = next(images)
        started = time.perf_counter()
        _, state = segmenter.step(image, state)
        seconds.append(time.perf_counter() - started)
        resident.append(memory_in_use(segmenter.device))
    early, late = slice(frames // 10, frames // 5), slice(-(frames // 10), None)
    return Soak(
        config=name,
        size=size,
        frames=frames,
        device=segmenter.device,
        precision=segmenter.precision,
        early_bytes=max(resident[early]),
        late_bytes=max(resident[late]),
        early_step_s=statistics.median(seconds[early]),
        late_step_s=statistics.median(seconds[late]),
    )


def memory_in_use(device: str) -> int:
    """Bytes: what this process holds on the GPU, or resident in the machine's memory."""
    if device.startswith("cuda"):
        return torch.cuda.memory_allocated(device)
    return resident_bytes()

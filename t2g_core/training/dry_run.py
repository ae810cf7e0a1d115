# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g train --dry-run`: what a training would see, hold and take, without training."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tqdm import tqdm

from t2g_core.data.video import Video
from t2g_core.methods.method import Method
from t2g_core.schedule import TrainConfig

TIMED = 3  # iterations, after one that fills caches


def describe_data(videos: Sequence[Video], name: str, split: str) -> str:
    """Videos, frames and labels of the source."""
    frames = sum(len(video.frames) for video in videos)
    labelled = sum(len(video.labelled) for video in videos)
    return f"{name}, split {split}: {len(videos)} videos, {frames} frames, {labelled} labelled"


def describe_method(method: Method) -> str:
    """Its parameters."""
    trainable = sum(p.numel() for p in method.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in method.parameters()) - trainable
    return (
        f"{type(method).__name__}: {trainable / 1e6:.2f} M trainable parameters, "
        f"{frozen / 1e6:.2f} M frozen"
    )


def time_iterations(
    iterate: Callable[[int], dict[str, float]],
    config: TrainConfig,
    first: int,
    memory: Callable[[], int],
) -> str:
    """Run some iterations and say what all of them would take; `iterate` gives the losses.

    memory: peak of this process so far [bytes].
    """
    seconds, losses = [], {}
    numbers = range(first, min(first + 1 + TIMED, config.iterations))
    for i in tqdm(numbers, desc="dry run"):
        started = time.perf_counter()
        losses = iterate(i)
        seconds.append(time.perf_counter() - started)
    mean = sum(seconds[1:] or seconds) / max(1, len(seconds) - 1)
    found = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
    return (
        f"{mean:.2f} s an iteration, drawing and encoding included; {config.iterations} of them: "
        f"{mean * config.iterations / 3600:.1f} h\n"
        f"losses {found}; peak memory {memory() / 1e9:.1f} GB"
    )

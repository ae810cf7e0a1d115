# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g bench --beside-load`: a step alone, and beside a process that keeps all cores busy."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from tqdm import tqdm

from t2g_core.bench.timing import STEP, WARM_ROUNDS, parts_of, timed
from t2g_core.config import Config
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter


@dataclass(frozen=True)
class BesideLoad:
    """Medians of the rounds [s], and of their ratios."""

    threads: int
    cores: int
    alone_s: float
    beside_s: float
    ratio: float

    def __str__(self) -> str:
        return (
            f"streaming step, {self.threads} threads: {1e3 * self.alone_s:.0f} ms alone, "
            f"{1e3 * self.beside_s:.0f} ms beside a process that keeps {self.cores} cores busy: "
            f"{self.ratio:.2f} times"
        )


def beside_load(config: Config, segmenter: StreamingSegmenter, rounds: int) -> BesideLoad:
    """Time a step alone and beside the load, in turn, `rounds` times."""
    step = parts_of(segmenter, config)[STEP]
    cores = len(os.sched_getaffinity(0))
    for _ in range(WARM_ROUNDS):
        step()
    alone, beside = [], []
    for _ in tqdm(range(rounds), desc="bench", file=sys.stderr):
        alone.append(timed(step, segmenter.device))
        with all_cores_busy(cores):
            step()  # the load is up, and caches are as they then are
            beside.append(timed(step, segmenter.device))
    ratios = [b / a for a, b in zip(alone, beside, strict=True)]
    return BesideLoad(
        threads=torch.get_num_threads(),
        cores=cores,
        alone_s=statistics.median(alone),
        beside_s=statistics.median(beside),
        ratio=statistics.median(ratios),
    )


@contextmanager
def all_cores_busy(cores: int) -> Iterator[None]:
    """One busy process for each core, ended afterwards."""
    words = [sys.executable, "-c", "while True: pass"]
    load = [subprocess.Popen(words) for _ in range(cores)]
    try:
        yield
    finally:
        for process in load:
            process.kill()
            process.wait()

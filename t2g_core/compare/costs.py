# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a streaming step of each method costs, all of them timed in turn in one run."""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from t2g_core.bench.info import model_info
from t2g_core.bench.timing import WARM_ROUNDS, random_segmenter, ratio, timed
from t2g_core.compare.peak import peak_of
from t2g_core.compare.plan import Plan
from t2g_core.device import AUTO
from t2g_core.images.windows import WHOLE, read_windows

CLASSES = 15


@dataclass(frozen=True)
class Cost:
    """trainable: parameters. gflops: of a step, a multiplication and an addition are two. step_s:
    its median [s]; over_reference: the median of its ratios to the reference's step under the same
    windows, timed in turn. state_bytes: what a stream keeps. peak_bytes: see `peak_of`.
    """

    method: str
    windows: str
    trainable: int
    gflops: float
    step_s: float
    over_reference: float
    state_bytes: int
    peak_bytes: int


def measure_costs(plan: Plan, device: str, rounds: int) -> list[Cost]:
    """Of every method on whole frames of its config's input size, and on the plan's windows."""
    found = []
    first = next(iter(plan.sources))
    configs = {name: plan.config(name, 0, first) for name in plan.methods}
    for windows in (WHOLE, plan.windows):
        calls, infos = {}, {}
        for name, config in configs.items():
            where = read_windows(windows)
            infos[name] = model_info(config, config.input_size, CLASSES, where)
            segmenter = random_segmenter(config, CLASSES, device, AUTO, where)
            width, height = config.input_size
            frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
            state = segmenter.start()
            for _ in range(segmenter.clip_length):
                _, state = segmenter.step(frame, state)
            calls[name] = lambda s=segmenter, f=frame, a=state: s.step(f, a)
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        description = f"time steps, windows {windows}"
        for done in tqdm(range(WARM_ROUNDS + rounds), desc=description, file=sys.stderr):
            for name, call in calls.items():
                spent = timed(call, device)
                if done >= WARM_ROUNDS:
                    seconds[name].append(spent)
        for name, info in infos.items():
            found.append(
                Cost(
                    method=name,
                    windows=windows,
                    trainable=sum(part.trainable for part in info.parts),
                    gflops=sum(part.flops for part in info.parts) / 1e9,
                    step_s=statistics.median(seconds[name]),
                    over_reference=ratio(seconds[name], seconds[plan.reference]),
                    state_bytes=info.state_bytes,
                    peak_bytes=peak_of(configs[name], CLASSES, device, windows),
                )
            )
    return found

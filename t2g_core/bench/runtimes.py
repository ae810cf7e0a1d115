# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g bench --runtime`: one model in several runtimes, each a process of its own, timed in turn.

Only one of them computes at a time; a ratio is the median over the rounds of a process's step
divided by that of the first process in the same round.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from t2g_core.bench.load import all_cores_busy
from t2g_core.device import AUTO

SHIPPED = "shipped"
STEPS, WARM_STEPS = 3, 2  # a process's in a round, and at the start
SPEC = re.compile(r"(?P<path>[^@]+)(@(?P<device>[^/@]+)(/(?P<precision>\w+))?)?")


@dataclass(frozen=True)
class RuntimeTiming:
    """One process: medians [s], and ratios to the first process.

    first_mask_s: from the start of the process to its first mask. beside_load: a step beside a
    process for each core that keeps it busy, divided by a step alone; None where not asked for.
    """

    spec: str
    runs_on: str
    encoder_s: float
    step_s: float
    encoder_ratio: float
    step_ratio: float
    first_mask_s: float
    resident_bytes: int
    beside_load: float | None = None


class Worker:
    """A process of `runtime_worker.py` that has given its first mask."""

    def __init__(self, spec: str, size: tuple[int, int] | None, threads: int):
        found = SPEC.fullmatch(spec)
        if found is None:
            raise ValueError(f"--runtime: expected PATH[@DEVICE[/PRECISION]], got {spec!r}")
        path = None if found["path"] == SHIPPED else found["path"]
        if path is not None and not Path(path).exists():
            raise FileNotFoundError(f"--runtime: no checkpoint or export {path}")
        asked = {
            "path": path,
            "device": found["device"] or AUTO,
            "precision": found["precision"] or AUTO,
            "size": size,
            "threads": threads,
        }
        words = [sys.executable, "-m", "t2g_core.bench.runtime_worker", json.dumps(asked)]
        started = time.time()
        self.spec = spec
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        ready = self._answer()
        self.runs_on, self.size = ready["name"], tuple(ready["size"])
        self.first_mask_s = ready["first_mask"] - started

    def ask(self, what: str) -> dict:
        """Send a line, read one."""
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            lines = self._process.stderr.read().strip().splitlines()
            raise ValueError(f"--runtime {self.spec}: {lines[-1] if lines else 'it has ended'}")
        return json.loads(line)

    def steps(self, count: int) -> tuple[float, float]:
        """Median seconds of an encoder's pass and of a step."""
        found = [self.ask("step") for _ in range(count)]
        return tuple(
            statistics.median(one[key] for one in found) for key in ("encoder_s", "step_s")
        )

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait()


def compare_runtimes(
    specs: Sequence[str], size: tuple[int, int] | None, threads: int, rounds: int, load: bool
) -> list[RuntimeTiming]:
    """Time each `PATH[@DEVICE[/PRECISION]]`, in turn, `rounds` times.

    size: width, height of frames and images; None: of the model's input. threads: 0 for one each
    core. load: also beside processes that keep all cores busy.

    Raises:
        ValueError, FileNotFoundError: a runtime that cannot be had.
    """
    with ExitStack() as stack:
        workers = []
        for spec in specs:
            worker = Worker(spec, size, threads)
            stack.callback(worker.close)
            worker.steps(WARM_STEPS)
            workers.append(worker)
        seconds = [[] for _ in workers]
        for _ in tqdm(range(rounds), desc="bench", file=sys.stderr):
            for worker, found in zip(workers, seconds, strict=True):
                found.append(worker.steps(STEPS))
        beside = [beside_load(worker, rounds) if load else None for worker in workers]
        memory = [worker.ask("memory")["resident_bytes"] for worker in workers]
    encoder_s, step_s = ([[one[i] for one in found] for found in seconds] for i in (0, 1))
    return [
        RuntimeTiming(
            worker.spec,
            worker.runs_on,
            statistics.median(encoder_s[k]),
            statistics.median(step_s[k]),
            _ratio(encoder_s[k], encoder_s[0]),
            _ratio(step_s[k], step_s[0]),
            worker.first_mask_s,
            memory[k],
            beside[k],
        )
        for k, worker in enumerate(workers)
    ]


def beside_load(worker: Worker, rounds: int) -> float:
    """A step beside a load on every core, divided by a step alone."""
    cores, ratios = len(os.sched_getaffinity(0)), []
    for _ in range(rounds):
        _, alone = worker.steps(1)
        with all_cores_busy(cores):
            worker.steps(1)  # the load is up, and caches are as they then are
            _, beside = worker.steps(1)
        ratios.append(beside / alone)
    return statistics.median(ratios)


def _ratio(values: list[float], others: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(values, others, strict=True))


def as_table(found: list[RuntimeTiming]) -> str:
    """As text."""
    width = max(len(one.spec) for one in found)
    head = (
        f"{'':<{width}}  {'runs on':<14}{'encoder':>10}{'step':>10}{'encoder/1st':>13}"
        f"{'step/1st':>10}{'first mask':>12}{'memory':>10}{'beside load':>13}"
    )
    rows = [
        f"{one.spec:<{width}}  {one.runs_on:<14}{1e3 * one.encoder_s:>7.0f} ms"
        f"{1e3 * one.step_s:>7.0f} ms{one.encoder_ratio:>13.2f}{one.step_ratio:>10.2f}"
        f"{one.first_mask_s:>10.1f} s{one.resident_bytes / 1e6:>7.0f} MB"
        + (f"{'-':>13}" if one.beside_load is None else f"{one.beside_load:>13.2f}")
        for one in found
    ]
    return "\n".join([head, *rows])

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A processor that is shared: threads that sleep while they wait, and how many there are.

A robot's processor always is. OpenMP's threads spin while they wait for one another, which takes
from other processes what they wait for themselves.
"""

from __future__ import annotations

import os
import sys

import cv2

SLEEPING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


def let_waiting_threads_sleep() -> None:
    """For this process and those that it starts; what the environment says already stays.

    To be called before PyTorch is imported: OpenMP reads it once.
    """
    for name, value in SLEEPING.items():
        os.environ.setdefault(name, value)


def set_threads(threads: int) -> None:
    """Compute with so many threads; 0: one for each core, unless OMP_NUM_THREADS says otherwise.

    Raises:
        ValueError: a negative number.
    """
    if threads < 0:
        raise ValueError(f"threads: expected 0 or more, got {threads}")
    if threads:
        cv2.setNumThreads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # what PyTorch reads once it is imported
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)


def thread_count() -> int:
    """What `set_threads` set, or OMP_NUM_THREADS; one for each core where neither says a number."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(said) if said.isdigit() and int(said) else len(os.sched_getaffinity(0))

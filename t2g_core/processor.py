"""A processor that is shared: threads that sleep while they wait, and how many there are.

A robot's processor always is. OpenMP's threads spin while they wait for one another, which takes
from other processes what they wait for themselves.
"""

from __future__ import annotations

import os

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
        import cv2
        import torch  # seconds

        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Clips drawn ahead of the training loop by the workers of a `torch.utils.data.DataLoader`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
from torch.utils.data import DataLoader, Dataset

from t2g_core.training.clips.sampler import Clip, ClipSampler

PREFETCH = 2  # clips that each worker keeps ready


class ClipLoader:
    """Clips by number from `workers` processes; 0: drawn where they are asked for.

    A clip is the same whoever draws it. Close it at the end.
    """

    def __init__(self, sampler: ClipSampler, workers: int):
        self.sampler, self.workers = sampler, workers
        self._coming: Iterator[tuple[int, Clip]] = iter(())
        self._ordered: set[int] = set()  # numbers that a worker has or has had in hand

    def begin(self, order: Iterable[int]) -> None:
        """Let the workers draw these numbers, in the order in which they will be asked for."""
        if self.workers:
            self._coming = iter(
                DataLoader(
                    DrawnClips(self.sampler),
                    batch_size=None,
                    sampler=self._noted(order),
                    num_workers=self.workers,
                    prefetch_factor=PREFETCH,
                    collate_fn=_as_it_is,
                    multiprocessing_context="spawn",  # a fork would copy locked threads
                )
            )

    def __call__(self, number: int) -> Clip:
        """Clip number `number`; errors of a worker are raised here.

        Those before it in the order that nobody has asked for are let go.
        """
        while number in self._ordered:
            came, clip = next(self._coming)
            self._ordered.discard(came)
            if came == number:
                return clip
        return self.sampler(number)

    def close(self) -> None:
        """End the processes; clips not yet asked for are dropped."""
        self._coming = iter(())
        self._ordered.clear()

    def _noted(self, order: Iterable[int]) -> Iterator[int]:
        """The order, each number noted when a worker gets it."""
        for number in order:
            self._ordered.add(number)
            yield number


class DrawnClips(Dataset):
    """A sampler as a data set: number -> the number and its clip."""

    def __init__(self, sampler: ClipSampler):
        self.sampler = sampler

    def __getitem__(self, number: int) -> tuple[int, Clip]:
        cv2.setNumThreads(1)  # the processes are what runs side by side
        return number, self.sampler(number)


def _as_it_is(item: tuple[int, Clip]) -> tuple[int, Clip]:
    return item

"""Worker processes that draw clips ahead of the training loop."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor

import cv2

from t2g_core.training.clip_sampler import Clip, ClipSampler

_sampler: ClipSampler  # of a worker process


class ClipWorkers:
    """Clips by number from `workers` processes; 0: drawn where they are asked for.

    `expect` names the clips that come next, so that they are drawn meanwhile. A clip is the same
    whoever draws it. Close it at the end.
    """

    def __init__(self, sampler: ClipSampler, workers: int):
        self.sampler = sampler
        self._pending: dict[int, Future[Clip]] = {}
        self._pool = None
        if workers:
            context = multiprocessing.get_context("spawn")  # a fork would copy locked threads
            self._pool = ProcessPoolExecutor(workers, context, _start, (sampler,))

    def expect(self, numbers: Sequence[int]) -> None:
        """Begin with the clips that are asked for next."""
        if self._pool is not None:
            for number in numbers:
                if number not in self._pending:
                    self._pending[number] = self._pool.submit(_draw, number)

    def __call__(self, number: int) -> Clip:
        """Clip number `number`; errors of a worker are raised here."""
        if number in self._pending:
            return self._pending.pop(number).result()
        return self.sampler(number)

    def close(self) -> None:
        """End the processes; clips not yet asked for are dropped."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pending.clear()


def _start(sampler: ClipSampler) -> None:
    global _sampler
    _sampler = sampler
    cv2.setNumThreads(1)  # the processes are what runs side by side


def _draw(number: int) -> Clip:
    return _sampler(number)

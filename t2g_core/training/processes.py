# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One training in several processes, as `torchrun` starts them, and how it is asked to stop."""

from __future__ import annotations

import os
import signal
from types import FrameType

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


class Processes:
    """The processes of this training: all of them `size`, this one `rank`; 1 and 0 alone.

    `with Processes(device) as processes:` joins what torchrun started (its environment variables
    say so) and leaves at the end. On GPUs each process takes its own.
    """

    def __init__(self, device: str):
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        several = self.size > 1 and device.startswith("cuda")
        self.device = f"cuda:{os.environ['LOCAL_RANK']}" if several else device

    def __enter__(self) -> Processes:
        if self.size > 1:
            cuda = self.device.startswith("cuda")
            if cuda:
                torch.cuda.set_device(self.device)
            distributed.init_process_group("nccl" if cuda else "gloo")
        return self

    def __exit__(self, *_: object) -> None:
        if self.size > 1:
            distributed.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this one writes, prints and validates."""
        return self.rank == 0

    def micro_batches(self, iteration: int, accumulate: int) -> range:
        """Numbers of the micro-batches of an iteration that this process computes.

        Raises ``ValueError`` where they cannot be shared evenly.
        """
        if accumulate % self.size:
            raise ValueError(
                f"train.accumulate must be a multiple of the {self.size} processes, which share "
                f"the micro-batches of an iteration, got {accumulate}"
            )
        first = iteration * accumulate
        return range(first + self.rank, first + accumulate, self.size)

    def wrap(self, module: nn.Module) -> nn.Module:
        """A module whose gradients are averaged over the processes; alone, the module itself.

        Which parameters a batch uses depends on its clip length.
        """
        if self.size == 1:
            return module
        return DistributedDataParallel(module, find_unused_parameters=True)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, the same in each."""
        if self.size > 1:
            values = values.to(self.device)
            distributed.all_reduce(values)
        return values.cpu()

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            distributed.barrier()


class StopRequest:
    """Ctrl-C (or SIGTERM) as a wish: the loop ends after its iteration and saves.

    A second one ends the program at once, as the first does before the loop is `entered`.
    """

    def __init__(self) -> None:
        self.asked = False
        self.entered = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked or not self.entered:
            raise KeyboardInterrupt
        self.asked = True

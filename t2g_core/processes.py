# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One command in several processes, as `torchrun` starts them on one machine or many."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from t2g_core.device import CUDA

if TYPE_CHECKING:
    import torch
    from torch import nn

T = TypeVar("T")

PATIENCE = timedelta(days=7)  # of those that wait while the first one validates or reads


class Share(NamedTuple):
    """One process, number `index` of `count` that divide some work."""

    index: int
    count: int

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Every `count`-th item."""
        return items[self.index :: self.count]


class Processes:
    """The processes of this command: all of them `size`, this one `rank`; 1 and 0 alone.

    `with Processes(device) as processes:` joins what torchrun started (its environment variables
    say so) and leaves at the end. On GPUs each process takes its own. Needs no PyTorch where it is
    alone.

    Tensors are summed over NCCL on GPUs, which gives up after ten minutes; objects and waiting go
    over Gloo, with a patience of days, since torchrun itself ends the others when one dies.

    Raises ``ValueError`` where torchrun would start lost processes anew with addresses of the old.
    """

    def __init__(self, device: str):
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        several = self.size > 1 and device.startswith(CUDA)
        self.device = f"{CUDA}:{os.environ['LOCAL_RANK']}" if several else device
        self._patient: object = None
        if self.size > 1:
            check_restarts()

    def __enter__(self) -> Processes:
        if self.size > 1:
            import torch
            from torch import distributed

            on_gpu = self.device.startswith(CUDA)
            if on_gpu:
                torch.cuda.set_device(self.device)
            distributed.init_process_group("nccl" if on_gpu else "gloo")
            self._patient = distributed.new_group(backend="gloo", timeout=PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        if self.size > 1:
            from torch import distributed

            distributed.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this one writes, prints and validates."""
        return self.rank == 0

    def share(self) -> Share:
        """Which one it is among all."""
        return Share(self.rank, self.size)

    def share_of(self, folder: Path) -> Share:
        """Which one it is among those that see the same `folder`, which is made.

        On several machines it may be one folder of all, or one of the same name on each.
        """
        if self.size == 1:
            return Share(0, 1)
        folder.mkdir(parents=True, exist_ok=True)
        own = folder / f".process_{secrets.token_hex(8)}"
        own.touch()
        try:
            names = self.gather_all(own.name)
            seen = [rank for rank, name in enumerate(names) if (folder / name).exists()]
            self.wait()
        finally:
            own.unlink()
        return Share(seen.index(self.rank), len(seen))

    def wrap(self, module: nn.Module) -> nn.Module:
        """A module that has the first process's weights and buffers, and whose gradients are
        averaged over the processes; alone, the module itself.

        It averages what asks for a gradient now. Which of it a batch uses depends on its clip
        length.
        """
        if self.size == 1:
            return module
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(module, find_unused_parameters=True)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, the same in each."""
        if self.size > 1:
            from torch import distributed

            values = values.to(self.device)
            distributed.all_reduce(values)
        return values.cpu()

    def from_first(self, value: T) -> T:
        """What the first process has, in each; tensors in it on the CPU."""
        if self.size == 1:
            return value
        from torch import distributed

        values = [value if self.first else None]
        distributed.broadcast_object_list(values, src=0, group=self._patient)
        return values[0]

    def gather_all(self, value: T) -> list[T]:
        """What each process has, by rank, in each."""
        if self.size == 1:
            return [value]
        from torch import distributed

        values: list = [None] * self.size
        distributed.all_gather_object(values, value, group=self._patient)
        return values

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            from torch import distributed

            distributed.barrier(group=self._patient)


def check_restarts() -> None:
    """Raise ValueError where torchrun may start processes anew beside the store of the old ones.

    It keeps what those wrote, their addresses too, so that about every second restart fails or
    hangs (pytorch/pytorch issue 135712).
    """
    restarts = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"))
    if restarts and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise ValueError(
            "torchrun --max-restarts: set the environment variable "
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for it, without which processes that are "
            "started anew may look for lost ones and hang"
        )

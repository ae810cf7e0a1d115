# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What each part of a model adds to a quantity that grows while it runs: seconds, operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack

from torch import nn


class Meters(AbstractContextManager):
    """Adds up what modules spend in their forward passes, while it is entered.

    A module that runs within another, as an adapter within an encoder, is counted by itself alone.
    read: gives the quantity so far, for example seconds of a clock.
    """

    def __init__(self, modules: Mapping[str, nn.Module], read: Callable[[], float]):
        self.spent = dict.fromkeys(modules, 0.0)
        self._modules, self._read, self._hooks = modules, read, ExitStack()
        self._running: list[tuple[float, list[float]]] = []  # began at; spent by modules within

    def __enter__(self) -> Meters:
        for name, module in self._modules.items():
            self._watch(name, module)
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    def _watch(self, name: str, module: nn.Module) -> None:
        def before(*_: object) -> None:
            self._running.append((self._read(), []))

        def after(*_: object) -> None:
            began, within = self._running.pop()
            spent = self._read() - began
            self.spent[name] += spent - sum(within)
            if self._running:
                self._running[-1][1].append(spent)

        self._hooks.callback(module.register_forward_pre_hook(before).remove)
        self._hooks.callback(module.register_forward_hook(after).remove)

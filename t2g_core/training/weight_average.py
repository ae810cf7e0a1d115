# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The exponential moving average of a method's weights: what a training gives in the end."""

from __future__ import annotations

import copy

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from t2g_core.methods.method import Method


class WeightAverage:
    """A twin of a method that follows its trained weights, and shares its frozen encoder.

    `torch.optim.swa_utils.AveragedModel` would copy and average the encoder too. Buffers are those
    of the method, not averaged.
    """

    def __init__(self, method: Method, decay: float):
        self.method = copy.deepcopy(method, {id(method.encoder): method.encoder})
        self._average = get_ema_multi_avg_fn(decay)
        self._updates = 0

    @torch.no_grad()
    def update(self, method: Method) -> None:
        """Take one more state of the method in; the first is taken as it is."""
        pairs = list(zip(self.method.parameters(), method.parameters(), strict=True))
        own, current = zip(*(pair for pair in pairs if pair[0] is not pair[1]), strict=True)
        if self._updates:
            self._average(own, current, self._updates)
        else:
            torch._foreach_copy_(own, current)
        for mine, other in zip(self.method.buffers(), method.buffers(), strict=True):
            mine.copy_(other)
        self._updates += 1

    def state_dict(self) -> dict:
        """For a run that is taken up again."""
        return {"trained": self.method.trained_state(), "updates": self._updates}

    def load_state_dict(self, state: dict) -> None:
        """What `state_dict` gave."""
        self.method.load_state_dict(state["trained"], strict=False)
        self._updates = state["updates"]

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A Mamba layer (Gu and Dao, 2023): what a position tells those after it, chosen by its content."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.methods.tv3s.selective_scan import ScanInputs, selective_scan

STATE = 16  # N, values that each channel keeps
KERNEL = 4  # positions of the causal convolution
EXPAND = 2  # D in units of d


class MambaState(NamedTuple):
    """What the positions so far have left: inputs (B, 3, D) of the convolution, h (B, D, N)."""

    inputs: torch.Tensor
    hidden: torch.Tensor


class Mamba(nn.Module):
    """[x, z] = W_in u; x = SiLU(causal convolution of x); y = selective scan; W_out(y SiLU(z))."""

    def __init__(self, dim: int):
        """dim: d, a multiple of 16."""
        super().__init__()
        width, self.rank = EXPAND * dim, dim // 16
        self.to_inner = nn.Linear(dim, 2 * width, bias=False)
        self.convolution = nn.Conv1d(width, width, KERNEL, groups=width)
        self.to_scan = nn.Linear(width, self.rank + 2 * STATE, bias=False)
        self.to_delta = nn.Linear(self.rank, width)
        self.log_decay = nn.Parameter(torch.arange(1.0, STATE + 1).log().repeat(width, 1))
        self.skip = nn.Parameter(torch.ones(width))
        self.out = nn.Linear(width, dim, bias=False)
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        """softplus of delta's bias is drawn between 0.001 and 0.1, evenly in its logarithm."""
        nn.init.uniform_(self.to_delta.weight, -(self.rank**-0.5), self.rank**-0.5)
        low, high = math.log(1e-3), math.log(1e-1)
        delta = torch.empty(len(self.skip)).uniform_(low, high).exp().clamp(min=1e-4)
        self.to_delta.bias.copy_(delta + (-torch.expm1(-delta)).log())  # inverse of softplus

    def start(self, batch: int) -> MambaState:
        """Nothing yet."""
        width, like = len(self.skip), self.skip
        inputs = torch.zeros(batch, KERNEL - 1, width, dtype=like.dtype, device=like.device)
        hidden = torch.zeros(batch, width, STATE, dtype=like.dtype, device=like.device)
        return MambaState(inputs, hidden)

    def forward(
        self, u: torch.Tensor, state: MambaState, chunk: int = 1
    ) -> tuple[torch.Tensor, MambaState]:
        """u (B, L, d), after the positions of `state` -> (B, L, d) and the state after them."""
        x, z = self.to_inner(u).chunk(2, dim=-1)
        seen = torch.cat([state.inputs.to(x.dtype), x], dim=1)
        x = F.silu(self.convolution(seen.transpose(1, 2)).transpose(1, 2))
        delta, b, c = self.to_scan(x).split([self.rank, STATE, STATE], dim=-1)
        delta = F.softplus(self.to_delta(delta).float())
        inputs = ScanInputs(x, delta, b, c, -self.log_decay.float().exp(), self.skip)
        y, hidden = selective_scan(inputs, state.hidden, chunk)
        after = MambaState(seen[:, 1 - KERNEL :], hidden)
        return self.out(y.to(z.dtype) * F.silu(z)), after

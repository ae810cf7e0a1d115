# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What REIN, FADA and DepthForge share: learned tokens that patch tokens attend to, and the queries
made from them (Wei et al., CVPR 2024).
"""

from __future__ import annotations

import math

import torch
from torch import nn

PATCH_PIXELS = 16


class LowRankTokens(nn.Module):
    """m tokens T_i = A_i B_i of width C for each of L blocks."""

    def __init__(self, blocks: int, count: int, rank: int, width: int, bound_width: int):
        """count: m; width: C of a token; bound_width: C in the bound of the first values,
        +-sqrt(6 / (3 * 16^2 + sqrt(C r))).
        """
        super().__init__()
        bound = math.sqrt(6 / (3 * PATCH_PIXELS**2 + math.sqrt(bound_width * rank)))
        self.a = nn.Parameter(torch.empty(blocks, count, rank).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.empty(blocks, rank, width).uniform_(-bound, bound))

    def of_block(self, number: int) -> torch.Tensor:
        """(m, C)."""
        return self.a[number] @ self.b[number]

    def forward(self) -> torch.Tensor:
        """(L, m, C)."""
        return self.a @ self.b


class TokenRead(nn.Module):
    """What patch tokens take from the learned ones: W_d(P W_t(T) + f), the first token left out.

    The first learned token is a sink: it takes part in the softmax and gives nothing.
    """

    def __init__(self, width: int):
        super().__init__()
        self.to_value = nn.Linear(width, width)  # W_t
        self.to_delta = nn.Linear(width, width)  # W_delta
        for linear in (self.to_value, self.to_delta):
            nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5))

    def forward(
        self, patches: torch.Tensor, tokens: torch.Tensor, logits: torch.Tensor
    ) -> torch.Tensor:
        """patches f (B, N, C), tokens T (m, C), logits (B, N, m), scaled -> delta (B, N, C)."""
        share = logits.softmax(dim=-1)[..., 1:]  # the sink's share is lost
        return self.to_delta(share @ self.to_value(tokens[1:]) + patches)


class TokenQueries(nn.Module):
    """One query a token: its greatest, mean and last projection over the blocks, merged."""

    def __init__(self, width: int, dim: int, spread: float):
        """width: C; dim: d; spread: factor of the projection's first weights."""
        super().__init__()
        self.project = nn.Linear(width, dim)
        with torch.no_grad():
            self.project.weight.mul_(spread)
        self.merge = nn.Linear(3 * dim, dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """tokens (L, m, C) -> (m, d)."""
        x = self.project(tokens)
        three = torch.stack([x.amax(dim=0), x.mean(dim=0), x[-1]], dim=-1)  # (m, d, 3)
        return self.merge(three.flatten(1))

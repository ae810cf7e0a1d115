# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""REIN (Wei et al., CVPR 2024): learned tokens refine a frozen encoder's features after a block."""

from __future__ import annotations

import torch
from torch import nn

from t2g_core.methods.adapters.adapter_method import (
    START_SCALE,
    Adapter,
    AdapterConfig,
    AdapterMethod,
)
from t2g_core.methods.adapters.low_rank_tokens import LowRankTokens, TokenQueries, TokenRead


class ReinConfig(AdapterConfig):
    """The section `rein`."""


class ReinAdapter(Adapter):
    """f <- f + s * delta, delta = W_d(softmax(f T' / sqrt(C)) W_t(T) + f), the first token a sink.

    Tokens are of each block; the two projections and the scale s are shared by all.
    """

    def __init__(self, config: AdapterConfig, blocks: int, width: int):
        """blocks: L; width: C."""
        super().__init__()
        self.tokens = LowRankTokens(blocks, config.tokens, config.rank, width, width)
        self.read = TokenRead(width)
        self.scale = nn.Parameter(torch.tensor(START_SCALE))
        self.to_queries = TokenQueries(width, config.head.dim, config.query_spread)

    def forward(self, grid: tuple[int, int], number: int, patches: torch.Tensor) -> torch.Tensor:
        """See `Adapter`."""
        del grid
        tokens = self.tokens.of_block(number)
        return self.moved(patches, tokens, patches @ tokens.T)

    def moved(
        self, patches: torch.Tensor, tokens: torch.Tensor, similarity: torch.Tensor
    ) -> torch.Tensor:
        """patches (B, N, C), tokens (m, C), similarity (B, N, m) -> patches and what they read."""
        logits = similarity * patches.shape[-1] ** -0.5
        return patches + self.scale * self.read(patches, tokens, logits)

    def queries(self) -> torch.Tensor:
        """(m, d)."""
        return self.to_queries(self.tokens())

    def undecayed(self) -> list[nn.Parameter]:
        """The tokens' factors and s."""
        return [self.scale, *self.tokens.parameters()]


class Rein(AdapterMethod):
    """REIN's adapter and head."""

    Config = ReinConfig

    def make_adapter(self) -> Adapter:
        """REIN's."""
        return ReinAdapter(self.config, self.encoder.num_blocks, self.encoder.width)

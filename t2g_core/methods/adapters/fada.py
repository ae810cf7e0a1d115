# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""FADA (Bi et al., NeurIPS 2024): REIN's learned tokens, others for low and for high frequencies.

Its own code is not published. `Fada` is the method as the article describes it; `FadaCode` is what
public derivatives of its code compute and what its published number of parameters fits.
"""

from __future__ import annotations

import torch
from torch import nn

from t2g_core.methods.adapters.adapter_method import (
    START_SCALE,
    Adapter,
    AdapterConfig,
    AdapterMethod,
)
from t2g_core.methods.adapters.haar import FILTERS, haar, inverse_haar
from t2g_core.methods.adapters.low_rank_tokens import LowRankTokens, TokenQueries, TokenRead

LAID_OUT = 32  # channels of a row in which `FadaCode` lays out a token


class FadaConfig(AdapterConfig):
    """The section `fada`."""


class FadaCodeConfig(AdapterConfig):
    """The section `fada_code`."""


class FadaAdapter(Adapter):
    """f <- f + s * inverse Haar of what the bands of f read from tokens of their frequency.

    The Haar transform runs over the grid of patches, channel by channel. The three high bands share
    tokens and projections, of the whole width C; the article gives them a width of 3C/4, which a
    band of the grid does not have. What they resemble of each token is normalised over the
    positions of an image, which takes its style out.
    """

    def __init__(self, config: AdapterConfig, blocks: int, width: int):
        """blocks: L; width: C."""
        super().__init__()
        self.low = LowRankTokens(blocks, config.tokens, config.rank, width, width)
        self.high = LowRankTokens(blocks, config.tokens, config.rank, width, 3 * width // 4)
        self.read_low, self.read_high = TokenRead(width), TokenRead(width)
        self.scale = nn.Parameter(torch.tensor(START_SCALE))
        self.to_queries = TokenQueries(width, config.head.dim, config.query_spread)

    def forward(self, grid: tuple[int, int], number: int, patches: torch.Tensor) -> torch.Tensor:
        """See `Adapter`."""
        scale = patches.shape[-1] ** -0.5
        bands = haar(patches.unflatten(1, grid))  # (B, 4, h/2, w/2, C)
        low, high = bands[:, 0].flatten(1, 2), bands[:, 1:].flatten(2, 3)  # (B, 3, n, C)
        tokens = self.low.of_block(number)
        low = self.read_low(low, tokens, scale * (low @ tokens.T))
        tokens = self.high.of_block(number)
        similarity = standardized(high @ tokens.T, dim=2)
        high = self.read_high(high, tokens, scale * similarity)
        deltas = torch.cat([low[:, None], high], dim=1).unflatten(2, bands.shape[2:4])
        return patches + self.scale * inverse_haar(deltas, grid).flatten(1, 2)

    def queries(self) -> torch.Tensor:
        """(m, d), of the low tokens."""
        return self.to_queries(self.low())

    def undecayed(self) -> list[nn.Parameter]:
        """The tokens' factors and s."""
        return [self.scale, *self.low.parameters(), *self.high.parameters()]


class FadaCodeAdapter(Adapter):
    """The same between the channels of a token: it is laid out as a picture, 32 channels a row.

    In the derivatives' code this comes of a missing transpose, at square inputs. Their four filter
    banks belong to what learns, one 2x2 filter for each of the C channels of the map they take a
    batch for: at a row of channels, the one of its place among all rows of an image. What the
    bands read is put side by side, without an inverse; the high band's similarity is normalised
    over the tokens.
    """

    def __init__(self, config: AdapterConfig, blocks: int, width: int):
        """blocks: L; width: C, a multiple of 64."""
        super().__init__()
        if width % (2 * LAID_OUT):
            raise ValueError(f"expected a token width in multiples of {2 * LAID_OUT}, got {width}")
        self.quarter = width // 4
        self.filters = nn.Parameter(FILTERS[:, None].repeat(1, width, 1, 1))  # (4, C, 2, 2)
        widths = self.quarter, width - self.quarter
        self.low, self.high = (
            LowRankTokens(blocks, config.tokens, config.rank, own, bound)
            for own, bound in zip(widths, (width, widths[1]), strict=True)
        )
        self.read_low, self.read_high = (TokenRead(own) for own in widths)
        self.scale = nn.Parameter(torch.tensor(START_SCALE))
        self.to_queries = TokenQueries(self.quarter, config.head.dim, config.query_spread)

    def forward(self, grid: tuple[int, int], number: int, patches: torch.Tensor) -> torch.Tensor:
        """See `Adapter`."""
        del grid
        scale = patches.shape[-1] ** -0.5
        low, high = self.bands(patches).split([self.quarter, patches.shape[-1] - self.quarter], -1)
        tokens = self.low.of_block(number)
        low = self.read_low(low, tokens, scale * (low @ tokens.T))
        tokens = self.high.of_block(number)
        similarity = standardized(high @ tokens.T, dim=2)
        high = self.read_high(high, tokens, scale * similarity)
        return patches + self.scale * torch.cat([low, high], dim=-1)

    def bands(self, patches: torch.Tensor) -> torch.Tensor:
        """(B, N, C) -> the low band of each token, C/4 channels, then its three high ones."""
        count, width = patches.shape[1:]
        rows = width // LAID_OUT // 2  # pairs of rows of a token
        blocks = patches.unflatten(-1, (rows, 2, LAID_OUT // 2, 2))  # (B, N, r, 2, x, 2)
        place = torch.arange(count * rows, device=patches.device) * 2 * LAID_OUT // count
        filters = self.filters[:, place].unflatten(1, (count, rows))  # (4, N, r, 2, 2)
        return torch.einsum("bnrixj,knrij->bnkrx", blocks, filters).flatten(2)

    def queries(self) -> torch.Tensor:
        """(m, d), of the low tokens."""
        return self.to_queries(self.low())

    def undecayed(self) -> list[nn.Parameter]:
        """The tokens' factors and s."""
        return [self.scale, *self.low.parameters(), *self.high.parameters()]


class Fada(AdapterMethod):
    """FADA as the article describes it."""

    Config = FadaConfig

    def make_adapter(self) -> Adapter:
        """Over the grid of patches."""
        return FadaAdapter(self.config, self.encoder.num_blocks, self.encoder.width)


class FadaCode(AdapterMethod):
    """FADA as public derivatives of its code compute it."""

    Config = FadaCodeConfig

    def make_adapter(self) -> Adapter:
        """Over the channels of a token."""
        return FadaCodeAdapter(self.config, self.encoder.num_blocks, self.encoder.width)


def standardized(x: torch.Tensor, dim: int) -> torch.Tensor:
    """An instance norm without parameters: mean 0 and variance 1 along `dim`."""
    x = x - x.mean(dim=dim, keepdim=True)
    return x * (x.square().mean(dim=dim, keepdim=True) + 1e-5).rsqrt()

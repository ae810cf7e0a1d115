# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Mask2Former's head on the maps of an encoder whose adapter gives it its queries.

Cheng et al., CVPR 2022, with the link from tokens to queries of REIN (Wei et al., CVPR 2024): there
are no free query embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.methods.adapters.pixel_decoder import DecodedMaps, PixelDecoder, Size, resized


@dataclass(frozen=True)
class Mask2FormerConfig:
    """dim, heads: d and the heads of all attention. pixel_layers, pixel_ffn_dim: of the pixel
    decoder; decoder_layers, ffn_dim: of the decoder of queries.

    The published sizes are the defaults.
    """

    dim: int = 256
    heads: int = 8
    pixel_layers: int = 6
    pixel_ffn_dim: int = 1024
    decoder_layers: int = 9
    ffn_dim: int = 2048

    def __post_init__(self):
        if self.dim % 32 or self.dim % self.heads:
            raise ValueError(
                f"dim: expected a multiple of 32 and of heads, {self.heads}, got {self.dim}"
            )


class SetPrediction(NamedTuple):
    """Classes and masks of Q queries: before the first decoder layer and after each.

    class_logits (B, stages, Q, K + 1), last: no object; mask_embeddings (B, stages, Q, d), whose
    products with pixels (B, d, h/4, w/4) are the logits of the masks.
    """

    class_logits: torch.Tensor
    mask_embeddings: torch.Tensor
    pixels: torch.Tensor


class Mask2FormerHead(nn.Module):
    """Pixel decoder, then queries that read within their own masks."""

    def __init__(self, config: Mask2FormerConfig, channels: int, num_classes: int):
        """channels: C of the four maps."""
        super().__init__()
        c = config
        self.pixel_decoder = PixelDecoder(channels, c.dim, c.heads, c.pixel_layers, c.pixel_ffn_dim)
        self.query_decoder = QueryDecoder(c, num_classes)

    def forward(
        self, maps: list[torch.Tensor], grid: Size, query_positions: torch.Tensor
    ) -> SetPrediction:
        """maps: four (B, C, h, w), shallow to deep; grid: height and width of a frame at stride 16;
        query_positions (Q, d), of which the queries' first content is a projection.
        """
        decoded = self.pixel_decoder(maps, grid)
        return SetPrediction(*self.query_decoder(decoded, query_positions), decoded.pixels)


class QueryDecoder(nn.Module):
    """Masked attention of the queries to one level after the other: strides 32, 16 and 8."""

    def __init__(self, config: Mask2FormerConfig, num_classes: int):
        super().__init__()
        dim = config.dim
        self.level_embedding = nn.Parameter(torch.randn(3, dim))
        self.to_content = nn.Linear(dim, dim)
        self.layers = nn.ModuleList(
            QueryLayer(dim, config.heads, config.ffn_dim) for _ in range(config.decoder_layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.to_class = nn.Linear(dim, num_classes + 1)
        self.to_mask = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim)
        )

    def forward(
        self, decoded: DecodedMaps, query_positions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """query_positions (Q, d) -> class logits and mask embeddings of every stage."""
        memory = [x + level for x, level in zip(decoded.levels, self.level_embedding, strict=True)]
        # a mask resized to a level is the product with the pixels resized to it
        seen = [resized(decoded.pixels, size).flatten(2) for size in decoded.sizes]
        queries = self.to_content(query_positions).expand(len(decoded.pixels), -1, -1)
        states = [self.norm(queries)]
        masks = [self.to_mask(states[0])]
        for number, layer in enumerate(self.layers):
            level = number % len(memory)
            queries = layer(
                queries,
                query_positions,
                memory[level],
                decoded.positions[level],
                inside(masks[-1], seen[level]),
            )
            states.append(self.norm(queries))
            masks.append(self.to_mask(states[-1]))
        return self.to_class(torch.stack(states, dim=1)), torch.stack(masks, dim=1)


class QueryLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward network, each before its norm."""

    def __init__(self, dim: int, heads: int, ffn_dim: int):
        super().__init__()
        self.cross_attention = Attention(dim, heads)
        self.cross_norm = nn.LayerNorm(dim)
        self.self_attention = Attention(dim, heads)
        self.self_norm = nn.LayerNorm(dim)
        self.ffn = nn.Sequential(nn.Linear(dim, ffn_dim), nn.ReLU(), nn.Linear(ffn_dim, dim))
        self.ffn_norm = nn.LayerNorm(dim)

    def forward(
        self,
        queries: torch.Tensor,
        query_positions: torch.Tensor,
        memory: torch.Tensor,
        positions: torch.Tensor,
        allowed: torch.Tensor,
    ) -> torch.Tensor:
        """queries (B, Q, d), query_positions (Q, d), memory (B, n, d), positions (n, d), allowed
        (B, Q, n): which cells a query reads -> (B, Q, d).
        """
        read = self.cross_attention(
            queries + query_positions, memory + positions, memory, allowed[:, None]
        )
        queries = self.cross_norm(queries + read)
        placed = queries + query_positions
        queries = self.self_norm(queries + self.self_attention(placed, placed, queries))
        return self.ffn_norm(queries + self.ffn(queries))


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al., 2017)."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_query, self.to_key, self.to_value, self.out = (
            nn.Linear(dim, dim) for _ in range(4)
        )

    def forward(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        allowed: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """queries (B, Q, d), keys and values (B, n, d), allowed (B, 1, Q, n) bool -> (B, Q, d)."""
        query, key, value = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for x in (self.to_query(queries), self.to_key(keys), self.to_value(values))
        )
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        return self.out(read.transpose(1, 2).flatten(2))


@torch.no_grad()
def inside(mask_embeddings: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Which cells of a level a query may read: those in its mask; all, where it has none there.

    mask_embeddings (B, Q, d), pixels (B, d, n) -> bool (B, Q, n).
    """
    allowed = mask_embeddings @ pixels >= 0  # the sigmoid of a logit is 0.5 at zero
    return allowed | ~allowed.any(dim=-1, keepdim=True)

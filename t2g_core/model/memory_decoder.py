"""Spatio-Temporal Memory Decoder (paper section 3.3, Eq. 3 and 4)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.model.deformable_attention import DeformableMemoryAttention


class SpatioTemporalMemoryDecoder(nn.Module):
    """Stability Queries read a memory of several frames and scales through stacked blocks.

    What a frame contributes to the memory is made once, by `to_memory`, without temporal
    embeddings; `forward` adds them by relative age, since W(M + e) = WM + We. A stream therefore
    treats each frame once, however long the clip is.

    attention: `dense` keeps every block's keys and values of all tokens; `deformable` keeps the
        tokens themselves, of which every block samples a few.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        ffn_dim: int,
        num_blocks: int,
        max_frames: int,
        num_scales: int,
        attention: str = "dense",
    ):
        super().__init__()
        if attention not in ("dense", "deformable"):
            raise ValueError(f"attention: expected dense or deformable, got {attention!r}")
        self.attention = attention
        self.temporal_embedding = nn.Parameter(torch.randn(max_frames, dim) * 0.02)  # 0: newest
        self.scale_embedding = nn.Parameter(torch.randn(num_scales, dim) * 0.02)
        self.blocks = nn.ModuleList()
        for _ in range(num_blocks):
            if attention == "dense":
                read = MemoryAttention(dim, heads)
            else:
                read = DeformableMemoryAttention(dim, heads, num_scales)
            self.blocks.append(DecoderBlock(dim, heads, ffn_dim, read))

    def to_memory(self, scales: list[torch.Tensor]) -> torch.Tensor:
        """One frame's memory.

        scales: one (B, N_l, d) a scale, fine to coarse; N is the sum of the N_l. Returns keys and
        values of every block (B, blocks, N, 2d), or with deformable attention (B, 1, N, d).
        """
        memory = torch.cat(
            [x + e for x, e in zip(scales, self.scale_embedding, strict=True)], dim=1
        )  # (B, N, d)
        if self.attention == "deformable":
            return memory[:, None]
        return torch.stack([block.read.to_key_value(memory) for block in self.blocks], dim=1)

    def forward(
        self, queries: torch.Tensor, memory: torch.Tensor, sizes: list[tuple[int, int]]
    ) -> list[torch.Tensor]:
        """Eq. 4 for every block.

        queries (Q, d); memory: what `to_memory` gave for T <= max_frames frames, stacked at
        dimension 1, newest last; sizes: height and width of every scale.
        Returns S of every stage, the initial one included: blocks + 1 times (B, Q, d).
        """
        frames = memory.shape[1]
        by_age = self.temporal_embedding[:frames].flip(0)  # (T, d), newest last
        memory = memory.expand(-1, -1, len(self.blocks), -1, -1)
        states = [queries.expand(memory.shape[0], -1, -1)]
        for block, block_memory in zip(self.blocks, memory.unbind(2), strict=True):
            states.append(block(states[-1], block_memory, by_age, sizes))
        return states


class DecoderBlock(nn.Module):
    """Cross-attention to the memory, self-attention among queries, FFN; residuals, post-norm."""

    def __init__(self, dim: int, heads: int, ffn_dim: int, read: nn.Module):
        """read: MemoryAttention or DeformableMemoryAttention."""
        super().__init__()
        self.read = read
        self.read_norm = nn.LayerNorm(dim)
        self.mix = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.mix_norm = nn.LayerNorm(dim)
        self.ffn = nn.Sequential(nn.Linear(dim, ffn_dim), nn.GELU(), nn.Linear(ffn_dim, dim))
        self.ffn_norm = nn.LayerNorm(dim)

    def forward(
        self,
        queries: torch.Tensor,
        memory: torch.Tensor,
        by_age: torch.Tensor,
        sizes: list[tuple[int, int]],
    ) -> torch.Tensor:
        """queries (B, Q, d), memory (B, T, N, 2d or d), by_age (T, d) -> (B, Q, d)."""
        queries = self.read_norm(queries + self.read(queries, memory, by_age, sizes))
        mixed, _ = self.mix(queries, queries, queries, need_weights=False)
        queries = self.mix_norm(queries + mixed)
        return self.ffn_norm(queries + self.ffn(queries))


class MemoryAttention(nn.Module):
    """Scaled dot-product attention from queries to all frames and scales of the memory."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_query = nn.Linear(dim, dim)
        self.to_key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(
        self,
        queries: torch.Tensor,
        memory: torch.Tensor,
        by_age: torch.Tensor,
        sizes: list[tuple[int, int]],
    ) -> torch.Tensor:
        """queries (B, Q, d), memory (B, T, N, 2d), by_age (T, d) -> (B, Q, d)."""
        del sizes  # every token is read, wherever it lies
        temporal = F.linear(by_age, self.to_key_value.weight)  # the bias is in the memory already
        memory = (memory + temporal[:, None]).flatten(1, 2)  # (B, T*N, 2d)
        key, value = memory.chunk(2, dim=-1)
        read = F.scaled_dot_product_attention(
            self._split(self.to_query(queries)), self._split(key), self._split(value)
        )
        return self.out(read.transpose(1, 2).flatten(2))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, n, d) -> (B, h, n, d/h)

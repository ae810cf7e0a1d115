# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Spatio-Temporal Memory Decoder (paper section 3.3, Eq. 3 and 4)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.methods.time2general.deformable_attention import DeformableMemoryAttention

UNREAD = -1e4  # a logit that no softmax sees, in float16 too


class SpatioTemporalMemoryDecoder(nn.Module):
    """Stability Queries read a memory of several frames and scales through stacked blocks.

    What a frame contributes to the memory is made once, by `to_memory`, without temporal
    embeddings; `forward` adds them by relative age, since W(M + e) = WM + We. A stream therefore
    treats each frame once, however long the clip is.

    attention: `dense` keeps every block's keys and values of all tokens; `deformable` keeps the
        tokens themselves, of which every block samples a few.
    coarse_past: of frames before the newest only the coarsest scale is read, which is a fifth of
        their tokens: where things are is the newest frame's to say. With dense attention alone.
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
        coarse_past: bool = False,
    ):
        super().__init__()
        if coarse_past and attention != "dense":
            raise ValueError("coarse_past: deformable attention reads a few points of each frame")
        self.coarse_past = coarse_past
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
        values of every block (B, blocks, 2, heads, N, d / heads), or with deformable attention the
        tokens (B, N, d).
        """
        memory = torch.cat(
            [x + e for x, e in zip(scales, self.scale_embedding, strict=True)], dim=1
        )  # (B, N, d)
        if self.attention == "deformable":
            return memory
        return torch.stack([block.read.keys_and_values(memory) for block in self.blocks], dim=1)

    def as_past(self, memory: torch.Tensor, sizes: list[tuple[int, int]]) -> torch.Tensor:
        """What is kept of a frame's memory when a newer frame comes."""
        if not self.coarse_past:
            return memory
        height, width = sizes[-1]
        return memory[..., -height * width :, :].clone()  # a view would hold on to all of it

    def empty(self, batch: int, sizes: list[tuple[int, int]], device: torch.device) -> torch.Tensor:
        """A slot of a stream's memory that holds no frame: zeros of the shape and type of what
        `as_past` gives for frames of these sizes.
        """
        token = torch.zeros(batch, 1, self.scale_embedding.shape[1], device=device)
        like = self.to_memory([token] * len(sizes))  # (..., N, width) of a frame of one token
        read = sizes[-1:] if self.coarse_past else sizes
        tokens = sum(height * width for height, width in read)
        return like.new_zeros(*like.shape[:-2], tokens, like.shape[-1])

    def forward(
        self,
        queries: torch.Tensor,
        memory: list[torch.Tensor],
        sizes: list[tuple[int, int]],
        holds: torch.Tensor | None = None,
    ) -> list[torch.Tensor]:
        """Eq. 4 for every block.

        queries (Q, d); memory: what `to_memory` gave for T <= max_frames frames, newest last, those
        before it through `as_past`; sizes: height and width of every scale; holds (B, T) bool:
        which of the T hold a frame (None: all), the others are not read.
        Returns S of every stage, the initial one included: blocks + 1 times (B, Q, d).
        """
        share = torch.zeros(1, len(memory), device=queries.device)  # added to a frame's logits
        if holds is not None:
            share = share.masked_fill(~holds, UNREAD)
        by_age = self.temporal_embedding[: len(memory)].flip(0)  # (T, d), newest last
        states = [queries.expand(memory[0].shape[0], -1, -1)]
        for number, block in enumerate(self.blocks):
            own = [frame if frame.dim() == 3 else frame[:, number] for frame in memory]
            states.append(block(states[-1], own, by_age, sizes, share))
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
        memory: list[torch.Tensor],
        by_age: torch.Tensor,
        sizes: list[tuple[int, int]],
        share: torch.Tensor,
    ) -> torch.Tensor:
        """queries (B, Q, d), memory: T as the attention reads them, by_age (T, d), share (B or 1,
        T): added to the logits of each frame -> (B, Q, d).
        """
        queries = self.read_norm(queries + self.read(queries, memory, by_age, sizes, share))
        mixed, _ = self.mix(queries, queries, queries, need_weights=False)
        queries = self.mix_norm(queries + mixed)
        return self.ffn_norm(queries + self.ffn(queries))


class MemoryAttention(nn.Module):
    """Scaled dot-product attention from queries to all frames and scales of the memory.

    One softmax over all tokens, taken frame by frame: what a frame alone would give, weighted by
    its share of the sum of exponentials. A temporal embedding e is the same for all tokens of a
    frame, so q (k + e) = q k + q e moves the share alone and v + e the read alone: nothing of a
    kept memory is copied or added to.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_query = nn.Linear(dim, dim)
        self.to_key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def keys_and_values(self, tokens: torch.Tensor) -> torch.Tensor:
        """tokens (B, N, d) -> (B, 2, h, N, d/h)."""
        both = self.to_key_value(tokens).unflatten(-1, (2, self.heads, -1))  # (B, N, 2, h, d/h)
        return both.permute(0, 2, 3, 1, 4)

    def forward(
        self,
        queries: torch.Tensor,
        memory: list[torch.Tensor],
        by_age: torch.Tensor,
        sizes: list[tuple[int, int]],
        share: torch.Tensor,
    ) -> torch.Tensor:
        """queries (B, Q, d), memory: T times (B, 2, h, N_t, d/h), by_age (T, d), share (B or 1, T):
        added to the logits of each frame -> (B, Q, d).
        """
        del sizes  # every token is read, wherever it lies
        query = self.to_query(queries).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        query = query * query.shape[-1] ** -0.5  # (B, h, Q, d/h)
        temporal = F.linear(by_age, self.to_key_value.weight)  # the bias is in the memory already
        temporal = temporal.unflatten(-1, (2, self.heads, -1))  # (T, 2, h, d/h)
        age_key, age_value = temporal.permute(1, 2, 0, 3)  # (h, T, d/h)
        reads, tops, totals = [], [], []
        for frame in memory:
            key, value = frame.unbind(1)
            logits = query @ key.transpose(-1, -2)  # (B, h, Q, N_t)
            tops.append(logits.detach().amax(dim=-1))
            weights = logits.sub_(tops[-1][..., None]).exp_()
            totals.append(weights.sum(dim=-1))
            reads.append(weights @ value)
        top, total = torch.stack(tops, dim=-1), torch.stack(totals, dim=-1)  # (B, h, Q, T)
        shares = top + total.log() + query @ age_key.transpose(-1, -2)
        shares = (shares + share[:, None, None].to(shares.dtype)).softmax(dim=-1)
        read = (torch.stack(reads, dim=-2) * (shares / total)[..., None]).sum(dim=-2)
        read = read + shares @ age_value  # (B, h, Q, d/h)
        return self.out(read.transpose(1, 2).flatten(2))

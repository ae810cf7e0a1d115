# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Deformable attention of the queries to the memory (paper Eq. 4), in plain PyTorch."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F


class DeformableMemoryAttention(nn.Module):
    """Each query samples a few learned points of every frame and scale of the memory.

    After Deformable DETR (Zhu et al., 2021), with two decisions of our own. The reference point is
    a learned sigmoid of the query. Offsets and weights come from query + temporal embedding through
    layers that all frames share, and one softmax runs over all frames, scales and points, so that
    the clip length is free.

    Sampling and weighting are linear, and so is the value projection W: it is applied once to what
    a head has read, W(sum a_p (M_p + e)) = sum a_p (W M_p + W e), instead of to every token of
    every frame. A frame is therefore kept as it is, once for all blocks. A point off the image
    reads the edge; then the weights of what is read always sum to one.
    """

    def __init__(self, dim: int, heads: int, num_scales: int, points: int = 4):
        super().__init__()
        self.heads, self.num_scales, self.points = heads, num_scales, points
        self.to_reference = nn.Linear(dim, 2)
        self.to_offset = nn.Linear(dim, heads * num_scales * points * 2)
        self.to_weight = nn.Linear(dim, heads * num_scales * points)
        self.to_value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self._spread_points()

    @torch.no_grad()
    def _spread_points(self) -> None:
        """Head h starts out looking in direction 2 pi h / heads, its points 1, 2, ... tokens far.

        The queries' own spread over the image comes from `to_reference`.
        """
        angle = 2 * math.pi * torch.arange(self.heads) / self.heads
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)  # (h, 2)
        direction = direction / direction.abs().max(dim=-1, keepdim=True).values
        reach = torch.arange(1, self.points + 1)
        start = direction[:, None, None] * reach[:, None]  # (h, 1, P, 2)
        self.to_offset.weight.zero_()
        self.to_offset.bias.copy_(start.expand(-1, self.num_scales, -1, -1).flatten())
        self.to_weight.weight.zero_()
        self.to_weight.bias.zero_()

    def forward(
        self,
        queries: torch.Tensor,
        memory: list[torch.Tensor],
        by_age: torch.Tensor,
        sizes: list[tuple[int, int]],
        share: torch.Tensor,
    ) -> torch.Tensor:
        """queries (B, Q, d), memory: T times (B, N, d), by_age (T, d) -> (B, Q, d).

        sizes: height and width of every scale; their products sum to N. share (B or 1, T): added to
        the logits of each frame.
        """
        points, weights = self.points_and_weights(queries, by_age, sizes, share)
        levels = torch.stack(memory, dim=1).split([h * w for h, w in sizes], dim=2)
        read = sum(
            sample(level, size, points[..., i, :, :], weights[..., i, :])
            for i, (level, size) in enumerate(zip(levels, sizes, strict=True))
        )  # (B, Q, h, d)
        temporal = torch.einsum("bqthlp,td->bqhd", weights, by_age)
        weight = self.to_value.weight.unflatten(0, (self.heads, -1))  # (h, d/h, d)
        value = torch.einsum("bqhd,hcd->bqhc", read + temporal, weight).flatten(2)
        return self.out(value + self.to_value.bias)

    def points_and_weights(
        self,
        queries: torch.Tensor,
        by_age: torch.Tensor,
        sizes: list[tuple[int, int]],
        share: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Where to look and how much it counts.

        In float32: bfloat16 cannot tell neighbouring cells of a wide image.
        Returns points (B, Q, T, h, scales, P, 2), x and y in [0, 1] over the image (learned points
        may lie outside), and weights (B, Q, T, h, scales, P), summing to one per b, q, h.
        """
        shape = (self.heads, self.num_scales, self.points)
        aged = queries[:, :, None] + by_age  # (B, Q, T, d)
        extent = torch.tensor([(w, h) for h, w in sizes], device=queries.device)[:, None]
        reference = self.to_reference(queries).float().sigmoid()[:, :, None, None, None, None]
        points = reference + self.to_offset(aged).float().unflatten(-1, (*shape, 2)) / extent
        logits = self.to_weight(aged).unflatten(-1, shape).transpose(2, 3)  # (B, Q, h, T, L, P)
        logits = logits + share[:, None, None, :, None, None].to(logits.dtype)
        weights = logits.flatten(3).softmax(dim=-1).view_as(logits)
        return points, weights.transpose(2, 3)


def sample(
    level: torch.Tensor, size: tuple[int, int], points: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Weighted bilinear samples of one scale, summed over frames and points.

    level (B, T, h*w, d); points (B, Q, T, heads, P, 2) in [0, 1]; weights (B, Q, T, heads, P).
    Returns (B, Q, heads, d).
    """
    batch, count, frames, heads, _ = weights.shape
    maps = level.flatten(0, 1).transpose(1, 2).unflatten(2, size)  # (B*T, d, h, w)
    where = points.transpose(1, 2).flatten(0, 1).flatten(1, 2)  # (B*T, Q*heads, P, 2)
    found = F.grid_sample(
        maps.float(), where.float() * 2 - 1, padding_mode="border", align_corners=False
    )  # (B*T, d, Q*heads, P)
    share = weights.transpose(1, 2).flatten(0, 1).flatten(1, 2)
    read = torch.einsum("ndqp,nqp->nqd", found, share.to(found.dtype))
    return read.view(batch, frames, count, heads, -1).sum(1)

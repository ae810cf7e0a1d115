# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Mask2Former's pixel decoder: four maps of an encoder to pixels and three levels of memory.

Cheng et al., CVPR 2022, as its configuration in mmdetection has it: deformable encoder layers (Zhu
et al., ICLR 2021) over strides 8, 16 and 32, and one step of a feature pyramid to stride 4.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

STRIDES = (4, 8, 16, 32)  # that the maps of a plain ViT stand for, shallow to deep
POINTS = 4  # that a head samples of a level
NORM_GROUPS = 32

Size = tuple[int, int]  # height, width


class DecodedMaps(NamedTuple):
    """Of B frames.

    pixels (B, d, h, w) at stride 4. levels: (B, n, d) at strides 32, 16 and 8. positions: (n, d) of
    each level; sizes: height and width of each, n = height * width.
    """

    pixels: torch.Tensor
    levels: list[torch.Tensor]
    positions: list[torch.Tensor]
    sizes: list[Size]


class PixelDecoder(nn.Module):
    """Four maps (B, C, h, w) -> DecodedMaps of width d.

    The maps of a plain ViT have one resolution; each is resized bilinearly to the stride that it
    stands for after its 1x1 projection, which gives what resizing before it gives, at a sixteenth
    of the cost.
    """

    def __init__(self, channels: int, dim: int, heads: int, num_layers: int, ffn_dim: int):
        """channels: C; dim: d; num_layers, ffn_dim: of the deformable encoder."""
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(channels, dim, 1) for _ in range(3))
        self.project_norm = nn.ModuleList(nn.GroupNorm(NORM_GROUPS, dim) for _ in range(3))
        self.level_embedding = nn.Parameter(torch.randn(3, dim))
        self.layers = nn.ModuleList(
            DeformableEncoderLayer(dim, heads, ffn_dim) for _ in range(num_layers)
        )
        self.lateral = nn.Conv2d(channels, dim, 1, bias=False)
        self.lateral_norm = nn.GroupNorm(NORM_GROUPS, dim)
        self.smooth = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1, bias=False),
            nn.GroupNorm(NORM_GROUPS, dim),
            nn.ReLU(),
        )
        self.to_pixels = nn.Conv2d(dim, dim, 1)

    def forward(self, maps: list[torch.Tensor], grid: Size) -> DecodedMaps:
        """maps: shallow to deep, the map that stands for stride 4 first; grid: height and width of
        a frame at stride 16.
        """
        sizes = [at_stride(grid, stride) for stride in STRIDES]
        fine, *coarse = maps
        levels = [
            norm(resized(project(x), size))
            for project, norm, x, size in zip(
                self.project, self.project_norm, reversed(coarse), reversed(sizes[1:]), strict=True
            )
        ]
        memory, positions = self._encode(levels)
        smallest_stride = memory[-1].transpose(1, 2).unflatten(2, sizes[1])
        lateral = self.lateral_norm(resized(self.lateral(fine), sizes[0]))
        pixels = self.to_pixels(self.smooth(lateral + resized(smallest_stride, sizes[0])))
        return DecodedMaps(pixels, memory, positions, sizes[:0:-1])

    def _encode(self, levels: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """The deformable layers over all levels (B, d, h, w) together; their positions too."""
        sizes: list[Size] = [tuple(x.shape[-2:]) for x in levels]
        device, dim = levels[0].device, levels[0].shape[1]
        positions = [sine_positions(size, dim, device) for size in sizes]
        with_level = torch.cat(
            [x + level for x, level in zip(positions, self.level_embedding, strict=True)]
        )
        centres = torch.cat([cell_centres(size, device) for size in sizes])
        x = torch.cat([x.flatten(2).transpose(1, 2) for x in levels], dim=1)
        for layer in self.layers:
            x = layer(x, with_level, centres, sizes)
        return list(x.split([h * w for h, w in sizes], dim=1)), positions


class DeformableEncoderLayer(nn.Module):
    """Every cell of every level reads a few points of all levels; then a feed-forward network."""

    def __init__(self, dim: int, heads: int, ffn_dim: int, num_levels: int = 3):
        super().__init__()
        self.attention = DeformableAttention(dim, heads, num_levels)
        self.norm = nn.LayerNorm(dim)
        self.ffn = nn.Sequential(nn.Linear(dim, ffn_dim), nn.ReLU(), nn.Linear(ffn_dim, dim))
        self.ffn_norm = nn.LayerNorm(dim)

    def forward(
        self, x: torch.Tensor, positions: torch.Tensor, centres: torch.Tensor, sizes: list[Size]
    ) -> torch.Tensor:
        """x (B, n, d), all levels; positions (n, d); centres (n, 2) -> (B, n, d)."""
        x = self.norm(x + self.attention(x + positions, x, centres, sizes))
        return self.ffn_norm(x + self.ffn(x))


class DeformableAttention(nn.Module):
    """Multi-scale deformable attention (Zhu et al., 2021, Eq. 3); zeros lie outside a level."""

    def __init__(self, dim: int, heads: int, num_levels: int):
        super().__init__()
        self.heads, self.num_levels = heads, num_levels
        self.to_offset = nn.Linear(dim, heads * num_levels * POINTS * 2)
        self.to_weight = nn.Linear(dim, heads * num_levels * POINTS)
        self.to_value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self._spread_points()

    @torch.no_grad()
    def _spread_points(self) -> None:
        """Head h looks in direction 2 pi h / heads, its points 1, 2, ... cells far."""
        angle = 2 * math.pi * torch.arange(self.heads) / self.heads
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
        direction = direction / direction.abs().max(dim=-1, keepdim=True).values
        reach = torch.arange(1, POINTS + 1)
        start = direction[:, None, None] * reach[:, None]  # (heads, 1, P, 2)
        self.to_offset.weight.zero_()
        self.to_offset.bias.copy_(start.expand(-1, self.num_levels, -1, -1).flatten())
        self.to_weight.weight.zero_()
        self.to_weight.bias.zero_()

    def forward(
        self, queries: torch.Tensor, x: torch.Tensor, centres: torch.Tensor, sizes: list[Size]
    ) -> torch.Tensor:
        """queries, x (B, n, d): of all levels, one after the other; centres (n, 2): x and y in
        [0, 1], around which a query looks -> (B, n, d).
        """
        shape = (self.heads, self.num_levels, POINTS)
        extent = torch.tensor([(w, h) for h, w in sizes], device=x.device)
        offsets = self.to_offset(queries).float().unflatten(-1, (*shape, 2)) / extent[:, None]
        points = 2 * (centres[:, None, None, None] + offsets) - 1  # (B, n, heads, levels, P, 2)
        weights = self.to_weight(queries).float().unflatten(-1, shape).flatten(3).softmax(dim=-1)
        weights = weights.unflatten(-1, shape[1:])
        values = self.to_value(x).unflatten(-1, (self.heads, -1))
        values = values.split([h * w for h, w in sizes], dim=1)
        read = sum(
            sample(value, size, points[..., i, :, :], weights[..., i, :])
            for i, (value, size) in enumerate(zip(values, sizes, strict=True))
        )
        return self.out(read)


def sample(
    value: torch.Tensor, size: Size, points: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Weighted bilinear samples of one level, in float32: bfloat16 cannot tell neighbouring cells.

    value (B, h * w, heads, c); points (B, n, heads, P, 2) in [-1, 1]; weights (B, n, heads, P).
    Returns (B, n, heads * c).
    """
    batch = len(value)
    maps = (
        value.float().permute(0, 2, 3, 1).flatten(0, 1).unflatten(2, size)
    )  # (B * heads, c, h, w)
    where = points.float().transpose(1, 2).flatten(0, 1)  # (B * heads, n, P, 2)
    found = F.grid_sample(maps, where, align_corners=False)  # (B * heads, c, n, P)
    share = weights.float().transpose(1, 2).flatten(0, 1)
    read = (found * share[:, None]).sum(-1)  # (B * heads, c, n)
    return read.unflatten(0, (batch, -1)).flatten(1, 2).transpose(1, 2)


def at_stride(grid: Size, stride: int) -> Size:
    """Height and width at a stride, from those at stride 16; half a cell is one."""
    return tuple((side * 16 + stride - 1) // stride for side in grid)  # exact in a graph too


def resized(maps: torch.Tensor, size: Size) -> torch.Tensor:
    """(B, d, h, w) at another size, bilinear."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def cell_centres(size: Size, device: torch.device) -> torch.Tensor:
    """x and y of the middle of every cell, in [0, 1], row by row: (h * w, 2)."""
    y, x = (((torch.arange(side, device=device) + 0.5) / side) for side in size)
    grid = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid[1], grid[0]], dim=-1).flatten(0, 1)


def sine_positions(size: Size, dim: int, device: torch.device) -> torch.Tensor:
    """DETR's sine embedding, y in the first half of the channels, x in the second: (h * w, d).

    Coordinates run from 1 / side to 1 of an image, times 2 pi; wavelengths from 2 pi to 20,000 pi.
    """
    half = dim // 2
    channel = torch.arange(half, device=device)
    wavelength = 10_000 ** (2 * (channel // 2) / half)
    axes = []
    for side in size:
        place = torch.arange(1, side + 1, device=device) / (side + 1e-6) * 2 * math.pi
        phase = place[:, None] / wavelength
        axes.append(torch.stack([phase[:, 0::2].sin(), phase[:, 1::2].cos()], dim=-1).flatten(1))
    y, x = axes
    height, width = size
    rows = y[:, None].expand(height, width, half)
    columns = x[None].expand(height, width, half)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)

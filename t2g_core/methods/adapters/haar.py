# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The Haar transform of one level, orthonormal: a map to its low and three high bands, and back."""

from __future__ import annotations

import torch
from torch.nn import functional as F

# (band, row, column) of a 2x2 block: low; then left minus right, top minus bottom, diagonal
FILTERS = 0.5 * torch.tensor(
    [[[1, 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]]
)


def haar(maps: torch.Tensor) -> torch.Tensor:
    """maps (B, h, w, C) -> bands (B, 4, h/2, w/2, C), low first; an odd side is repeated once."""
    height, width = maps.shape[1:3]
    if height % 2 or width % 2:
        maps = maps.movedim(-1, 1)
        maps = F.pad(maps, (0, width % 2, 0, height % 2), mode="replicate").movedim(1, -1)
    blocks = maps.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (B, h/2, 2, w/2, 2, C)
    return torch.einsum("byixjc,kij->bkyxc", blocks, FILTERS.to(maps))


def inverse_haar(bands: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """bands (B, 4, h/2, w/2, C) -> maps (B, h, w, C) of `size` (h, w)."""
    blocks = torch.einsum("bkyxc,kij->byixjc", bands, FILTERS.to(bands))
    maps = blocks.flatten(3, 4).flatten(1, 2)
    return maps[:, : size[0], : size[1]]

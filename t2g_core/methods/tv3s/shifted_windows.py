# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A map cut into windows, plain and shifted, each a sequence of its own.

In the shifted form (Liu et al., ICCV 2021) TV3S rolls the map by half a window and treats what the
roll wraps around in pieces of its own. Those are the pieces into which the map falls when the grid
of windows is moved instead of the map: whole windows inside, half ones along the border, quarters
in the corners. So nothing is rolled here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class Piece(NamedTuple):
    """Windows of one size: where their rows and columns begin, and their height and width."""

    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    height: int
    width: int


def pieces(size: tuple[int, int], window: int, shift: int) -> list[Piece]:
    """All windows of a map of `size` (height, width), multiples of `window`, grouped by their own.

    shift: rows and columns by which the grid is moved; 0: the plain grid.
    """
    rows, columns = (_cuts(side, window, shift) for side in size)
    return [
        Piece(tops, lefts, height, width)
        for height, tops in rows.items()
        for width, lefts in columns.items()
    ]


def _cuts(side: int, window: int, shift: int) -> dict[int, tuple[int, ...]]:
    """Where the stretches of each length begin."""
    if side % window:
        raise ValueError(f"expected a side in multiples of the window, {window}, got {side}")
    borders = [*range(shift, side, window)] if shift else [*range(0, side, window)]
    starts = [0, *borders] if shift else borders
    ends = [*starts[1:], side]
    found: dict[int, tuple[int, ...]] = {}
    for start, end in zip(starts, ends, strict=True):
        found[end - start] = (*found.get(end - start, ()), start)
    return found


def cut(maps: torch.Tensor, piece: Piece) -> torch.Tensor:
    """maps (B, T, H, W, d) -> its windows (B * n, T * h * w, d): frame after frame, row by row."""
    windows = [
        maps[:, :, top : top + piece.height, left : left + piece.width]
        for top in piece.tops
        for left in piece.lefts
    ]
    return torch.stack(windows, dim=1).flatten(0, 1).flatten(1, 3)


def paste(maps: torch.Tensor, piece: Piece, windows: torch.Tensor) -> None:
    """Put what `cut` gave, changed, where it was: maps (B, T, H, W, d), in place."""
    batch, frames = maps.shape[:2]
    shape = (frames, piece.height, piece.width)
    windows = windows.unflatten(0, (batch, -1)).unflatten(2, shape).unbind(dim=1)
    places = [(top, left) for top in piece.tops for left in piece.lefts]
    for (top, left), window in zip(places, windows, strict=True):
        maps[:, :, top : top + piece.height, left : left + piece.width] = window

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Overlapping windows of a frame, as text on the command line and as places in patches."""

from __future__ import annotations

import re
from typing import NamedTuple

from t2g_core.images.model_input import PATCH

WHOLE = "none"  # how a whole frame is asked for
WINDOWS_HELP = (
    "average the probabilities of overlapping square windows of the resized frame, for example "
    "512/341 pixels, as the published rows of other methods do (default: the whole frame at once)"
)
TEXT = re.compile(r"(\d+)/(\d+)")


class Windows(NamedTuple):
    """Squares of `size` pixels, `stride` pixels apart, on the resized frame."""

    size: int
    stride: int


def read_windows(text: str) -> Windows | None:
    """`512/341`, size and stride in pixels -> Windows; `none` or nothing -> None, the whole frame.

    Raises:
        ValueError: another text, a size that does not divide by 16, a stride below 16 or above the
            size.
    """
    if text in ("", WHOLE):
        return None
    found = TEXT.fullmatch(text)
    size, stride = map(int, found.groups()) if found else (0, 0)
    if not size or size % PATCH or not PATCH <= stride <= size:
        raise ValueError(
            f"windows: expected SIZE/STRIDE in pixels such as 512/341, the size in multiples of "
            f"{PATCH}, the stride from {PATCH} to the size, or {WHOLE}; got {text!r}"
        )
    return Windows(size, stride)


class Window(NamedTuple):
    """A part of a frame in units of its patches."""

    top: int
    left: int
    height: int
    width: int

    def slices(self, scale: int) -> tuple[slice, slice]:
        """Rows and columns of a map that has `scale` cells a patch."""
        return (
            slice(scale * self.top, scale * (self.top + self.height)),
            slice(scale * self.left, scale * (self.left + self.width)),
        )


def places(grid: tuple[int, int], windows: Windows) -> list[Window]:
    """The windows of a frame of `grid` (h, w) patches, row by row.

    As many as cover it; the last of a row ends where the frame does. Where a side is shorter than a
    window, the window is cut. Places are rounded down to whole patches.
    """
    size = windows.size // PATCH
    height, width = (min(size, side) for side in grid)
    return [
        Window(top, left, height, width)
        for top in _starts(grid[0], height, windows.stride)
        for left in _starts(grid[1], width, windows.stride)
    ]


def _starts(side: int, size: int, stride: int) -> list[int]:
    """First patches of the windows of `size` patches along a side; stride in pixels."""
    count = -(-(side - size) * PATCH // stride) + 1
    return [min(i * stride // PATCH, side - size) for i in range(count)]

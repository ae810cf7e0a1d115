# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a folder lists: never a dot file, frame 2 before frame 10, one picture to a name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")  # of the pictures of a clip


def is_visible(path: Path) -> bool:
    """Whether the name is no dot file: macOS puts a `._x.jpg` beside each `x.jpg` it copies."""
    return not path.name.startswith(".")


def visible(paths: Iterable[Path]) -> Iterator[Path]:
    """The paths without dot files."""
    return filter(is_visible, paths)


def by_number(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that compares the numbers in a file's name as numbers."""
    return [
        (int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.stem)
    ]


def by_stem(files: Iterable[Path]) -> dict[str, Path]:
    """The files by their names without suffix, which masks and labels share.

    Raises ``ValueError`` for two files of one stem, with both names.
    """
    found: dict[str, Path] = {}
    for file in sorted(files):
        other = found.setdefault(file.stem, file)
        if other is not file:
            raise ValueError(
                f"{other} and {file.name} differ only in their suffix; remove one, or rename it"
            )
    return found

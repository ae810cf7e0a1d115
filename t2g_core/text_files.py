# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Text files that people write, on whatever system."""

from __future__ import annotations

from pathlib import Path


def read_text(path: Path) -> str:
    """Read a UTF-8 file; the mark that Windows puts before its text is no part of it.

    Raises ``ValueError`` for another encoding, ``FileNotFoundError``.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8"
        ) from error

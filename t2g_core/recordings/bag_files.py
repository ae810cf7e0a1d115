# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What is a bag, by the names of its files: nothing is read, and no library of bags is needed."""

from __future__ import annotations

from pathlib import Path

from t2g_core.listing import IMAGE_SUFFIXES, visible

METADATA = "metadata.yaml"
SUFFIXES = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")


def is_bag(path: Path) -> bool:
    """Whether ``path`` is a rosbag2: its folder, or one of its storage files.

    A folder of pictures with a storage file in it, and no metadata.yaml, is one of pictures.
    """
    if not path.is_dir():
        return is_storage(path)
    if (path / METADATA).is_file():
        return True
    files = list(path.iterdir())
    has_pictures = any(file.suffix.lower() in IMAGE_SUFFIXES for file in visible(files))
    return any(map(is_storage, files)) and not has_pictures


def is_storage(path: Path) -> bool:
    """Whether the file's name is that of a bag's storage, dot files aside."""
    return path.name.endswith(SUFFIXES) and not path.name.startswith(".") and path.is_file()

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Where what is made once and used again is kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$T2G_CACHE`, else `~/.cache/t2g`."""
    return Path(os.environ.get("T2G_CACHE", Path.home() / ".cache" / "t2g"))

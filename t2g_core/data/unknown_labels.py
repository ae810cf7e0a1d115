# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Values of a label that no class table has: void, shown once; too many of them are an error."""

from __future__ import annotations

import functools
import logging
from pathlib import Path

import numpy as np

MOST = 0.5  # share of a label's pixels: from it on, it is no label of this data set
_LOG = logging.getLogger(__name__)


def check_unknown(path: Path, unknown: np.ndarray, values: str, hint: str) -> None:
    """Say once that `values` of a label count as void, and where they were met first.

    unknown: (H, W) bool, the pixels that have them; hint: what it may be instead. Raises
    ``ValueError`` where they are half of the label or more.
    """
    count = int(unknown.sum())
    if count >= MOST * unknown.size:
        raise ValueError(
            f"{path} holds {values} in {count} of {unknown.size} pixels, which are not in the "
            f"class table; {hint}"
        )
    if count:
        _say_once(values, f"{count} of {unknown.size} pixels of {path}")


def _say_once(values: str, where: str) -> None:
    if values not in _said():
        _said().add(values)
        _LOG.warning("%s are in no class table and count as void; first met in %s", values, where)


@functools.cache
def _said() -> set[str]:
    """What this process has said already."""
    return set()

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Figures as JSON holds them: rounded, and None for what cannot be computed, as it has no NaN."""

from __future__ import annotations

import math


def rounded(value: float, decimals: int = 5) -> float | None:
    """A value with so many decimals; None for NaN."""
    return None if math.isnan(value) else round(float(value), decimals)


def percent(fraction: float, decimals: int = 2) -> float | None:
    """A fraction in percent; None for NaN."""
    return rounded(100 * fraction, decimals)

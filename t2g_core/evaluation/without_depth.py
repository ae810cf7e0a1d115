# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint that was trained with a depth encoder, run on RGB alone (beta = 1)."""

from __future__ import annotations

from dataclasses import replace

from t2g_core.config import Config
from t2g_core.methods.time2general.config import Time2GeneralConfig


def without_depth(config: Config) -> Config:
    """What the frozen encoder is built from: the config without depth, where it has any."""
    if not isinstance(config.method, Time2GeneralConfig):
        return config
    return replace(config, method=replace(config.method, depth=None))

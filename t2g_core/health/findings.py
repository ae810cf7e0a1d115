# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a stream, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

BLACKOUT = "blackout"
OVEREXPOSED = "overexposed"
FROZEN = "frozen"
BLURRED = "blurred"
LOW_CONTRAST = "low_contrast"
STAMPS_STAND_STILL = "stamps_stand_still"
FRAME_DROPS = "frame_drops"
RATE_FELL = "rate_fell"
FLICKER = "flicker"
LOW_CONFIDENCE = "low_confidence"

# What comes first explains what comes after it: the masks of a black image flicker, too.
KINDS = (
    BLACKOUT,
    OVEREXPOSED,
    FROZEN,
    BLURRED,
    LOW_CONTRAST,
    STAMPS_STAND_STILL,
    RATE_FELL,
    FRAME_DROPS,
    FLICKER,
    LOW_CONFIDENCE,
)


class Level(IntEnum):
    """As /diagnostics has them."""

    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong now: its kind in KINDS, how bad it is, and a sentence for people."""

    kind: str
    level: Level
    sentence: str

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Pixels to the range that the frozen encoders were trained with."""

from __future__ import annotations

import torch

from t2g_core.images.model_input import PIXEL_MEAN, PIXEL_STD


def normalise(images: torch.Tensor) -> torch.Tensor:
    """(..., H, W, 3) uint8 RGB -> (..., 3, H, W) float32 as the encoder expects."""
    mean = torch.tensor(PIXEL_MEAN, device=images.device) * 255
    std = torch.tensor(PIXEL_STD, device=images.device) * 255
    return ((images.float() - mean) / std).movedim(-1, -3)

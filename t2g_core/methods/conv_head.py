# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The convolutional head: what a frame's tokens say of it, frame by frame."""

from __future__ import annotations

from torch import nn

WIDTH = 256  # channels


def conv_head(width: int, num_classes: int, dropout: nn.Module) -> nn.Sequential:
    """(B, width, h, w) -> logits (B, K, 2h, 2w)."""
    return nn.Sequential(
        nn.Conv2d(width, WIDTH, 1),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(),
        nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(),
        dropout,
        nn.Conv2d(WIDTH, num_classes, 1),
    )

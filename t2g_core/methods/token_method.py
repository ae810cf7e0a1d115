# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Base of methods that read the frozen tokens of several blocks as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from t2g_core.methods.method import (
    ClipBatch,
    Features,
    Method,
    MethodConfig,
    encode_tokens,
    flatten_clips,
)
from t2g_core.methods.token_standardizer import TokenStandardizer


class TokenMethod(Method):
    """Its features are the tokens of every block that is read, which training keeps; its head reads
    them standardised channel by channel.
    """

    cacheable = True

    def __init__(self, config: MethodConfig, encoder: nn.Module, num_classes: int):
        super().__init__(config, encoder, num_classes)
        self.standardize = TokenStandardizer(encoder.num_layers, encoder.width)

    def encode(self, images: torch.Tensor) -> Features:
        """images (B, h, w, 3) uint8 -> tokens (B, h/16, w/16, C) of every block that is read."""
        return encode_tokens(self.encoder, images)

    def tokens(self, features: Features) -> tuple[list[torch.Tensor], tuple[int, int]]:
        """Standardised tokens (B, N, C) of each block, and their grid (h, w), N = h * w."""
        maps = [maps.flatten(1, 2) for maps in features]
        return self.standardize(maps), tuple(features[0].shape[1:3])

    def begin_training(self, class_names: Sequence[str], batches: Iterable[ClipBatch]) -> None:
        """Measure the statistics of tokens."""
        del class_names
        self.standardize.fit(
            [[maps.flatten(1, 2) for maps in flatten_clips(batch.features)] for batch in batches]
        )

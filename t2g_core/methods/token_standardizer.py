# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Zero mean and unit variance for frozen tokens, channel by channel."""

from __future__ import annotations

import torch
from torch import nn


class TokenStandardizer(nn.Module):
    """Fixed statistics of the source domain's tokens, measured once and kept in the checkpoint.

    Raw DINOv2 block outputs differ fiftyfold in scale between blocks, and a few channels are far
    larger than the rest; without this a learned projection spends its training on the scales.
    """

    def __init__(self, num_layers: int, width: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_layers, width))
        self.register_buffer("scale", torch.ones(num_layers, width))

    def fit(self, batches: list[list[torch.Tensor]]) -> None:
        """batches: for each, one (B, N, C) a layer."""
        for layer in range(len(self.mean)):
            tokens = torch.cat([batch[layer].flatten(0, 1).float() for batch in batches])
            self.mean[layer] = tokens.mean(dim=0)
            self.scale[layer] = 1.0 / tokens.std(dim=0).clamp_min(1e-4)

    def forward(self, tokens: list[torch.Tensor]) -> list[torch.Tensor]:
        """One (B, N, C) a layer -> the same shapes, standardised.

        Fewer layers than were fitted are the first ones: RGB without the depth that follows.
        """
        return [(x - self.mean[i]) * self.scale[i] for i, x in enumerate(tokens)]

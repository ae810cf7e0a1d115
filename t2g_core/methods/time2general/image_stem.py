# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What the picture itself says at strides 4 and 8: edges and thin things that tokens of 16 pixels
miss.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.encoders.normalise import normalise


class ImageStem(nn.Module):
    """A shallow network on the picture, joined with what the tokens say.

    `forward` reads the picture, `join` puts it together with the context of the tokens. While it
    learns, its own input is distorted anew at every iteration, and the tokens' is not.
    """

    def __init__(self, channels: int, context_dim: int):
        """channels: c at stride 4, and twice as many at stride 8; context_dim: d of the context."""
        super().__init__()
        self.quarter = nn.Sequential(
            *conv_block(3, channels // 2, 3, stride=2),
            *conv_block(channels // 2, channels, 3, stride=2),
        )
        self.eighth = nn.Sequential(
            *conv_block(channels, 2 * channels, 3, stride=2),
            *conv_block(2 * channels, 2 * channels, 3),
        )
        self.to_context = nn.Conv2d(2 * channels, context_dim, 1, bias=False)
        nn.init.zeros_(self.to_context.weight)
        self.context = conv_block(context_dim, channels, 1)
        self.joined = nn.Sequential(
            *conv_block(2 * channels, channels, 3), *conv_block(channels, channels, 3)
        )
        self.distorts = True  # in training mode; a stage that holds the frame path says no

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """images (B, h, w, 3) uint8 -> edges (B, c, h/4, w/4), and what the context is to have
        beside the tokens, (B, d, h/8, w/8), which begins at zero.
        """
        x = normalise(images)
        if self.training and self.distorts:
            x = distorted(x)
        edges = self.quarter(x)
        return edges, self.to_context(self.eighth(edges))

    def join(self, edges: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """edges (B, c, h/4, w/4) and the context (B, d, h/8, w/8) -> (B, c, h/4, w/4)."""
        wide = F.interpolate(self.context(context), size=edges.shape[-2:], mode="bilinear")
        return self.joined(torch.cat([edges, wide], dim=1))


def conv_block(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU; (B, inputs, H, W) -> (B, outputs, H/stride, W/stride)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def distorted(x: torch.Tensor) -> torch.Tensor:
    """Normalised pictures (B, 3, h, w) under another light, blurred and noisy; each of the three in
    half of them, by PyTorch's generator.
    """
    for change in (relit, blurred, noisy):
        chosen = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
        x = torch.where(chosen, change(x), x)
    return x


def relit(x: torch.Tensor) -> torch.Tensor:
    """Another contrast, brightness and white."""
    each, colour = (len(x), 1, 1, 1), (len(x), 3, 1, 1)
    gain = between(each, 0.3, 1.5, x) * between(colour, 0.85, 1.15, x)
    return x * gain + between(each, -0.8, 0.8, x)


def blurred(x: torch.Tensor) -> torch.Tensor:
    """A mean of 3x3 pixels."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def noisy(x: torch.Tensor) -> torch.Tensor:
    """Noise of another strength for each picture."""
    return x + between((len(x), 1, 1, 1), 0.0, 0.4, x) * torch.randn_like(x)


def between(shape: tuple[int, ...], least: float, most: float, like: torch.Tensor) -> torch.Tensor:
    """Uniform random numbers on the device of `like`."""
    return torch.empty(shape, device=like.device).uniform_(least, most)

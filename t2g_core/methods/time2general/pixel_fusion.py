"""Per-pixel features of a frame (paper Eq. 5): layers fused, context added."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F


class PixelMaps(NamedTuple):
    """Of one frame: pixels (B, p, 4h, 4w) and the coarser context (B, d, 2h, 2w) under them."""

    pixels: torch.Tensor
    context: torch.Tensor


class PixelFusion(nn.Module):
    """Fuse of Eq. 5: maps of several layers at stride 16 -> pixel embeddings at stride 4.

    All maps of a plain ViT have one resolution, so they are fused there. The width goes into 3x3
    context at strides 16 and 8, as in the convolutional head. A branch at stride 4 that sees the
    image costs more time than all of this, flickers, and brought nothing for poles and signs.
    """

    def __init__(self, width: int, num_layers: int, dim: int, pixel_dim: int):
        """width: channels of a layer's map; dim: d of the context; pixel_dim: p."""
        super().__init__()
        self.fuse = conv_block(num_layers * width, dim, 1)
        self.context16 = conv_block(dim, dim, 3)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.context8 = conv_block(dim, dim, 3)
        self.dropout = nn.Dropout2d(0.0)  # a training stage says how much
        self.to_pixels = nn.Conv2d(dim, pixel_dim, 1)

    def forward(self, maps: list[torch.Tensor], grid: tuple[int, int]) -> PixelMaps:
        """maps: one (B, h*w, width) a layer; grid (h, w)."""
        project, *rest = self.fuse  # a 1x1 convolution: a product of the maps as they lie
        x = F.linear(torch.cat(maps, dim=-1), project.weight.flatten(1))
        x = x.transpose(1, 2).unflatten(2, grid)  # channels last in memory
        for module in rest:
            x = module(x)
        context = self.context8(self.up(self.context16(x)))
        return PixelMaps(self.up(self.to_pixels(self.dropout(context))), context)


def conv_block(inputs: int, outputs: int, size: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU; (B, inputs, H, W) -> (B, outputs, H, W)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )

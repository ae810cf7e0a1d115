"""Per-pixel features of a frame (paper Eq. 5): layers fused, context added."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.methods.time2general.image_stem import ImageStem, conv_block


class PixelMaps(NamedTuple):
    """Of one frame: pixels (B, p, 4h, 4w) and the coarser context (B, d, 2h, 2w) under them."""

    pixels: torch.Tensor
    context: torch.Tensor


class PixelFusion(nn.Module):
    """Fuse of Eq. 5: maps of several layers at stride 16 -> pixel embeddings at stride 4.

    All maps of a plain ViT have one resolution, so they are fused there. The width goes into 3x3
    context at strides 16 and 8, as in the convolutional head. Where there is a stem, it adds what
    the picture shows at stride 4.
    """

    def __init__(self, width: int, num_layers: int, dim: int, pixel_dim: int, stem: int):
        """width: channels of a layer's map; dim: d of the context; pixel_dim: p; stem: channels of
        the stem, 0 for none."""
        super().__init__()
        self.fuse = conv_block(num_layers * width, dim, 1)
        self.context16 = conv_block(dim, dim, 3)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.context8 = conv_block(dim, dim, 3)
        self.dropout = nn.Dropout2d(0.0)  # a training stage says how much
        self.to_pixels = nn.Conv2d(dim, pixel_dim, 1)
        self.stem = ImageStem(stem, dim, pixel_dim) if stem else None

    def forward(
        self, maps: list[torch.Tensor], grid: tuple[int, int], images: torch.Tensor | None
    ) -> PixelMaps:
        """maps: one (B, h*w, width) a layer; grid (h, w); images (B, 16h, 16w, 3) uint8, which a
        stem reads."""
        project, *rest = self.fuse  # a 1x1 convolution: a product of the maps as they lie
        x = F.linear(torch.cat(maps, dim=-1), project.weight.flatten(1))
        x = x.transpose(1, 2).unflatten(2, grid)  # channels last in memory
        for module in rest:
            x = module(x)
        context = self.context8(self.up(self.context16(x)))
        kept = self.dropout(context)
        pixels = self.up(self.to_pixels(kept))
        if self.stem is not None:
            pixels = pixels + self.stem(images, kept)
        return PixelMaps(pixels, context)

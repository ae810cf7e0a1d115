# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Per-pixel features of a frame (paper Eq. 5): layers fused, context added, and what reads them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.methods.time2general.image_stem import ImageStem, conv_block


class PixelMaps(NamedTuple):
    """Of one frame: the context (B, d, 2h, 2w), the same with channels left out in training, and
    the stem's detail (B, c, 4h, 4w), None without a stem.
    """

    context: torch.Tensor
    kept: torch.Tensor
    detail: torch.Tensor | None


class PixelFusion(nn.Module):
    """Fuse of Eq. 5: maps of several layers at stride 16 -> what pixels are made of.

    All maps of a plain ViT have one resolution, so they are fused there. The width goes into 3x3
    context at strides 16 and 8, as in the convolutional head. Where there is a stem, it adds what
    the picture shows at strides 8 and 4.
    """

    def __init__(self, width: int, num_layers: int, dim: int, stem: int):
        """width: channels of a layer's map; dim: d of the context; stem: channels c of the stem, 0
        for none.
        """
        super().__init__()
        self.fuse = conv_block(num_layers * width, dim, 1)
        self.context16 = conv_block(dim, dim, 3)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.context8 = conv_block(dim, dim, 3)
        self.dropout = nn.Dropout2d(0.0)  # a training stage says how much
        self.stem = ImageStem(stem, dim) if stem else None

    def forward(
        self, maps: list[torch.Tensor], grid: tuple[int, int], images: torch.Tensor | None
    ) -> PixelMaps:
        """maps: one (B, h*w, width) a layer; grid (h, w); images (B, 16h, 16w, 3) uint8, which a
        stem reads.
        """
        project, *rest = self.fuse  # a 1x1 convolution: a product of the maps as they lie
        x = F.linear(torch.cat(maps, dim=-1), project.weight.flatten(1))
        x = x.transpose(1, 2).unflatten(2, grid)  # channels last in memory
        for module in rest:
            x = module(x)
        x = self.up(self.context16(x))
        if self.stem is None:
            context = self.context8(x)
            return PixelMaps(context, self.dropout(context), None)
        edges, beside = self.stem(images)
        context = self.context8(x + beside)
        kept = self.dropout(context)
        return PixelMaps(context, kept, self.stem.join(edges, kept))


class PixelProjection(nn.Module):
    """A linear map of a frame's pixels at stride 4: of the context, and of the stem's detail, whose
    part begins at zero.
    """

    def __init__(self, dim: int, stem: int, outputs: int):
        """dim: d of the context; stem: channels c of the stem, 0 for none."""
        super().__init__()
        self.context = nn.Conv2d(dim, outputs, 1)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.detail = nn.Conv2d(stem, outputs, 1, bias=False) if stem else None
        if self.detail is not None:
            nn.init.zeros_(self.detail.weight)

    def forward(self, maps: PixelMaps) -> torch.Tensor:
        """-> (B, outputs, 4h, 4w)."""
        wide = self.up(self.context(maps.kept))
        return wide if self.detail is None else wide + self.detail(maps.detail)

"""Per-pixel features of a frame (paper Eq. 5): layers fused, context added, detail restored."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class PixelMaps(NamedTuple):
    """Of one frame: pixels (B, p, H/4, W/4) and the coarser context (B, d, H/8, W/8) under them."""

    pixels: torch.Tensor
    context: torch.Tensor


class PixelFusion(nn.Module):
    """Fuse of Eq. 5: query-conditioned maps at stride 16 -> pixel embeddings at stride 4.

    All maps of a plain ViT have one resolution, so they are fused there. Most of the width goes
    into 3x3 context at strides 16 and 8, which brings more than finer maps do. Poles and signs are
    2-4 pixels wide, edges that a 16-pixel patch has lost: a narrow branch at stride 4 that also
    sees the image adds them to the upsampled pixels. It starts at zero.
    """

    def __init__(self, dim: int, num_layers: int, pixel_dim: int):
        super().__init__()
        self.fuse = conv_block(num_layers * dim, dim, 1)
        self.context16 = conv_block(dim, dim, 3)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.context8 = conv_block(dim, dim, 3)
        self.to_pixels = nn.Conv2d(dim, pixel_dim, 1)
        self.stem = nn.Sequential(
            conv_block(3, 32, 3, stride=2), nn.Conv2d(32, pixel_dim, 3, stride=2, padding=1)
        )
        self.refine = conv_block(pixel_dim, pixel_dim, 3)
        self.detail = nn.Conv2d(pixel_dim, pixel_dim, 1)
        nn.init.zeros_(self.detail.weight)
        nn.init.zeros_(self.detail.bias)

    def forward(self, maps: list[torch.Tensor], images: torch.Tensor) -> PixelMaps:
        """maps: one (B, h*w, d) a layer; images (B, 3, 16h, 16w)."""
        grid = images.shape[-2] // 16, images.shape[-1] // 16
        x = torch.cat(maps, dim=-1).transpose(1, 2).unflatten(2, grid)
        context = self.context8(self.up(self.context16(self.fuse(x))))
        pixels = self.up(self.to_pixels(context))
        detail = self.detail(self.refine(pixels + self.stem(images)))
        return PixelMaps(pixels + detail, context)


def conv_block(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU; (B, inputs, H, W) -> (B, outputs, H/stride, W/stride)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""DepthForge (Chen et al., ICCV 2025): REIN that knows depth, and a refinement of the finest map.

Patch tokens look for learned tokens together with the tokens of a second frozen encoder, that of
Depth Anything V2.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Protocol

import torch
from torch import nn

from t2g_core.encoders.depth_anything import DepthConfig, build_depth_encoder
from t2g_core.encoders.frozen_vit import AfterBlock, EncoderConfig, FrozenEncoder
from t2g_core.images.model_input import PATCH
from t2g_core.methods.adapters.adapter_method import Adapter, AdapterConfig, AdapterMethod, OnGrid
from t2g_core.methods.adapters.pixel_decoder import STRIDES, Size, at_stride, resized
from t2g_core.methods.adapters.rein import ReinAdapter
from t2g_core.methods.method import ClipBatch, Features, encode_tokens, flatten_clips

FINEST = STRIDES[0]


@dataclass(frozen=True)
class DepthForgeNoDepthConfig(AdapterConfig):
    """The section `depthforge_nodepth`: REIN with the refinement alone. It is not DepthForge.

    refine_stride: at which the maps are refined, 4 as published or 16, a sixteenth of the work.
    """

    refine_stride: int = FINEST

    def __post_init__(self):
        super().__post_init__()
        if self.refine_stride not in (FINEST, PATCH):
            raise ValueError(
                f"refine_stride: expected {FINEST} or {PATCH}, got {self.refine_stride}"
            )


@dataclass(frozen=True)
class DepthForgeConfig(DepthForgeNoDepthConfig):
    """The section `depthforge`. depth: the second frozen encoder, without which it is refused."""

    depth: DepthConfig | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.depth is None:
            raise ValueError(
                "depthforge.depth: expected a section with the weights of Depth Anything V2, got "
                "none; without them the method is another one, `depthforge_nodepth`"
            )

    def build_encoder(self, encoder: EncoderConfig) -> nn.Module:
        """The RGB encoder, and the depth encoder read at every block."""
        rgb = FrozenEncoder(encoder)
        every = replace(encoder, blocks=tuple(range(rgb.num_blocks)))
        return DepthGuidedEncoder(rgb, build_depth_encoder(every, self.depth))

    def frozen(self, encoder: EncoderConfig) -> dict:
        """Both encoders, and that depth is read at every block."""
        return asdict(encoder) | {"depth": asdict(self.depth), "depth_blocks": "all"}

    def without_weights(self) -> DepthForgeConfig:
        """Random depth weights."""
        return replace(self, depth=replace(self.depth, weights="random"))


class DepthGuidedEncoder(nn.Module):
    """An RGB encoder whose blocks are followed by a function of their depth tokens too."""

    def __init__(self, rgb: FrozenEncoder, depth: FrozenEncoder):
        """depth: read at every block."""
        super().__init__()
        self.rgb, self.depth = rgb, depth
        self.width, self.num_blocks, self.num_layers = rgb.width, rgb.num_blocks, rgb.num_layers

    def parts(self) -> dict[str, nn.Module]:
        """By the name that `t2g info` and `t2g bench` print."""
        return {"RGB encoder": self.rgb, "depth encoder": self.depth}

    def forward(
        self,
        images: torch.Tensor,
        after_block: GuidedAfterBlock | None = None,
        recompute: bool = True,
    ) -> list[torch.Tensor]:
        """As `FrozenEncoder.forward`; after_block is given its block's depth tokens too."""
        depth = self.depth(images)
        rewrite = None if after_block is None else guided(after_block, depth)
        return self.rgb(images, rewrite, recompute)


class GuidedAfterBlock(Protocol):
    """What rewrites the patch tokens of a block, (B, N, C), knowing its depth tokens."""

    def __call__(self, number: int, patches: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        """-> (B, N, C)."""
        ...


class DepthForgeAdapter(ReinAdapter):
    """REIN's adapter, the similarity (f + g) T' of patch tokens f and depth tokens g together."""

    def forward(
        self,
        grid: tuple[int, int],
        number: int,
        patches: torch.Tensor,
        depth: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See `Adapter`; depth: g (B, N, C), None: zero."""
        del grid
        tokens = self.tokens.of_block(number)
        seen = patches if depth is None else patches + depth
        return self.moved(patches, tokens, seen @ tokens.T)


class Refinement(nn.Module):
    """Adds to the finest map what a 1x1 convolution makes of all four, each through one gate.

    The gate is x sigmoid(W2 ReLU(W1 x)) of each position, then x sigmoid(3x3 convolution of x).
    """

    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.stride = stride
        self.by_channel = nn.Sequential(
            nn.Conv2d(channels, channels // 16, 1),
            nn.ReLU(),
            nn.Conv2d(channels // 16, channels, 1),
            nn.Sigmoid(),
        )
        self.by_place = nn.Sequential(nn.Conv2d(channels, 1, 3, padding=1), nn.Sigmoid())
        self.fuse = nn.Conv2d(len(STRIDES) * channels, channels, 1)

    def forward(self, maps: list[torch.Tensor], grid: Size) -> list[torch.Tensor]:
        """maps: four (B, C, h, w), the finest first -> the same with another first one, which is
        made at `stride` and to be resized to stride 4.
        """
        size = at_stride(grid, self.stride)
        gated = []
        for x, own in zip(maps, STRIDES, strict=True):
            coarse = resized(x, at_stride(grid, own)) if own > self.stride else x
            gated.append(self.gate(resized(coarse, size)))
        delta = self.fuse(torch.cat(gated, dim=1))
        return [resized(maps[0], size) + delta, *maps[1:]]

    def gate(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> the same shape."""
        x = x * self.by_channel(x)
        return x * self.by_place(x)


class DepthForgeNoDepth(AdapterMethod):
    """DepthForge with depth tokens of zero."""

    Config = DepthForgeNoDepthConfig

    def __init__(self, config: AdapterConfig, encoder: nn.Module, num_classes: int):
        super().__init__(config, encoder, num_classes)
        self.refinement = Refinement(encoder.width, config.refine_stride)

    def make_adapter(self) -> Adapter:
        """REIN's."""
        return DepthForgeAdapter(self.config, self.encoder.num_blocks, self.encoder.width)

    def refine(self, maps: list[torch.Tensor], grid: Size) -> list[torch.Tensor]:
        """All four maps refine the finest."""
        return self.refinement(maps, grid)

    def parts(self) -> dict[str, nn.Module]:
        """The refinement too."""
        return super().parts() | {"refinement": self.refinement}


class DepthForge(DepthForgeNoDepth):
    """DepthForge, with the depth encoder's tokens of all blocks, which training keeps."""

    Config = DepthForgeConfig
    cacheable = True

    def frozen_features(self, images: torch.Tensor) -> Features:
        """images (B, h, w, 3) uint8 -> the depth tokens of every block."""
        return encode_tokens(self.encoder.depth, images)

    def encode_batch(self, batch: ClipBatch) -> Features:
        """With the depth tokens that were kept."""
        images = batch.images.flatten(0, 1)
        depth = [maps.flatten(1, 2) for maps in flatten_clips(batch.features)]
        grid = tuple(batch.features[0].shape[2:4])
        rewrite = guided(OnGrid(self.adapter, grid), depth)
        return encode_tokens(self.encoder.rgb, images, rewrite, self.config.recompute)


def guided(after_block: GuidedAfterBlock, depth: list[torch.Tensor]) -> AfterBlock:
    """The function of a block's number and patches alone, for one batch of images."""
    return lambda number, patches: after_block(number, patches, depth[number])

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The network of Time2General on frozen tokens: queries, memory, pixels, masks (section 3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from t2g_core.encoders.class_text import text_width
from t2g_core.methods.query_masks import semantic_probs
from t2g_core.methods.time2general.config import MAPS, TOKENS, Time2GeneralConfig
from t2g_core.methods.time2general.memory_decoder import SpatioTemporalMemoryDecoder
from t2g_core.methods.time2general.motion_aware_mean import MotionAwareMean
from t2g_core.methods.time2general.pixel_fusion import PixelFusion, PixelProjection
from t2g_core.methods.time2general.stability_queries import StabilityQueries


class FrameMaps(NamedTuple):
    """Everything of a frame that depends on that frame alone."""

    pixels: torch.Tensor  # (B, p, H/4, W/4)
    logits: torch.Tensor | None  # (B, K, H/4, W/4) of the pixel classifier, if there is one
    keys: torch.Tensor | None  # (B, c, H/8, W/8) for the pixels' memory, if there is one
    memory: torch.Tensor  # what the queries read of it, see SpatioTemporalMemoryDecoder


class Queries(NamedTuple):
    """Of every decoder stage; the last is the one that predictions use."""

    class_logits: torch.Tensor  # (B, stages, Q, K + 1), last: no object
    mask_embeddings: torch.Tensor  # (B, stages, Q, p)


class ScoreGate(nn.Module):
    """Log-scores, weighed by a number that begins at zero and is learned."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """Probabilities of any shape -> their weighed logarithms."""
        return self.weight * scores.log()


class Time2GeneralHead(nn.Module):
    """The trainable network: `encode_frames` for what depends on one frame, `read` for the queries
    of a memory of frames, `decode` for a frame's probabilities under them.
    """

    def __init__(
        self, config: Time2GeneralConfig, token_width: int, num_layers: int, num_classes: int
    ):
        """num_layers: blocks read of each encoder."""
        super().__init__()
        self.config = config
        c = config
        scales = 2 if c.attention == "dense" else 3
        self.num_layers = num_layers
        self.query_layers = scales if c.pixels_from == TOKENS else num_layers  # the last ones
        self.stability_queries = StabilityQueries(
            c.num_queries,
            c.dim,
            token_width,
            self.query_layers,
            torch.zeros(num_classes, text_width(c.text)),
            c.write_back,
            None if c.depth is None else c.depth_projections,
            c.text_bias,
        )
        self.decoder = SpatioTemporalMemoryDecoder(
            c.dim,
            c.heads,
            c.ffn_dim,
            c.num_blocks,
            c.clip_length,
            num_scales=scales,
            attention=c.attention,
            coarse_past=c.coarse_past,
        )
        width = token_width if c.pixels_from == TOKENS else c.dim
        self.fusion = PixelFusion(width, num_layers, c.dim, c.stem)
        self.to_pixels = PixelProjection(c.dim, c.stem, c.pixel_dim)
        self.pixel_classifier = (
            PixelProjection(c.dim, c.stem, num_classes) if c.pixel_classifier else None
        )
        remembers = c.pixel_memory and c.clip_length > 1
        self.pixel_memory = MotionAwareMean(c.dim) if remembers else None
        self.score_gate = ScoreGate() if c.pixel_classifier and c.score_gate else None
        self.query_norm = nn.LayerNorm(c.dim)
        self.to_class = nn.Linear(c.dim, num_classes + 1)
        self.to_mask = nn.Sequential(
            nn.Linear(c.dim, c.dim), nn.GELU(), nn.Linear(c.dim, c.pixel_dim)
        )

    def temporal_parts(self) -> list[nn.Module]:
        """The parts that frames meet in; all others see one frame."""
        parts = [self.decoder, self.query_norm, self.to_class, self.to_mask]
        if self.config.pixels_from == TOKENS:  # then the queries are all that reads the maps
            parts.append(self.stability_queries)
        if self.pixel_classifier is not None:  # then the queries' masks are all that reads them
            parts.append(self.to_pixels)
        gates = [self.pixel_memory, self.score_gate]
        return parts + [part for part in gates if part is not None]

    def encode_frames(
        self,
        tokens: list[torch.Tensor],
        grid: tuple[int, int],
        images: torch.Tensor | None = None,
    ) -> FrameMaps:
        """tokens: one (B, N, C) a layer, RGB then depth, standardised; grid (h, w) with N = h * w,
        the tokens at stride 16; images (B, 16h, 16w, 3) uint8, which a stem reads.
        """
        maps = self._maps(tokens)
        pixels_from = maps if self.config.pixels_from == MAPS else self._rgb(tokens)
        fused = self.fusion(pixels_from, grid, images)
        scales = [maps[-2], _halve(maps[-1], grid)]  # strides 16 and 32
        if self.config.attention == "deformable":
            scales.insert(0, _double(maps[-3], grid))  # stride 8
        return FrameMaps(
            self.to_pixels(fused),
            None if self.pixel_classifier is None else self.pixel_classifier(fused),
            None if self.pixel_memory is None else self.pixel_memory.keys(fused.context),
            self.decoder.to_memory(scales),
        )

    def classify_frames(
        self,
        tokens: list[torch.Tensor],
        grid: tuple[int, int],
        images: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The frame path alone: probabilities (B, K, H/4, W/4) of the pixel classifier.

        Raises:
            ValueError: the config has no pixel classifier.
        """
        if self.pixel_classifier is None:
            raise ValueError("the frame path alone needs time2general.pixel_classifier")
        reads_maps = self.config.pixels_from == MAPS
        maps = self._maps(tokens) if reads_maps else self._rgb(tokens)
        return self.pixel_classifier(self.fusion(maps, grid, images)).float().softmax(dim=1)

    def _rgb(self, tokens: list[torch.Tensor]) -> list[torch.Tensor]:
        return tokens[: self.num_layers]

    def _maps(self, tokens: list[torch.Tensor]) -> list[torch.Tensor]:
        """The query-conditioned maps of the layers that somebody reads."""
        first = self.num_layers - self.query_layers
        rgb, depth = self._rgb(tokens), tokens[self.num_layers :]
        return self.stability_queries([*rgb[first:], *depth[first:]])

    def read(
        self,
        memory: list[torch.Tensor],
        grid: tuple[int, int],
        holds: torch.Tensor | None = None,
    ) -> Queries:
        """Stability Queries over the memory of T frames (Eq. 4), newest last.

        memory: the newest frame's as `encode_frames` gave it, the others' through `as_past`; grid:
        height and width of a frame at stride 16; holds (B, T) bool: which of them are frames, None:
        all.
        """
        queries = self.stability_queries.for_decoder()
        states = self.decoder(queries, memory, self.sizes(grid), holds)
        states = self.query_norm(torch.stack(states, dim=1))
        return Queries(self.to_class(states), self.to_mask(states))

    def as_past(self, maps: FrameMaps) -> torch.Tensor:
        """What is kept of a frame's memory when a newer frame comes."""
        return self.decoder.as_past(maps.memory, self.sizes(grid_of(maps)))

    def decode(self, maps: FrameMaps, queries: Queries) -> torch.Tensor:
        """Probabilities (B, K, H/4, W/4) of a frame under some queries, its own pixels alone."""
        scores = semantic_probs(
            queries.class_logits[:, -1], queries.mask_embeddings[:, -1], maps.pixels
        )
        if maps.logits is None:
            return scores
        evidence = scores.log() if self.score_gate is None else self.score_gate(scores)
        return (maps.logits.float() + evidence).softmax(dim=1)

    def sizes(self, grid: tuple[int, int]) -> list[tuple[int, int]]:
        """Height and width of the scales that the queries read, fine to coarse."""
        sizes = [grid, ((grid[0] + 1) // 2, (grid[1] + 1) // 2)]
        if self.config.attention == "deformable":
            sizes.insert(0, (2 * grid[0], 2 * grid[1]))
        return sizes


def grid_of(maps: FrameMaps) -> tuple[int, int]:
    """Height and width of a frame's tokens."""
    return maps.pixels.shape[-2] // 4, maps.pixels.shape[-1] // 4


def _double(tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """(B, h*w, d) -> (B, 2h * 2w, d), bilinear."""
    maps = tokens.transpose(1, 2).unflatten(2, grid)
    maps = nn.functional.interpolate(maps, scale_factor=2, mode="bilinear")
    return maps.flatten(2).transpose(1, 2)


def _halve(tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """(B, h*w, d) -> (B, h/2 * w/2, d), averaging 2x2; an odd last row or column stays alone."""
    maps = tokens.transpose(1, 2).unflatten(2, grid)
    maps = nn.functional.avg_pool2d(maps, 2, ceil_mode=True, count_include_pad=False)
    return maps.flatten(2).transpose(1, 2)

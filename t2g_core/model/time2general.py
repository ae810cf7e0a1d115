"""Time2General: frozen tokens in, per-pixel class probabilities out (paper section 3)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from t2g_core.model.memory_decoder import SpatioTemporalMemoryDecoder
from t2g_core.model.pixel_fusion import PixelFusion, Windows
from t2g_core.model.stability_queries import StabilityQueries


@dataclass(frozen=True)
class Time2GeneralConfig:
    """Size of the trainable part.

    num_queries, dim: Q and d of the paper; pixel_dim: width p of the maps at stride 4, twice that
        at stride 8.
    num_blocks, ffn_dim, heads: the decoder's N_dec blocks.
    clip_length: T, the frames a mask is decoded from; 1: a frame decoder without a memory.
    window: side, in tokens, of the neighbourhood a token reads in every frame; odd, or 0: none,
        frames meet in the queries alone, as in the paper.
    write_back: `over_queries`, `literal` or `none`, see StabilityQueries.
    attention: `dense` over strides 16 and 32, or `deformable` over strides 8, 16 and 32.
    depth_projections: `separate` or `shared`, see StabilityQueries; only read with a depth encoder.
    """

    num_queries: int
    dim: int
    pixel_dim: int
    num_blocks: int
    ffn_dim: int
    heads: int
    clip_length: int
    window: int
    write_back: str
    attention: str = "dense"
    depth_projections: str = "separate"


class FrameMaps(NamedTuple):
    """What decoding a frame's own mask needs: fused tokens (B, N, d) and the image."""

    tokens: torch.Tensor
    images: torch.Tensor  # (B, 3, H, W), normalised


class FrameMemory(NamedTuple):
    """What a frame leaves for the masks of other frames; independent of time and of them."""

    queries: torch.Tensor  # read by the Stability Queries: (B, blocks, M, 2d) or (B, 1, M, d)
    pixels: torch.Tensor | None  # (B, N, 4p), read by the pixels' neighbourhoods, if they are


class Prediction(NamedTuple):
    """Outputs of a head for one frame; a head without queries gives probabilities alone."""

    probs: torch.Tensor  # (B, K, H/4, W/4), summing to one over K
    class_logits: torch.Tensor | None = None  # (B, stages, Q, K + 1), last: no object
    mask_embeddings: torch.Tensor | None = None  # (B, stages, Q, p)
    pixels: torch.Tensor | None = None  # (B, p, H/4, W/4)


class Time2General(nn.Module):
    """The trainable part on top of a frozen encoder's tokens.

    A stream calls `encode_frames` once a frame and `step` on what the ring buffer holds; a clip is
    the same two calls on all its frames (`forward`).
    """

    def __init__(
        self,
        config: Time2GeneralConfig,
        token_width: int,
        num_layers: int,
        text: torch.Tensor,
        has_depth: bool = False,
    ):
        """num_layers: blocks read of each encoder.

        text (K, E): frozen embeddings of the K class names; E = 0 for a model without text.
        """
        super().__init__()
        self.config = config
        self.register_buffer("text", text)
        c = config
        self.stability_queries = StabilityQueries(
            c.num_queries,
            c.dim,
            token_width,
            num_layers,
            text.shape[1],
            c.write_back,
            c.depth_projections if has_depth else None,
        )
        self.decoder = SpatioTemporalMemoryDecoder(
            c.dim,
            c.heads,
            c.ffn_dim,
            c.num_blocks,
            c.clip_length,
            num_scales=2 if c.attention == "dense" else 3,
            attention=c.attention,
        )
        self.fusion = PixelFusion(c.dim, num_layers, c.pixel_dim, c.clip_length, c.window)
        self.query_norm = nn.LayerNorm(c.dim)
        self.to_class = nn.Linear(c.dim, text.shape[0] + 1)
        self.to_mask = nn.Sequential(
            nn.Linear(c.dim, c.dim), nn.GELU(), nn.Linear(c.dim, c.pixel_dim)
        )

    @property
    def clip_length(self) -> int:
        """T, the most frames a mask is decoded from."""
        return self.config.clip_length

    def encode_frames(
        self, tokens: list[torch.Tensor], images: torch.Tensor
    ) -> tuple[FrameMaps, FrameMemory]:
        """Everything that depends on one frame alone.

        tokens: one (B, N, C) a layer, RGB then depth, standardised; images (B, 3, H, W),
        N = H/16 * W/16.
        """
        maps = self.stability_queries(tokens, self.text)
        grid = token_grid(images)
        scales = [maps[-2], _halve(maps[-1], grid)]  # strides 16 and 32
        if self.config.attention == "deformable":
            scales.insert(0, _double(maps[-3], grid))  # stride 8
        fused = self.fusion.tokens(maps)
        memory = FrameMemory(self.decoder.to_memory(scales), self.fusion.to_memory(fused))
        return FrameMaps(fused, images), memory

    def read(
        self, memory: list[FrameMemory], grid: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Stability Queries over the memory (Eq. 4), newest frame last.

        grid: height and width of a frame at stride 16.
        Returns class logits (B, stages, Q, K + 1) and mask embeddings (B, stages, Q, p) of every
        decoder stage; the last is the one predictions use.
        """
        stacked = torch.stack([m.queries for m in memory], dim=1)
        sizes = [grid, (-(-grid[0] // 2), -(-grid[1] // 2))]
        if self.config.attention == "deformable":
            sizes.insert(0, (2 * grid[0], 2 * grid[1]))
        states = self.decoder(self.stability_queries.queries, stacked, sizes)
        states = self.query_norm(torch.stack(states, dim=1))
        return self.to_class(states), self.to_mask(states)

    def step(self, maps: FrameMaps, memory: list[FrameMemory]) -> torch.Tensor:
        """Class probabilities (B, K, H/4, W/4) of the newest frame, the last of the memory."""
        queries = self.read(memory, token_grid(maps.images))
        windows = self._windows(maps, memory)
        return self._decode(maps, windows, len(memory) - 1, queries).probs

    def forward(self, frames: list[tuple[FrameMaps, FrameMemory]]) -> list[Prediction]:
        """A whole clip, oldest first -> one Prediction a frame."""
        memory = [m for _, m in frames]
        queries = self.read(memory, token_grid(frames[0][0].images))
        windows = self._windows(frames[0][0], memory)
        return [self._decode(maps, windows, t, queries) for t, (maps, _) in enumerate(frames)]

    def _windows(self, maps: FrameMaps, memory: list[FrameMemory]) -> Windows | None:
        if not self.config.window:
            return None
        pixels = torch.stack([m.pixels for m in memory], dim=1)
        return self.fusion.read.windows(pixels, token_grid(maps.images))

    def _decode(
        self,
        maps: FrameMaps,
        windows: Windows | None,
        position: int,
        queries: tuple[torch.Tensor, torch.Tensor],
    ) -> Prediction:
        """Masks of the frame at `position` of the memory (Eq. 5 and 6)."""
        pixels = self.fusion(maps.tokens, windows, position, maps.images)
        class_logits, mask_embeddings = queries
        probs = semantic_probs(class_logits[:, -1], mask_embeddings[:, -1], pixels)
        return Prediction(probs, class_logits, mask_embeddings, pixels)


def semantic_probs(
    class_logits: torch.Tensor, mask_embeddings: torch.Tensor, pixels: torch.Tensor
) -> torch.Tensor:
    """g of Eq. 6 as in Mask2Former: sum over queries of class probability times mask.

    class_logits (B, Q, K + 1), the last class is "no object" and dropped; mask_embeddings
    (B, Q, p); pixels (B, p, H, W). The scores are no logits: they are normalised over the classes,
    so that a softmax never shrinks a full label flip. Returns (B, K, H, W) float32, summing to one.
    In float32 also under autocast: bfloat16 has steps of 0.004 near one, and a change below them
    would have no gradient in the consistency loss.
    """
    with without_autocast(pixels.device):
        classes = class_logits.float().softmax(dim=-1)[..., :-1]  # (B, Q, K)
        masks = torch.einsum("bqp,bphw->bqhw", mask_embeddings.float(), pixels.float()).sigmoid()
        scores = torch.einsum("bqk,bqhw->bkhw", classes, masks) + 1e-6
        return scores / scores.sum(dim=1, keepdim=True)


def without_autocast(device: torch.device) -> AbstractContextManager:
    """A region in full precision; on the meta device, which has no autocast, nothing."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def token_grid(images: torch.Tensor) -> tuple[int, int]:
    """Height and width at stride 16 of images (B, 3, H, W)."""
    return images.shape[-2] // 16, images.shape[-1] // 16


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

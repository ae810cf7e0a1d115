"""Time2General: frozen tokens in, per-pixel class probabilities out (paper section 3)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from t2g_core.methods.time2general.memory_decoder import SpatioTemporalMemoryDecoder
from t2g_core.methods.time2general.motion_aware_mean import (
    USUAL_STEP_S,
    Appearance,
    MotionAwareMean,
    PixelMemory,
    StepS,
)
from t2g_core.methods.time2general.pixel_fusion import PixelFusion
from t2g_core.methods.time2general.stability_queries import StabilityQueries

MAPS, TOKENS = "maps", "tokens"  # what becomes the pixels


@dataclass(frozen=True)
class Time2GeneralConfig:
    """Size of the trainable part.

    num_queries, dim: Q and d of the paper; pixel_dim: width p of the pixel embeddings at stride 4.
    num_blocks, ffn_dim, heads: the decoder's N_dec blocks.
    clip_length: T, the frames a mask is decoded from; 1: a frame decoder without a memory.
    pixel_memory: whether probabilities are averaged along the motion (MotionAwareMean); False:
        frames meet in the queries alone, as in the paper.
    write_back: `over_queries`, `literal` or `none`, see StabilityQueries.
    attention: `dense` over strides 16 and 32, or `deformable` over strides 8, 16 and 32.
    coarse_past: whether frames before the newest are read at stride 32 alone, see the decoder.
    depth_projections: `separate` or `shared`, see StabilityQueries; only read with a depth encoder.
    text_bias: `mean` or `per_class`, see StabilityQueries; only read with text.
    pixel_classifier: whether a linear classifier of the pixel embeddings adds its logits to the
        logarithm of Eq. 6's scores.
    pixels_from: `maps` (query-conditioned, as in the paper) or the frozen `tokens`.
    """

    num_queries: int
    dim: int
    pixel_dim: int
    num_blocks: int
    ffn_dim: int
    heads: int
    clip_length: int
    pixel_memory: bool
    write_back: str
    attention: str = "dense"
    coarse_past: bool = False
    depth_projections: str = "separate"
    text_bias: str = "mean"
    pixel_classifier: bool = False
    pixels_from: str = MAPS

    def __post_init__(self):
        if self.clip_length < 1:
            raise ValueError(f"clip_length: expected 1 or more, got {self.clip_length}")
        if self.pixels_from not in (MAPS, TOKENS):
            raise ValueError(f"pixels_from: expected {MAPS} or {TOKENS}, got {self.pixels_from!r}")


class FrameMaps(NamedTuple):
    """What the masks of a frame are decoded from; it depends on that frame alone."""

    pixels: torch.Tensor  # (B, p, H/4, W/4)
    logits: torch.Tensor | None  # (B, K, H/4, W/4) of the pixel classifier, if there is one
    appearance: Appearance | None  # for the pixels' memory, if there is one


class StreamMemory(NamedTuple):
    """What the frames so far have left for the next one."""

    frames: tuple[torch.Tensor, ...] = ()  # read by the queries: the last T - 1, newest last
    pixels: PixelMemory | None = None  # of the pixels' memory, if there is one


class Prediction(NamedTuple):
    """Outputs of a head for one frame; a head without queries gives probabilities alone."""

    probs: torch.Tensor  # (B, K, H/4, W/4), summing to one over K
    class_logits: torch.Tensor | None = None  # (B, stages, Q, K + 1), last: no object
    mask_embeddings: torch.Tensor | None = None  # (B, stages, Q, p)
    pixels: torch.Tensor | None = None  # (B, p, H/4, W/4)


class Time2General(nn.Module):
    """The trainable part on top of a frozen encoder's tokens.

    A stream calls `encode_frames` and `step` once a frame; a clip is `encode_frames` on all its
    frames and `forward`, in which the queries of every frame have read the whole clip.
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
        c = config
        scales = 2 if c.attention == "dense" else 3
        self.num_layers = num_layers
        self.query_layers = scales if c.pixels_from == TOKENS else num_layers  # the last ones
        self.stability_queries = StabilityQueries(
            c.num_queries,
            c.dim,
            token_width,
            self.query_layers,
            text,
            c.write_back,
            c.depth_projections if has_depth else None,
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
        self.fusion = PixelFusion(width, num_layers, c.dim, c.pixel_dim)
        classes = text.shape[0]
        self.pixel_classifier = nn.Conv2d(c.pixel_dim, classes, 1) if c.pixel_classifier else None
        remembers = c.pixel_memory and c.clip_length > 1
        self.pixel_memory = MotionAwareMean(c.dim) if remembers else None
        self.query_norm = nn.LayerNorm(c.dim)
        self.to_class = nn.Linear(c.dim, classes + 1)
        self.to_mask = nn.Sequential(
            nn.Linear(c.dim, c.dim), nn.GELU(), nn.Linear(c.dim, c.pixel_dim)
        )

    @property
    def clip_length(self) -> int:
        """T, the most frames a mask is decoded from."""
        return self.config.clip_length

    def set_dropout(self, share: float) -> None:
        """Of the context's channels in training."""
        self.fusion.dropout.p = share

    def temporal_parts(self) -> list[nn.Module]:
        """The parts that frames meet in; all others see one frame."""
        parts = [self.decoder, self.query_norm, self.to_class, self.to_mask]
        if self.config.pixels_from == TOKENS:  # then the queries are all that reads the maps
            parts.append(self.stability_queries)
        return parts if self.pixel_memory is None else [*parts, self.pixel_memory]

    @property
    def needs_structure(self) -> bool:
        """Whether frames come with their images' structure."""
        return self.pixel_memory is not None

    def encode_frames(
        self,
        tokens: list[torch.Tensor],
        grid: tuple[int, int],
        structure: torch.Tensor | None = None,
    ) -> tuple[FrameMaps, torch.Tensor]:
        """Everything that depends on one frame alone: its maps, and what the queries read of it.

        tokens: one (B, N, C) a layer, RGB then depth, standardised; grid (h, w) with
        N = h * w, the tokens at stride 16; structure (B, 8h, 8w): `image_motion.structure`, for
        the pixels' memory.
        """
        maps = self._maps(tokens)
        pixels_from = maps if self.config.pixels_from == MAPS else self._rgb(tokens)
        frame = self._pixels(pixels_from, grid, structure)
        scales = [maps[-2], _halve(maps[-1], grid)]  # strides 16 and 32
        if self.config.attention == "deformable":
            scales.insert(0, _double(maps[-3], grid))  # stride 8
        return frame, self.decoder.to_memory(scales)

    def classify_frames(self, tokens: list[torch.Tensor], grid: tuple[int, int]) -> Prediction:
        """The frame path alone: what the pixel classifier sees in each of B frames.

        Raises:
            ValueError: the config has no pixel classifier.
        """
        if self.pixel_classifier is None:
            raise ValueError("a stage of the frame path alone needs time2general.pixel_classifier")
        reads_maps = self.config.pixels_from == MAPS
        frame = self._pixels(self._maps(tokens) if reads_maps else self._rgb(tokens), grid)
        return Prediction(frame.logits.float().softmax(dim=1))

    def _rgb(self, tokens: list[torch.Tensor]) -> list[torch.Tensor]:
        return tokens[: self.num_layers]

    def _maps(self, tokens: list[torch.Tensor]) -> list[torch.Tensor]:
        """The query-conditioned maps of the layers that somebody reads."""
        first = self.num_layers - self.query_layers
        rgb, depth = self._rgb(tokens), tokens[self.num_layers :]
        return self.stability_queries([*rgb[first:], *depth[first:]])

    def _pixels(
        self,
        layers: list[torch.Tensor],
        grid: tuple[int, int],
        structure: torch.Tensor | None = None,
    ) -> FrameMaps:
        pixels, context = self.fusion(layers, grid)
        return FrameMaps(
            pixels,
            None if self.pixel_classifier is None else self.pixel_classifier(pixels),
            None if self.pixel_memory is None else self.pixel_memory.appearance(context, structure),
        )

    def read(
        self, memory: list[torch.Tensor], grid: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Stability Queries over the memory (Eq. 4), newest frame last.

        grid: height and width of a frame at stride 16.
        Returns class logits (B, stages, Q, K + 1) and mask embeddings (B, stages, Q, p) of every
        decoder stage; the last is the one predictions use.
        """
        queries = self.stability_queries.for_decoder()
        states = self.decoder(queries, memory, self._sizes(grid))
        states = self.query_norm(torch.stack(states, dim=1))
        return self.to_class(states), self.to_mask(states)

    def start(self) -> StreamMemory:
        """Before the first frame."""
        return StreamMemory()

    def step(
        self,
        maps: FrameMaps,
        memory: torch.Tensor,
        past: StreamMemory,
        step_s: StepS = USUAL_STEP_S,
    ) -> tuple[torch.Tensor, StreamMemory]:
        """Class probabilities (B, K, H/4, W/4) of the newest frame, and what the next one needs.

        maps, memory: what `encode_frames` gave for it; step_s: how long ago the one before was [s].
        """
        grid = _grid_of(maps)
        queries = self.read([*past.frames, memory], grid)
        kept = (*past.frames, self.decoder.as_past(memory, self._sizes(grid)))
        kept = kept[max(0, len(kept) - self.clip_length + 1) :]
        with without_autocast(memory.device):
            probs, pixels = self._probs(maps, *queries), None
            if self.pixel_memory is not None:
                probs, pixels = self.pixel_memory(
                    probs, maps.appearance.float(), past.pixels, step_s
                )
        return probs, StreamMemory(kept, pixels)

    def forward(
        self, frames: list[tuple[FrameMaps, torch.Tensor]], step_s: StepS = USUAL_STEP_S
    ) -> list[Prediction]:
        """A whole clip, oldest first -> one Prediction a frame.

        All frames share the queries that have read the whole clip; the pixels' memory of a frame
        holds the frames before it. step_s: time between two frames [s].
        """
        grid = _grid_of(frames[0][0])
        *before, newest = (memory for _, memory in frames)
        before = [self.decoder.as_past(memory, self._sizes(grid)) for memory in before]
        class_logits, mask_embeddings = self.read([*before, newest], grid)
        with without_autocast(class_logits.device):
            probs = [self._probs(maps, class_logits, mask_embeddings) for maps, _ in frames]
            if self.pixel_memory is not None:
                seen = [maps.appearance.float() for maps, _ in frames]
                probs = self.pixel_memory.of_clip(probs, seen, step_s)
        return [
            Prediction(p, class_logits, mask_embeddings, maps.pixels)
            for p, (maps, _) in zip(probs, frames, strict=True)
        ]

    def _sizes(self, grid: tuple[int, int]) -> list[tuple[int, int]]:
        """Height and width of the scales that the queries read, fine to coarse."""
        sizes = [grid, (-(-grid[0] // 2), -(-grid[1] // 2))]
        if self.config.attention == "deformable":
            sizes.insert(0, (2 * grid[0], 2 * grid[1]))
        return sizes

    def _probs(
        self, maps: FrameMaps, class_logits: torch.Tensor, mask_embeddings: torch.Tensor
    ) -> torch.Tensor:
        scores = semantic_probs(class_logits[:, -1], mask_embeddings[:, -1], maps.pixels)
        if maps.logits is None:
            return scores
        return (maps.logits.float() + scores.log()).softmax(dim=1)


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
        masks = torch.einsum("bqp,bphw->bqhw", mask_embeddings.float(), pixels.float()).sigmoid_()
        scores = torch.einsum("bqk,bqhw->bkhw", classes, masks) + 1e-6
        return scores / scores.sum(dim=1, keepdim=True)


def without_autocast(device: torch.device) -> AbstractContextManager:
    """A region in full precision; on the meta device, which has no autocast, nothing."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def _grid_of(maps: FrameMaps) -> tuple[int, int]:
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

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The section `time2general` of a config."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from torch import nn

from t2g_core.encoders.class_text import TextConfig
from t2g_core.encoders.depth_anything import DepthConfig, RGBDepthEncoder, build_depth_encoder
from t2g_core.encoders.frozen_vit import EncoderConfig, FrozenEncoder
from t2g_core.methods.method import MethodConfig
from t2g_core.schedule import TrainConfig

MAPS, TOKENS = "maps", "tokens"  # what becomes the pixels


@dataclass(frozen=True)
class Time2GeneralConfig(MethodConfig):
    """Size of the trainable part, and its frozen helpers.

    text: `null` for a model without text. depth: absent for a model without a depth encoder.
    num_queries, dim: Q and d of the paper; pixel_dim: width p of the pixel embeddings at stride 4.
    num_blocks, ffn_dim, heads: the decoder's N_dec blocks.
    clip_length: T, the frames a mask is decoded from, those of a training clip; 1: a frame decoder
        without a memory.
    pixel_memory: whether probabilities are averaged along the motion (MotionAwareMean); False:
        frames meet in the queries alone, as in the paper.
    write_back: `over_queries`, `literal` or `none`, see StabilityQueries.
    attention: `dense` over strides 16 and 32, or `deformable` over strides 8, 16 and 32.
    coarse_past: whether frames before the newest are read at stride 32 alone, see the decoder.
    depth_projections: `separate` or `shared`, see StabilityQueries; only read with a depth encoder.
    text_bias: `mean` or `per_class`, see StabilityQueries; only read with text.
    pixel_classifier: whether a linear classifier of what the pixel embeddings are made of adds its
        logits to the logarithm of Eq. 6's scores.
    score_gate: whether those scores are weighed by a learned number that begins at zero, so that
        queries that have not learned yet do no harm; without one their weight is 1.
    pixels_from: `maps` (query-conditioned, as in the paper) or the frozen `tokens`.
    stem: channels of a shallow network that adds to pixel embeddings and classifier what the
        picture shows at stride 4; 0: none.
    pixel_memory_rate, depth_gate_rate: learning rates of the pixels' memory with the score gate,
        and of the depth gates beta, in units of the stage's. The memory has eight thousand
        parameters, and both gates begin at zero; a beta is one scalar a layer, which weight decay
        would pull back to 0.5 and is therefore spared.
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
    score_gate: bool = False
    pixels_from: str = MAPS
    stem: int = 0
    pixel_memory_rate: float = 1.0
    depth_gate_rate: float = 1.0
    text: TextConfig | None = None
    depth: DepthConfig | None = None

    def __post_init__(self):
        if self.clip_length < 1:
            raise ValueError(f"clip_length: expected 1 or more, got {self.clip_length}")
        if self.stem < 0 or self.stem % 2:
            raise ValueError(f"stem: expected an even number of channels or 0, got {self.stem}")
        if self.pixels_from not in (MAPS, TOKENS):
            raise ValueError(f"pixels_from: expected {MAPS} or {TOKENS}, got {self.pixels_from!r}")

    def build_encoder(self, encoder: EncoderConfig) -> nn.Module:
        """The RGB encoder, with a depth encoder beside it where the section `depth` is."""
        rgb = FrozenEncoder(encoder)
        if self.depth is None:
            return rgb
        return RGBDepthEncoder(rgb, build_depth_encoder(encoder, self.depth))

    def frozen(self, encoder: EncoderConfig) -> dict:
        """Both encoders."""
        depth = {} if self.depth is None else {"depth": asdict(self.depth)}
        return asdict(encoder) | depth

    def without_weights(self) -> Time2GeneralConfig:
        """Random depth and text weights."""
        depth = None if self.depth is None else replace(self.depth, weights="random")
        text = None if self.text is None else replace(self.text, weights="random")
        return replace(self, depth=depth, text=text)

    def check_training(self, train: TrainConfig) -> None:
        """The memory is as long as a clip: a longer one would keep embeddings never trained."""
        if self.clip_length not in (1, train.clip_frames):
            raise ValueError(
                f"time2general.clip_length {self.clip_length}: expected 1, frame by frame, or "
                f"train.clip_frames, {train.clip_frames}"
            )

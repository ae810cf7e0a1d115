# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Time2General as a method: frozen tokens, a network on them, and what a stream of it keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from t2g_core.encoders.class_text import embed_class_names
from t2g_core.images.model_input import Prepared
from t2g_core.images.motion import Motion, motion, motion_of_batch, structure
from t2g_core.losses.common import common_losses
from t2g_core.losses.set_loss import set_loss
from t2g_core.methods.method import (
    ClipBatch,
    Features,
    HostMotion,
    Method,
    ParameterGroup,
    Prediction,
    StepS,
    encode_tokens,
    flatten_clips,
)
from t2g_core.methods.query_masks import without_autocast
from t2g_core.methods.time2general.config import Time2GeneralConfig
from t2g_core.methods.time2general.head import (
    FrameMaps,
    Queries,
    Time2GeneralHead,
    grid_of,
)
from t2g_core.methods.time2general.motion_aware_mean import PixelMemory
from t2g_core.methods.token_standardizer import TokenStandardizer
from t2g_core.schedule import FRAME_PATH, TEMPORAL, StageConfig, TrainConfig


class StreamMemory(NamedTuple):
    """What the frames so far have left for the next one: T - 1 slots, filled from the newest end.

    frames: what the queries read of the last T - 1 frames, newest last; slots that hold none yet
        are zero. A new frame moves them on by one; no slot is ever written to, so that older states
        stay as they are.
    count: (B,) int64, frames that the newest mask was decoded from, up to T.
    pixels: of the pixels' memory, None in a model without one.
    """

    frames: tuple[torch.Tensor, ...]
    count: torch.Tensor
    pixels: PixelMemory | None


class Time2General(Method):
    """Paper section 3, with a memory of the pixels beside that of the queries (docs/method.md).

    A stream encodes a frame once and keeps what the queries read of it.
    """

    Config = Time2GeneralConfig
    cacheable = True
    loss_names = ("pixel", "jaccard", "set", "mtc")

    def __init__(self, config: Time2GeneralConfig, encoder: nn.Module, num_classes: int):
        super().__init__(config, encoder, num_classes)
        self.clip_length = config.clip_length
        layers = encoder.num_layers * (1 if config.depth is None else 2)
        self.standardize = TokenStandardizer(layers, encoder.width)
        self.head = Time2GeneralHead(config, encoder.width, encoder.num_layers, num_classes)

    # Inference.

    def prepare(self, frame: np.ndarray, size: tuple[int, int]) -> Prepared:
        """With the image's structure where there is a pixels' memory."""
        image = super().prepare(frame, size).image
        return Prepared(image, None if self.head.pixel_memory is None else structure(image))

    def motion(self, now: np.ndarray | None, before: np.ndarray | None) -> HostMotion:
        """Dense optical flow and its residual; nothing without a pixels' memory."""
        return () if now is None else motion(now, before)

    def encode(self, images: torch.Tensor) -> Features:
        """images (B, h, w, 3) uint8 -> tokens of every block that is read, RGB then depth; with a
        stem also the images, which it reads.
        """
        tokens = self.frozen_features(images)
        return tokens if self.head.fusion.stem is None else (*tokens, images)

    def frozen_features(self, images: torch.Tensor) -> Features:
        """The tokens."""
        return encode_tokens(self.encoder, images)

    def encode_frames(self, features: Features) -> FrameMaps:
        """Everything that depends on each of B frames alone."""
        return self.head.encode_frames(*self._inputs(features))

    def classify_frames(self, features: Features) -> torch.Tensor:
        """The frame path alone: probabilities (B, K, h/4, w/4) of the pixel classifier."""
        return self.head.classify_frames(*self._inputs(features))

    def _inputs(
        self, features: Features
    ) -> tuple[list[torch.Tensor], tuple[int, int], torch.Tensor | None]:
        """Standardised tokens (B, N, C), their grid (h, w), and the images for a stem."""
        *tokens, images = (*features, None) if self.head.fusion.stem is None else features
        tokens = self.standardize([maps.flatten(1, 2) for maps in tokens])
        return tokens, tuple(features[0].shape[1:3]), images

    def start(self, features: Features) -> StreamMemory:
        """Slots without a frame."""
        batch, *grid, _ = features[0].shape
        device, head = features[0].device, self.head
        sizes = head.sizes(tuple(grid))
        frames = tuple(  # tensors of their own: an exporter takes one given twice for one input
            head.decoder.empty(batch, sizes, device) for _ in range(self.clip_length - 1)
        )
        count = torch.zeros(batch, dtype=torch.int64, device=device)
        return StreamMemory(frames, count, self._no_pixels(batch, tuple(grid), device))

    def _no_pixels(
        self, batch: int, grid: tuple[int, int], device: torch.device
    ) -> PixelMemory | None:
        memory = self.head.pixel_memory
        if memory is None:
            return None
        height, width = grid
        probs = (batch, self.num_classes, 4 * height, 4 * width)
        keys = (batch, memory.to_key.out_channels, 2 * height, 2 * width)
        return memory.empty(torch.Size(probs), torch.Size(keys), device)

    def step(
        self,
        features: Features,
        state: StreamMemory,
        motion: Motion | tuple[()],
        step_s: StepS,
    ) -> tuple[torch.Tensor, StreamMemory]:
        """The newest frame is decoded from the last T, then averaged along the motion."""
        maps = self.encode_frames(features)
        queries = self.head.read([*state.frames, maps.memory], grid_of(maps), self._holds(state))
        frames = (*state.frames, self.head.as_past(maps))[1:] if self.clip_length > 1 else ()
        count = (state.count + 1).clamp(max=self.clip_length)
        with without_autocast(maps.pixels.device):
            probs, pixels = self.head.decode(maps, queries), None
            if self.head.pixel_memory is not None:
                probs, pixels = self.head.pixel_memory(
                    probs, maps.keys.float(), state.pixels, motion, step_s
                )
        return probs, StreamMemory(frames, count, pixels)

    def _holds(self, state: StreamMemory) -> torch.Tensor:
        """Which of the T frames that the queries read are there, (B, T) bool, newest last."""
        age = torch.arange(self.clip_length - 1, -1, -1, device=state.count.device)
        return age <= state.count[:, None]

    def clip(
        self, features: Sequence[Features], motions: Sequence[Motion], step_s: StepS
    ) -> list[torch.Tensor]:
        """Every frame is decoded by the queries that have read the whole clip; the pixels' memory
        of a frame holds the frames before it.
        """
        frames = [self.encode_frames(frame) for frame in features]
        return [prediction.probs for prediction in self._decode_clip(frames, motions, step_s)]

    def _decode_clip(
        self, frames: list[FrameMaps], motions: Sequence[Motion], step_s: StepS
    ) -> list[Prediction]:
        *before, newest = frames
        memory = [*(self.head.as_past(maps) for maps in before), newest.memory]
        queries = self.head.read(memory, grid_of(newest))
        with without_autocast(newest.pixels.device):
            probs = [self.head.decode(maps, queries) for maps in frames]
            if self.head.pixel_memory is not None:
                keys = [maps.keys.float() for maps in frames]
                probs = self.head.pixel_memory.of_clip(probs, keys, motions, step_s)
        return [Prediction(p, *queries, maps.pixels) for p, maps in zip(probs, frames, strict=True)]

    def memory_fill(self, state: StreamMemory) -> float | None:
        """Frames that the newest mask was decoded from, of T; None without a memory."""
        if self.clip_length == 1:
            return None
        return float(state.count.min()) / self.clip_length

    # Training.

    def begin_training(self, class_names: Sequence[str], batches: Iterable[ClipBatch]) -> None:
        """Embed the names of the classes, measure the statistics of tokens."""
        text = self.head.stability_queries.text
        text.copy_(embed_class_names(class_names, self.config.text))
        self.standardize.fit(
            [[maps.flatten(1, 2) for maps in flatten_clips(batch.features)] for batch in batches]
        )

    def enter_stage(self, stage: StageConfig) -> None:
        """Hold the frame path as it is, batch norms included, or let it learn; set the dropout."""
        temporal = {p for part in self.head.temporal_parts() for p in part.parameters()}
        frozen = stage.trains == TEMPORAL
        for parameter in self.head.parameters():
            parameter.requires_grad_(parameter in temporal or not frozen)
        for module in self.head.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train(not frozen)
        self.head.fusion.dropout.p = stage.dropout
        if self.head.fusion.stem is not None:
            self.head.fusion.stem.distorts = not frozen

    def parameter_groups(self, stage: StageConfig) -> list[ParameterGroup]:
        """The pixels' memory and the gates have rates of their own, and depth gates no decay."""
        del stage
        c, gated = self.config, (self.head.pixel_memory, self.head.score_gate)
        own = [p for part in gated if part is not None for p in part.parameters()]
        gates = self.head.stability_queries.depth_gates()
        others = [p for p in self.head.parameters() if not any(p is one for one in (*own, *gates))]
        groups = [
            ParameterGroup(others),
            ParameterGroup(own, c.pixel_memory_rate),
            ParameterGroup(gates, c.depth_gate_rate, decays=False),
        ]
        return [
            group._replace(parameters=[p for p in group.parameters if p.requires_grad])
            for group in groups
        ]

    def predict_clip(self, batch: ClipBatch, stage: StageConfig) -> list[Prediction]:
        """All frames of all clips pass the frame path together."""
        frames = tuple(flatten_clips(batch.features))
        if self.head.fusion.stem is not None:
            frames = (*frames, batch.images.flatten(0, 1))
        length = batch.target.shape[1]
        if stage.trains == FRAME_PATH:
            return [Prediction(self.classify_frames(frames)[t::length]) for t in range(length)]
        maps = self.encode_frames(frames)
        clip = [
            FrameMaps(*(None if x is None else x[t::length] for x in maps)) for t in range(length)
        ]
        if self.clip_length == 1:
            return [self._decode_clip([frame], [()], batch.step_s)[0] for frame in clip]
        return self._decode_clip(clip, self._motions(batch), batch.step_s)

    def _motions(self, batch: ClipBatch) -> list[Motion | tuple[()]]:
        """Of every frame against the one before it, for B clips; none of the first."""
        length = batch.target.shape[1]
        if self.head.pixel_memory is None or length == 1:
            return [()] * length
        images, device = batch.motion_images.numpy(), batch.target.device
        motions = [motion_of_batch(images[:, t], images[:, t - 1]) for t in range(1, length)]
        return [(), *(Motion(*(torch.from_numpy(x).to(device) for x in m)) for m in motions)]

    def losses(
        self,
        predictions: list[Prediction],
        batch: ClipBatch,
        train: TrainConfig,
        class_weights: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """The common ones, and the set loss where queries took part: one matching a clip, or one a
        frame in a model that decodes each frame by queries of its own.
        """
        probs = torch.stack([prediction.probs for prediction in predictions], dim=1)
        losses = common_losses(probs, batch.target, train, class_weights)
        if predictions[0].class_logits is None:
            return losses
        pixels = torch.stack([prediction.pixels for prediction in predictions], dim=1)
        queries, target = Queries(*predictions[0][1:3]), batch.target
        if self.clip_length == 1:
            queries = Queries(
                *(
                    torch.stack(parts, dim=1).flatten(0, 1)
                    for parts in zip(*(p[1:3] for p in predictions), strict=True)
                )
            )
            pixels, target = pixels.flatten(0, 1)[:, None], target.flatten(0, 1)[:, None]
        losses["set"] = train.set_weight * set_loss(
            *queries, pixels, target, train.points, train.set_stages
        )
        return losses

    def frame_path_state(self) -> dict[str, torch.Tensor]:
        """Weights and statistics of all that sees one frame alone, by name."""
        temporal = {id(part) for part in self.head.temporal_parts()}
        prefixes = tuple(f"{n}." for n, m in self.named_modules() if id(m) in temporal)
        return {n: v for n, v in self.trained_state().items() if not n.startswith(prefixes or "/")}

    def parts(self) -> dict[str, nn.Module]:
        """The encoders, and the head's own parts."""
        names = {
            "stability_queries": "Stability Queries",
            "decoder": "memory decoder",
            "fusion": "pixel fusion",
            "pixel_memory": "pixel memory",
        }
        own = {names[n]: module for n, module in self.head.named_children() if n in names}
        return {**self.encoder.parts(), **own}

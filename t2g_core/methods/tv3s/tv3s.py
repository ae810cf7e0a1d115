# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""TV3S (CVPR 2025): windows of a feature map are read as sequences over time by Mamba layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.losses.common import common_losses, pixel_loss
from t2g_core.methods.method import (
    ClipBatch,
    Features,
    MethodConfig,
    Motion,
    Prediction,
    StepS,
    flatten_clips,
)
from t2g_core.methods.token_method import TokenMethod
from t2g_core.methods.tv3s.mamba import Mamba, MambaState
from t2g_core.methods.tv3s.selective_scan import CHUNK
from t2g_core.methods.tv3s.shifted_windows import Piece, cut, paste, pieces
from t2g_core.schedule import ALL, StageConfig, TrainConfig

Blocks = tuple[tuple[MambaState, ...], ...]  # by block and kind of window
AUXILIARY_WEIGHT = 0.5  # of the classifier that sees one frame
DROPOUT = 0.1


@dataclass(frozen=True)
class TV3SConfig(MethodConfig):
    """dim: d of maps and layers. blocks: Mamba layers, every second on shifted windows.

    window: side of a window, in cells of stride 8; an even number. ages: frames before the newest
        that a stream reads again for every frame, oldest first, [9, 6, 3] as published; empty: it
        carries the state on instead, each frame read once.
    """

    dim: int = 256
    blocks: int = 8
    window: int = 20
    ages: tuple[int, ...] = ()

    def __post_init__(self):
        if self.window < 2 or self.window % 2:
            raise ValueError(f"window: expected an even number of cells, got {self.window}")
        if self.dim % 16:
            raise ValueError(f"dim: expected a multiple of 16, got {self.dim}")
        if any(age < 1 for age in self.ages) or [*self.ages] != sorted(self.ages, reverse=True):
            raise ValueError(
                f"ages: expected frames before the newest, oldest first, got {self.ages}"
            )

    def check_training(self, train: TrainConfig) -> None:
        """Everything learns at once."""
        others = sorted({stage.trains for stage in train.stages} - {ALL})
        if others:
            raise ValueError(f"trains {others[0]}: expected {ALL}, a TV3S learns as a whole")


class TV3SHead(nn.Module):
    """Maps of several blocks fused at stride 4; then sequences over the windows of stride 8."""

    def __init__(self, config: TV3SConfig, channels: Sequence[int], num_classes: int):
        """channels: of each map, the finest first."""
        super().__init__()
        dim = config.dim
        self.config = config
        self.project = nn.ModuleList(nn.Linear(width, dim) for width in channels)
        self.fuse = nn.Conv2d(len(channels) * dim, dim, 1, bias=False)
        self.fuse_norm = nn.BatchNorm2d(dim)
        self.dropout = nn.Dropout2d(DROPOUT)
        self.auxiliary = nn.Conv2d(dim, num_classes, 1)
        self.norms = nn.ModuleList(nn.RMSNorm(dim, eps=1e-5) for _ in range(config.blocks))
        self.layers = nn.ModuleList(Mamba(dim) for _ in range(config.blocks))
        self.last_norm = nn.RMSNorm(dim, eps=1e-5)
        self.classify = nn.Conv2d(dim, num_classes, 1)

    def fused(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Maps (B, h, w, C), the first at stride 16 -> u (B, d, 4h, 4w), of each frame alone.

        The maps of a plain ViT stand for strides 4, 8, 16 and 32; at one resolution, all of
        them are fused there and enlarged together, which before the norm gives the same.
        """
        x = [project(x) for project, x in zip(self.project, maps, strict=True)]
        x = self.fuse(torch.cat(x, dim=-1).movedim(-1, 1))
        x = F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)
        return F.relu(self.fuse_norm(x))

    def start(self, batch: int, size: tuple[int, int]) -> Blocks:
        """Before the first frame; size: height and width at stride 8."""
        return tuple(
            tuple(
                MambaState(*(x.unflatten(0, (batch, -1)) for x in layer.start(batch * count)))
                for count in (len(p.tops) * len(p.lefts) for p in self.pieces(number, size))
            )
            for number, layer in enumerate(self.layers)
        )

    def pieces(self, number: int, size: tuple[int, int]) -> list[Piece]:
        """The windows of a block; odd ones are shifted."""
        window = self.config.window
        padded = tuple(-(-side // window) * window for side in size)
        return pieces(padded, window, window // 2 if number % 2 else 0)

    def narrowed(self, u: torch.Tensor) -> torch.Tensor:
        """u (B, d, 4h, 4w) -> (B, d, 2h, 2w), what the sequences run over."""
        size = u.shape[-2] // 2, u.shape[-1] // 2
        return F.interpolate(u, size=size, mode="bilinear", align_corners=False)

    def forward(
        self, maps: torch.Tensor, state: Blocks, chunk: int = 1
    ) -> tuple[torch.Tensor, Blocks]:
        """maps (B, T, d, 2h, 2w), after the frames of `state` -> logits (B, T, K, 4h, 4w), and the
        state after them. The map is padded to whole windows.
        """
        batch, frames, _, *size = maps.shape
        window = self.config.window
        x = F.pad(maps, (0, -size[1] % window, 0, -size[0] % window))
        x, after = x.movedim(2, -1), []  # (B, T, H, W, d)
        for number, (norm, layer) in enumerate(zip(self.norms, self.layers, strict=True)):
            read = norm(x)
            change, states = torch.zeros_like(read), []
            for piece, before in zip(self.pieces(number, size), state[number], strict=True):
                windows = cut(read, piece)
                flat = MambaState(*(value.flatten(0, 1) for value in before))
                found, kept = layer(windows, flat, chunk)
                paste(change, piece, found)
                states.append(MambaState(*(value.unflatten(0, (batch, -1)) for value in kept)))
            x = x + change
            after.append(tuple(states))
        x = self.last_norm(x)[:, :, : size[0], : size[1]].flatten(0, 1).movedim(-1, 1)
        logits = self.classify(self.dropout(x))
        logits = F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)
        return logits.unflatten(0, (batch, frames)), tuple(after)


class Past(NamedTuple):
    """Of a stream that reads clips: maps (B, n, d, 2h, 2w) of the last n frames, newest last, zeros
    where there was none; count (B,) int64 of those there are.
    """

    maps: torch.Tensor
    count: torch.Tensor


class TV3S(TokenMethod):
    """A stream carries the state of every window from frame to frame, or reads a clip again for
    every frame (`ages`), as published. The scan is causal: both give the same on the same frames.
    """

    Config = TV3SConfig
    recurrent = True
    loss_names = ("pixel", "jaccard", "mtc", "auxiliary")

    def __init__(self, config: TV3SConfig, encoder: nn.Module, num_classes: int):
        super().__init__(config, encoder, num_classes)
        self.head = TV3SHead(config, [encoder.width] * encoder.num_layers, num_classes)

    def fused(self, features: Features) -> torch.Tensor:
        """u (B, d, 4h, 4w) of B frames."""
        tokens, grid = self.tokens(features)
        return self.head.fused([x.unflatten(1, grid) for x in tokens])

    def start(self, features: Features) -> Blocks | Past:
        """No frame yet."""
        batch, height, width = features[0].shape[:3]
        size = 2 * height, 2 * width
        if not self.config.ages:
            return self.head.start(batch, size)
        device = features[0].device
        maps = torch.zeros(batch, max(self.config.ages), self.config.dim, *size, device=device)
        return Past(maps, torch.zeros(batch, dtype=torch.int64, device=device))

    def step(
        self, features: Features, state: Blocks | Past, motion: Motion, step_s: StepS
    ) -> tuple[torch.Tensor, Blocks | Past]:
        """The newest frame, read after those of the state."""
        del motion, step_s
        newest = self.head.narrowed(self.fused(features))[:, None]
        if isinstance(state, Past):
            clip, after = self._clip(newest, state)
            start = self.head.start(len(clip), tuple(clip.shape[-2:]))
            logits, _ = self.head(clip, start, chunk_on(clip.device))
        else:
            logits, after = self.head(newest, state, chunk_on(newest.device))
        return logits[:, -1].float().softmax(dim=1), after

    def _clip(self, newest: torch.Tensor, past: Past) -> tuple[torch.Tensor, Past]:
        """The frames of the published clip, (B, T, d, 2h, 2w); where the stream is younger, its
        first frame stands for those before it.
        """
        maps = torch.cat([past.maps, newest.float()], dim=1)
        ages = torch.tensor([*self.config.ages, 0], device=maps.device)
        ages = torch.minimum(ages, past.count[:, None])  # (B, T)
        clips = torch.arange(len(maps), device=maps.device)[:, None]
        clip = maps[clips, maps.shape[1] - 1 - ages]
        return clip, Past(maps[:, 1:], (past.count + 1).clamp(max=past.maps.shape[1]))

    def predict_clip(self, batch: ClipBatch, stage: StageConfig) -> list[Prediction]:
        """The frames of a clip one after the other, and each by the auxiliary classifier."""
        del stage
        clips, length = batch.target.shape[:2]
        u = self.fused(tuple(flatten_clips(batch.features)))
        auxiliary = self.head.auxiliary(self.head.dropout(u)).float().softmax(dim=1)
        auxiliary = auxiliary.unflatten(0, (clips, length))
        maps = self.head.narrowed(u).unflatten(0, (clips, length))
        logits, _ = self.head(maps, self.head.start(clips, tuple(maps.shape[-2:])), CHUNK)
        probs = logits.float().softmax(dim=2)
        return [Prediction(probs[:, t], beside=auxiliary[:, t]) for t in range(length)]

    def losses(
        self,
        predictions: list[Prediction],
        batch: ClipBatch,
        train: TrainConfig,
        class_weights: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """The common ones of the newest frame; of every frame half the cross-entropy of the
        auxiliary classifier, and the consistency loss where it weighs something.
        """
        newest, target = predictions[-1].probs[:, None], batch.target
        found = common_losses(newest, target[:, -1:], train, class_weights)
        auxiliary = torch.stack([prediction.beside for prediction in predictions], dim=1)
        loss = pixel_loss(auxiliary, target, class_weights)
        found["auxiliary"] = AUXILIARY_WEIGHT * train.pixel_weight * loss
        if train.mtc_weight and len(predictions) > 1:
            probs = torch.stack([prediction.probs for prediction in predictions], dim=1)
            found["mtc"] = common_losses(probs, target, train, class_weights)["mtc"]
        return found

    def parts(self) -> dict[str, nn.Module]:
        """The encoder and the head."""
        return {**self.encoder.parts(), "TV3S head": self.head}


def chunk_on(device: torch.device) -> int:
    """Positions that a step scans together: one on a processor, whose operations cost little to
    call; several elsewhere, which has not been timed.
    """
    return 1 if device.type == "cpu" else CHUNK

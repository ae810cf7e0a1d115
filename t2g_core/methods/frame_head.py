# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Frame-by-frame heads on frozen tokens: the floor a video method must clear."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.methods.conv_head import conv_head
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
from t2g_core.schedule import TEMPORAL, StageConfig, TrainConfig

LINEAR, CONV = "linear", "conv"


@dataclass(frozen=True)
class FrameHeadConfig(MethodConfig):
    """kind: `linear` (batch norm and 1x1) or `conv` (1x1 to 256, two 3x3, one doubling)."""

    kind: str

    def __post_init__(self):
        if self.kind not in (LINEAR, CONV):
            raise ValueError(f"kind: expected linear or conv, got {self.kind!r}")

    def check_training(self, train: TrainConfig) -> None:
        """Frames meet in nothing."""
        if TEMPORAL in (stage.trains for stage in train.stages):
            raise ValueError("trains temporal: a frame-by-frame head has no temporal parts")


class FrameHead(TokenMethod):
    """A per-frame segmenter on the tokens of all blocks that are read."""

    Config = FrameHeadConfig

    def __init__(self, config: FrameHeadConfig, encoder: nn.Module, num_classes: int):
        super().__init__(config, encoder, num_classes)
        self.dropout = nn.Dropout2d(0.0)  # a training stage says how much
        make = linear_head if config.kind == LINEAR else conv_head
        self.head = make(encoder.num_layers * encoder.width, num_classes, self.dropout)

    def classify(self, features: Features) -> torch.Tensor:
        """Features of B frames -> probabilities (B, K, h/4, w/4)."""
        tokens, grid = self.tokens(features)
        maps = torch.cat(tokens, dim=-1).transpose(1, 2).unflatten(2, grid)
        stride = 4 if self.config.kind == LINEAR else 2
        logits = F.interpolate(self.head(maps), scale_factor=stride, mode="bilinear")
        return logits.softmax(dim=1)

    def step(
        self, features: Features, state: tuple[()], motion: Motion, step_s: StepS
    ) -> tuple[torch.Tensor, tuple[()]]:
        """Nothing is kept."""
        del motion, step_s
        return self.classify(features), state

    def enter_stage(self, stage: StageConfig) -> None:
        """Set the dropout of what the classifier reads."""
        self.dropout.p = stage.dropout

    def predict_clip(self, batch: ClipBatch, stage: StageConfig) -> list[Prediction]:
        """Every frame by itself."""
        del stage
        length = batch.target.shape[1]
        probs = self.classify(tuple(flatten_clips(batch.features)))
        return [Prediction(probs[t::length]) for t in range(length)]

    def parts(self) -> dict[str, nn.Module]:
        """The encoder and the head."""
        return {**self.encoder.parts(), "frame head": self.head}


def linear_head(width: int, num_classes: int, dropout: nn.Module) -> nn.Sequential:
    """(B, width, h, w) -> logits (B, K, h, w)."""
    return nn.Sequential(nn.BatchNorm2d(width), dropout, nn.Conv2d(width, num_classes, 1))

"""A recurrent method with a loss of its own, as small as one can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.config import METHODS
from t2g_core.methods.method import (
    ClipBatch,
    Features,
    Method,
    MethodConfig,
    Motion,
    Prediction,
    StepS,
    encode_tokens,
)
from t2g_core.schedule import StageConfig


@dataclass(frozen=True)
class ToyRecurrentConfig(MethodConfig):
    """keeps: share of the past at the beginning, above 0 and below 1."""

    keeps: float = 0.5


class ToyState(NamedTuple):
    """The mean of all frames so far."""

    mean: torch.Tensor  # (B, h, w, C), zeros before the first frame
    frames: torch.Tensor  # (B,) int64


class ToyRecurrent(Method):
    """A learned running mean of tokens, and a linear classifier; it has a loss of its own."""

    Config = ToyRecurrentConfig
    recurrent = True
    cacheable = True
    loss_names = ("pixel", "jaccard", "mtc", "keep")

    def __init__(self, config: ToyRecurrentConfig, encoder: nn.Module, num_classes: int):
        super().__init__(config, encoder, num_classes)
        self.keep = nn.Parameter(torch.logit(torch.tensor(config.keeps)))
        self.classifier = nn.Conv2d(encoder.width, num_classes, 1)

    def encode(self, images: torch.Tensor) -> Features:
        return encode_tokens(self.encoder, images)

    def start(self, features: Features) -> ToyState:
        tokens = features[-1]
        frames = torch.zeros(len(tokens), dtype=torch.int64, device=tokens.device)
        return ToyState(torch.zeros_like(tokens), frames)

    def step(
        self, features: Features, state: ToyState, motion: Motion, step_s: StepS
    ) -> tuple[torch.Tensor, ToyState]:
        kept = self.keep.sigmoid() * (state.frames > 0).view(-1, 1, 1, 1)
        mean = kept * state.mean + (1 - kept) * features[-1]
        logits = self.classifier(mean.movedim(-1, 1))
        probs = F.interpolate(logits, scale_factor=4, mode="bilinear").softmax(dim=1)
        return probs, ToyState(mean, state.frames + 1)

    def predict_clip(self, batch: ClipBatch, stage: StageConfig) -> list[Prediction]:
        state, found = None, []
        for t in range(batch.target.shape[1]):
            features = tuple(maps[:, t] for maps in batch.features)
            state = self.start(features) if state is None else state
            probs, state = self.step(features, state, (), batch.step_s)
            found.append(Prediction(probs))
        return found

    def losses(self, predictions, batch, train, class_weights) -> dict[str, torch.Tensor]:
        common = super().losses(predictions, batch, train, class_weights)
        return common | {"keep": 0.01 * self.keep.square()}


TOYS = {"toy_recurrent": ToyRecurrent}


def register() -> None:
    """Let configs and checkpoints name them."""
    METHODS.update(TOYS)

"""Two methods that are as different from Time2General as a method can be, and as small."""

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
    ParameterGroup,
    Prediction,
    StepS,
    encode_tokens,
)
from t2g_core.schedule import StageConfig


@dataclass(frozen=True)
class ToyAdapterConfig(MethodConfig):
    """begin: what the scalars begin with."""

    begin: float = 0.0


class ToyAdapter(Method):
    """One learned scalar after every block of the frozen encoder, and a linear classifier."""

    Config = ToyAdapterConfig

    def __init__(self, config: ToyAdapterConfig, encoder: nn.Module, num_classes: int):
        super().__init__(config, encoder, num_classes)
        self.scales = nn.Parameter(torch.full((encoder.num_blocks,), config.begin))
        self.classifier = nn.Conv2d(encoder.width, num_classes, 1)

    def adapt(self, block: int, tokens: torch.Tensor) -> torch.Tensor:
        return tokens * (1 + self.scales[block])

    def encode(self, images: torch.Tensor) -> Features:
        return encode_tokens(self.encoder, images, self.adapt)

    def probs(self, features: Features) -> torch.Tensor:
        logits = self.classifier(features[-1].movedim(-1, 1))
        return F.interpolate(logits, scale_factor=4, mode="bilinear").softmax(dim=1)

    def parameter_groups(self, stage: StageConfig) -> list[ParameterGroup]:
        scales = ParameterGroup([self.scales], rate=0.5, decays=False)
        return [ParameterGroup(list(self.classifier.parameters())), scales]

    def step(
        self, features: Features, state: tuple[()], motion: Motion, step_s: StepS
    ) -> tuple[torch.Tensor, tuple[()]]:
        return self.probs(features), state

    def predict_clip(self, batch: ClipBatch, stage: StageConfig) -> list[Prediction]:
        length = batch.images.shape[1]
        probs = self.probs(self.encode(batch.images.flatten(0, 1)))
        return [Prediction(probs[t::length]) for t in range(length)]


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


TOYS = {"toy_adapter": ToyAdapter, "toy_recurrent": ToyRecurrent}


def register() -> None:
    """Let configs and checkpoints name them."""
    METHODS.update(TOYS)

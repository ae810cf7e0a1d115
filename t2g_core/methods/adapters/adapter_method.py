# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Methods that rewrite a frozen encoder's tokens after every block and decode masks frame by frame.

Their features depend on weights that learn, so that training reads images and not kept tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from t2g_core.images.model_input import PATCH
from t2g_core.losses.common import common_losses
from t2g_core.losses.set_loss import set_loss
from t2g_core.methods.adapters.mask2former_head import (
    Mask2FormerConfig,
    Mask2FormerHead,
    SetPrediction,
)
from t2g_core.methods.adapters.pixel_decoder import Size
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
from t2g_core.methods.query_masks import semantic_probs
from t2g_core.schedule import ALL, StageConfig, TrainConfig

UNDECAYED = (nn.LayerNorm, nn.GroupNorm)
START_SCALE = 1e-3  # s, of what is added to the patch tokens
QUERY_LINK = "to_queries."  # the part of an adapter that belongs to the head
LAYERS = 4  # maps that the head reads


@dataclass(frozen=True)
class AdapterConfig(MethodConfig):
    """tokens: m, learned tokens a block, and queries; rank: r of their two factors.

    head: the Mask2Former head. recompute: whether training computes the activations of the frozen
        blocks again in the backward pass instead of keeping them: slower, in less memory.
    adapter_rate: learning rate of what is inside the encoder in units of the stage's.
    query_spread: factor of the first weights that make queries of tokens. The published 1 gives
        queries that are nearly one and the same, which a short training loses its first steps on.
    """

    tokens: int = 100
    rank: int = 16
    head: Mask2FormerConfig = Mask2FormerConfig()
    recompute: bool = True
    adapter_rate: float = 1.0
    query_spread: float = 1.0

    def __post_init__(self):
        if self.tokens < 2 or self.rank < 1:
            raise ValueError(
                f"tokens, rank: expected two tokens or more, the first of which gives nothing, of "
                f"rank 1 or more, got {self.tokens} and {self.rank}"
            )

    def check_training(self, train: TrainConfig) -> None:
        """Everything learns at once."""
        others = sorted({stage.trains for stage in train.stages} - {ALL})
        if others:
            raise ValueError(
                f"trains {others[0]}: expected {ALL}, an adapter and its head learn together"
            )


class Adapter(nn.Module):
    """Base of what rewrites the patch tokens; subclasses define `forward` and `queries`."""

    def forward(self, grid: tuple[int, int], number: int, patches: torch.Tensor) -> torch.Tensor:
        """The patch tokens (B, N, C) of block `number` on a grid (h, w), N = h * w -> what the next
        block reads.
        """
        raise NotImplementedError

    def queries(self) -> torch.Tensor:
        """(m, d), the positions of the decoder's queries."""
        raise NotImplementedError

    def undecayed(self) -> list[nn.Parameter]:
        """Tokens and scales, at which no weight decay pulls."""
        raise NotImplementedError


class OnGrid(NamedTuple):
    """An adapter as what an encoder calls after a block; equal to another of the same adapter."""

    adapter: Adapter
    grid: tuple[int, int]

    def __call__(self, number: int, patches: torch.Tensor, *depth: torch.Tensor) -> torch.Tensor:
        """See `Adapter`."""
        return self.adapter(self.grid, number, patches, *depth)


class AdapterMethod(Method):
    """An adapter inside the encoder and a Mask2Former head on the blocks that are read.

    A subclass names `Config` and defines `make_adapter`.

    Raises:
        ValueError: the encoder is not read at four blocks.
    """

    loss_names = ("pixel", "jaccard", "mtc", "set")

    def __init__(self, config: AdapterConfig, encoder: nn.Module, num_classes: int):
        super().__init__(config, encoder, num_classes)
        if encoder.num_layers != LAYERS:
            raise ValueError(
                f"encoder.blocks: expected {LAYERS}, one for each of the strides 4, 8, 16 and 32, "
                f"got {encoder.num_layers}"
            )
        self.adapter = self.make_adapter()
        self.head = Mask2FormerHead(config.head, encoder.width, num_classes)

    def make_adapter(self) -> Adapter:
        """The adapter of this method, with fresh weights."""
        raise NotImplementedError

    def encode(self, images: torch.Tensor) -> Features:
        """images (B, h, w, 3) uint8 -> adapted tokens of every block that is read."""
        grid = images.shape[1] // PATCH, images.shape[2] // PATCH
        rewrite = OnGrid(self.adapter, grid)
        return encode_tokens(self.encoder, images, rewrite, self.config.recompute)

    def decode(self, features: Features) -> SetPrediction:
        """Queries and pixels of B frames."""
        grid = tuple(features[0].shape[1:3])
        maps = self.refine([x.movedim(-1, 1) for x in features], grid)
        return self.head(maps, grid, self.adapter.queries())

    def refine(self, maps: list[torch.Tensor], grid: Size) -> list[torch.Tensor]:
        """What the head reads of the maps (B, C, h, w): these, unless a method adds to them."""
        del grid
        return maps

    def step(
        self, features: Features, state: tuple[()], motion: Motion, step_s: StepS
    ) -> tuple[torch.Tensor, tuple[()]]:
        """Nothing is kept."""
        del motion, step_s
        return probs_of(self.decode(features)), state

    def parameter_groups(self, stage: StageConfig) -> list[ParameterGroup]:
        """What is inside the encoder has a rate of its own; no decay on norms, level embeddings,
        tokens and scales.
        """
        del stage
        spared = [p for m in self.modules() if isinstance(m, UNDECAYED) for p in m.parameters()]
        spared += [p for n, p in self.named_parameters() if n.endswith("level_embedding")]
        spared = {id(p) for p in (*spared, *self.adapter.undecayed())}
        inside = {id(p) for n, p in self.adapter.named_parameters() if not n.startswith(QUERY_LINK)}
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for parameter in self.parameters():
            if parameter.requires_grad:
                rate = self.config.adapter_rate if id(parameter) in inside else 1.0
                groups.setdefault((rate, id(parameter) not in spared), []).append(parameter)
        return [ParameterGroup(found, *key) for key, found in groups.items()]

    def predict_clip(self, batch: ClipBatch, stage: StageConfig) -> list[Prediction]:
        """The frames of a clip are images of a batch; nothing passes from one to another."""
        del stage
        found = self.decode(self.encode_batch(batch))
        length = batch.target.shape[1]
        probs = probs_of(found)
        return [Prediction(probs[t::length], *(x[t::length] for x in found)) for t in range(length)]

    def encode_batch(self, batch: ClipBatch) -> Features:
        """`encode` for the frames of all clips, clip by clip."""
        return self.encode(batch.images.flatten(0, 1))

    def losses(
        self,
        predictions: list[Prediction],
        batch: ClipBatch,
        train: TrainConfig,
        class_weights: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """The common ones, and the set loss with one matching a frame."""
        probs = torch.stack([prediction.probs for prediction in predictions], dim=1)
        losses = common_losses(probs, batch.target, train, class_weights)
        logits, embeddings, pixels = (
            torch.cat(parts) for parts in zip(*(p[1:4] for p in predictions), strict=True)
        )
        target = batch.target.transpose(0, 1).flatten(0, 1)  # frame by frame, as the predictions
        found = set_loss(
            logits, embeddings, pixels[:, None], target[:, None], train.points, train.set_stages
        )
        return losses | {"set": train.set_weight * found}

    def parts(self) -> dict[str, nn.Module]:
        """The encoders, the adapter, and the head's two decoders."""
        return {
            **self.encoder.parts(),
            "adapter": self.adapter,
            "pixel decoder": self.head.pixel_decoder,
            "query decoder": self.head.query_decoder,
        }


def probs_of(found: SetPrediction) -> torch.Tensor:
    """Probabilities (B, K, h/4, w/4) by the last stage's queries."""
    return semantic_probs(found.class_logits[:, -1], found.mask_embeddings[:, -1], found.pixels)

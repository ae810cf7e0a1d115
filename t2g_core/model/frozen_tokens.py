"""Methods on the tokens of frozen encoders: Time2General and the frame-by-frame heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from t2g_core.model.frame_heads import FrameHead
from t2g_core.model.time2general import FrameMaps, FrameMemory, Prediction, Time2General
from t2g_core.model.token_standardizer import TokenStandardizer

Encoder = Callable[[torch.Tensor], list[torch.Tensor]]


class FrozenTokens(NamedTuple):
    """B frames after the frozen encoder."""

    tokens: list[torch.Tensor]  # one (B, N, C) a layer, RGB then depth
    images: torch.Tensor  # (B, 3, H, W), normalised


class TrainablePart(nn.Module):
    """Everything a checkpoint holds: token statistics and the head. No encoder weights."""

    def __init__(self, standardize: TokenStandardizer, head: Time2General | FrameHead):
        super().__init__()
        self.standardize = standardize
        self.head = head

    def encode_frames(self, frames: FrozenTokens) -> tuple:
        """The frames' own maps and what each leaves to the masks of others."""
        return self.head.encode_frames(self.standardize(frames.tokens), frames.images)

    def forward(
        self, frames: FrozenTokens, length: int, frame_path_only: bool = False
    ) -> list[Prediction]:
        """B*length frames, clip by clip, oldest first -> one Prediction a time, each for B clips.

        A head without a memory (clip_length 1) takes every frame as a clip of its own, and so does
        the frame path alone.
        """
        if frame_path_only:
            return [self.head.classify_frames(self.standardize(frames.tokens), frames.images)]
        clip = unflatten_frames(self.encode_frames(frames), min(length, self.head.clip_length))
        return self.head(clip)

    def with_encoder(self, encoder: Encoder) -> FrozenTokenMethod:
        """The method that this part and its frozen encoder make together."""
        return FrozenTokenMethod(encoder, self)


class FrozenTokenMethod:
    """`Method` of a frozen encoder and a trainable part; its state is a ring buffer of frames.

    encoder: a FrozenEncoder, an RGBDepthEncoder, or what stands for one; it is not part of the
    checkpoint and may be shared by several methods.
    """

    cacheable = True

    def __init__(self, encoder: Encoder, trained: TrainablePart):
        self.encoder = encoder
        self.trained = trained
        self.clip_length = trained.head.clip_length

    def encode(self, images: torch.Tensor) -> FrozenTokens:
        """images (B, 3, H, W), normalised -> tokens of every block that is read."""
        return FrozenTokens(self.encoder(images), images)

    def split(self, features: FrozenTokens) -> list[FrozenTokens]:
        """Frames of one size that were encoded together, each alone."""
        each = zip(*(tokens.split(1) for tokens in features.tokens), strict=True)
        images = features.images.split(1)
        return [FrozenTokens(list(t), i) for t, i in zip(each, images, strict=True)]

    def start(self) -> tuple[FrameMemory, ...]:
        """An empty ring buffer."""
        return ()

    def step(
        self, features: FrozenTokens, state: tuple[FrameMemory, ...]
    ) -> tuple[torch.Tensor, tuple[FrameMemory, ...]]:
        """Decode the newest frame from the last T; the state keeps what each has left."""
        maps, memory = self.trained.encode_frames(features)
        state = (*state, memory)[-self.clip_length :]
        return self.trained.head.step(maps, list(state)), state

    def clip(self, features: Sequence[FrozenTokens]) -> list[torch.Tensor]:
        """Decode every frame of a clip from the whole clip."""
        frames = [self.trained.encode_frames(frame) for frame in features]
        if self.clip_length == 1:
            return [self.trained.head([frame])[0].probs for frame in frames]
        return [prediction.probs for prediction in self.trained.head(frames)]


def unflatten_frames(flat: tuple, frames: int) -> list[tuple[FrameMaps, FrameMemory]]:
    """What `encode_frames` gave for B*T frames -> a list of T, each for B."""

    def pick(x, t):
        if x is None:
            return None
        return x[t::frames] if isinstance(x, torch.Tensor) else type(x)(*(pick(y, t) for y in x))

    maps, memory = flat
    return [(pick(maps, t), pick(memory, t)) for t in range(frames)]

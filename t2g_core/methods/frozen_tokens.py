"""Methods on the tokens of frozen encoders: Time2General and the frame-by-frame heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from t2g_core.methods.frame_head import FrameHead
from t2g_core.methods.time2general.image_motion import structure
from t2g_core.methods.time2general.motion_aware_mean import USUAL_STEP_S, StepS
from t2g_core.methods.time2general.time2general import (
    FrameMaps,
    Prediction,
    StreamMemory,
    Time2General,
)
from t2g_core.methods.token_standardizer import TokenStandardizer

Encoder = Callable[[torch.Tensor], list[torch.Tensor]]


def token_grid(images: torch.Tensor) -> tuple[int, int]:
    """Height and width at stride 16 of images (B, 3, H, W)."""
    return images.shape[-2] // 16, images.shape[-1] // 16


class FrozenTokens(NamedTuple):
    """B frames after the frozen encoder."""

    tokens: list[torch.Tensor]  # one (B, N, C) a layer, RGB then depth
    grid: tuple[int, int]  # (h, w), N = h * w
    structure: torch.Tensor | None = None  # (B, 8h, 8w), `image_motion.structure`


class TrainablePart(nn.Module):
    """Everything a checkpoint holds: token statistics and the head. No encoder weights."""

    def __init__(self, standardize: TokenStandardizer, head: Time2General | FrameHead):
        super().__init__()
        self.standardize = standardize
        self.head = head

    def encode_frames(self, frames: FrozenTokens) -> tuple:
        """The frames' own maps and what each leaves to the masks of others."""
        tokens = self.standardize(frames.tokens)
        return self.head.encode_frames(tokens, frames.grid, frames.structure)

    def frame_path_state(self) -> dict[str, torch.Tensor]:
        """Weights and statistics of all that sees one frame alone, by name."""
        temporal = {id(part) for part in self.head.temporal_parts()}
        prefixes = tuple(f"{n}." for n, m in self.named_modules() if id(m) in temporal)
        return {n: v for n, v in self.state_dict().items() if not n.startswith(prefixes or "/")}

    def freeze_frame_path(self, frozen: bool) -> None:
        """Hold all that sees one frame alone as it is, batch norms included, or let it learn."""
        temporal = {p for part in self.head.temporal_parts() for p in part.parameters()}
        for parameter in set(self.parameters()) - temporal:
            parameter.requires_grad_(not frozen)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train(not frozen)

    def forward(
        self,
        frames: FrozenTokens,
        length: int,
        frame_path_only: bool = False,
        step_s: StepS = USUAL_STEP_S,
    ) -> list[Prediction]:
        """B*length frames, clip by clip, oldest first -> one Prediction a time, each for B clips.

        step_s: time between two frames of a clip [s].

        A head without a memory (clip_length 1) takes every frame as a clip of its own, and so does
        the frame path alone.
        """
        if frame_path_only:
            return [self.head.classify_frames(self.standardize(frames.tokens), frames.grid)]
        clip = unflatten_frames(self.encode_frames(frames), min(length, self.head.clip_length))
        return self.head(clip, step_s)

    def with_encoder(self, encoder: Encoder) -> FrozenTokenMethod:
        """The method that this part and its frozen encoder make together."""
        return FrozenTokenMethod(encoder, self)


class FrozenTokenMethod:
    """`Method` of a frozen encoder and a trainable part; its state is what the head keeps.

    encoder: a FrozenEncoder, an RGBDepthEncoder, or what stands for one; it is not part of the
    checkpoint and may be shared by several methods.
    """

    cacheable = True

    def __init__(self, encoder: Encoder, trained: TrainablePart):
        self.encoder = encoder
        self.trained = trained
        self.clip_length = trained.head.clip_length

    def encode(self, images: torch.Tensor) -> FrozenTokens:
        """images (B, 3, H, W), normalised -> tokens of every block that is read, and what tells
        motion where the head asks for it."""
        seen = structure(images) if self.trained.head.needs_structure else None
        return FrozenTokens(self.encoder(images), token_grid(images), seen)

    def split(self, features: FrozenTokens) -> list[FrozenTokens]:
        """Frames of one size that were encoded together, each alone."""
        seen = features.structure
        return [
            FrozenTokens(
                [tokens[i : i + 1] for tokens in features.tokens],
                features.grid,
                None if seen is None else seen[i : i + 1],
            )
            for i in range(len(features.tokens[0]))
        ]

    def start(self) -> StreamMemory:
        """Nothing kept yet."""
        return self.trained.head.start()

    def step(
        self, features: FrozenTokens, state: StreamMemory, step_s: float
    ) -> tuple[torch.Tensor, StreamMemory]:
        """Decode the newest frame with what those before it have left."""
        return self.trained.head.step(*self.trained.encode_frames(features), state, step_s)

    def clip(self, features: Sequence[FrozenTokens], step_s: float) -> list[torch.Tensor]:
        """Decode every frame of a clip from the whole clip."""
        frames = [self.trained.encode_frames(frame) for frame in features]
        if self.clip_length == 1:
            return [self.trained.head([frame])[0].probs for frame in frames]
        return [prediction.probs for prediction in self.trained.head(frames, step_s)]


class FramePath(FrozenTokenMethod):
    """What the frame path of a trained part sees in each frame alone: no queries, no memory.

    Beside the whole it tells what those bring on one and the same frame path.
    """

    def __init__(self, whole: FrozenTokenMethod):
        """ValueError for a head without a frame path that sees by itself."""
        super().__init__(whole.encoder, whole.trained)
        if getattr(self.trained.head, "pixel_classifier", None) is None:
            raise ValueError(
                "the frame path alone: expected a model with a pixel classifier beside its queries"
            )
        self.clip_length = 1

    def start(self) -> None:
        """Nothing is kept."""

    def step(self, features: FrozenTokens, state: None, step_s: float) -> tuple[torch.Tensor, None]:
        """Probabilities of the pixel classifier."""
        del state, step_s
        tokens = self.trained.standardize(features.tokens)
        return self.trained.head.classify_frames(tokens, features.grid).probs, None

    def clip(self, features: Sequence[FrozenTokens], step_s: float) -> list[torch.Tensor]:
        """Of each frame alone."""
        return [self.step(frame, None, step_s)[0] for frame in features]


def unflatten_frames(flat: tuple, frames: int) -> list[tuple[FrameMaps, torch.Tensor]]:
    """What `encode_frames` gave for B*T frames -> a list of T, each for B."""

    def pick(x, t):
        if x is None:
            return None
        return x[t::frames] if isinstance(x, torch.Tensor) else type(x)(*(pick(y, t) for y in x))

    maps, memory = flat
    return [(pick(maps, t), pick(memory, t)) for t in range(frames)]

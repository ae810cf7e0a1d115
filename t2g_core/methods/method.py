# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What every method of video segmentation is, and the values it exchanges with the code around it.

A method owns everything between pixels and probabilities: its frozen encoder, adapters inside it if
it has any, its head, what it keeps of a stream, and how it is trained. Streaming, evaluation,
training and the node know nothing of a method but this page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from t2g_core.encoders.frozen_vit import AfterBlock, EncoderConfig, FrozenEncoder
from t2g_core.encoders.normalise import normalise
from t2g_core.images.model_input import PATCH, Prepared, fit_size, resize
from t2g_core.images.windows import Window
from t2g_core.losses.common import common_losses
from t2g_core.schedule import StageConfig, TrainConfig

StepS = float | torch.Tensor  # time between two frames [s]: of all B clips, or (B,) of each

Features = tuple[torch.Tensor, ...]  # of B frames, each alone; every tensor has B first
Motion = tuple[torch.Tensor, ...]  # between B pairs of frames; every tensor has B first
HostMotion = tuple[np.ndarray, ...]  # the same, as arrays with B = 1
State = Any  # what a stream keeps: nested tuples of tensors whose shapes never change

ENCODER = "encoder."  # how the names of a method's frozen weights begin


class Prediction(NamedTuple):
    """Outputs for one frame of B clips; a method without queries gives probabilities alone."""

    probs: torch.Tensor  # (B, K, H/4, W/4), summing to one over K
    class_logits: torch.Tensor | None = None  # (B, stages, Q, K + 1), last: no object
    mask_embeddings: torch.Tensor | None = None  # (B, stages, Q, p)
    pixels: torch.Tensor | None = None  # (B, p, H/4, W/4)
    beside: torch.Tensor | None = None  # what a method's own losses read beside these


class ClipBatch(NamedTuple):
    """B clips of T frames for training, oldest frame first.

    features: `Method.frozen_features` of the frames, (B, T, h, w, C); none of a method without.
    images: the frames themselves, (B, T, H, W, 3) uint8 RGB.
    target: (B, T, H, W) int64 class ids, 255 void.
    motion_images: (B, T, h', w') uint8 on the CPU, see `Prepared`; None for a method without, and
        for clips of one frame, in which nothing moves.
    step_s: (B,) time between two frames of a clip [s].
    """

    features: Features
    images: torch.Tensor
    target: torch.Tensor
    motion_images: torch.Tensor | None
    step_s: torch.Tensor


class ParameterGroup(NamedTuple):
    """Parameters that learn alike: `rate` in units of the stage's learning rate, and whether
    weight decay pulls at them.
    """

    parameters: list[nn.Parameter]
    rate: float = 1.0
    decays: bool = True


@dataclass(frozen=True)
class MethodConfig:
    """Base of the section of a config that describes a method."""

    def build_encoder(self, encoder: EncoderConfig) -> nn.Module:
        """The frozen encoder that the method reads, weights loaded."""
        return FrozenEncoder(encoder)

    def frozen(self, encoder: EncoderConfig) -> dict:
        """All that a frame's frozen features depend on: what they may be cached under."""
        return asdict(encoder)

    def without_weights(self) -> MethodConfig:
        """The same architecture with random frozen weights: nothing to find or download."""
        return self

    def check_training(self, train: TrainConfig) -> None:
        """Raise ValueError where the method cannot be trained so."""


class Method(nn.Module):
    """Base of all methods: a frame-by-frame method, of which a subclass says what is different.

    It is made of the section of a config that describes it, a frozen encoder, and the number of
    classes; its weights are fresh. Every subclass names `Config`, and defines `encode`, `step` and
    `predict_clip`. One that looks at several frames defines `clip_length` and `clip`, or is
    `recurrent`; one that keeps something defines `start`.

    Config: the dataclass of its section.
    clip_length: T, the most frames that a mask is decoded from; 1 for a frame-by-frame method and
        for a recurrent one.
    recurrent: the state carries all frames so far, so that a video is never cut into clips.
    cacheable: some of the features, those of `frozen_features`, depend on a frame and on frozen
        weights alone. Training keeps them on disk and hands them to `predict_clip`.
    undistorted_motion: whether training finds motion in the frames as they were before they were
        distorted.
    loss_names: what `losses` may return, in the order of the log's columns.
    """

    Config: type[MethodConfig]
    clip_length: int = 1
    recurrent: bool = False
    cacheable: bool = False
    undistorted_motion: bool = False
    loss_names: tuple[str, ...] = ("pixel", "jaccard", "mtc")

    def __init__(self, config: MethodConfig, encoder: nn.Module, num_classes: int):
        super().__init__()
        self.config, self.encoder, self.num_classes = config, encoder, num_classes

    # Inference: `prepare` and `motion` on the host, all others on tensors.

    def prepare(self, frame: np.ndarray, size: tuple[int, int]) -> Prepared:
        """A frame (H, W, 3) uint8 RGB -> the same at the area of `size` (width, height).

        Its aspect ratio is kept, see `fit_size`. Pixels stay uint8 and are normalised by `encode`:
        a GPU is sent a quarter of the bytes, and a training can keep crops as they are.
        """
        return Prepared(resize(frame, fit_size((frame.shape[1], frame.shape[0]), size)))

    def motion(self, now: np.ndarray | None, before: np.ndarray | None) -> HostMotion:
        """What happened between two frames, found by their motion images: arrays with B = 1.

        before: None for the first frame of a stream, for which any motion of the same shapes does.
        """
        del now, before
        return ()

    def cut_motion(self, motion: Motion, window: Window, grid: tuple[int, int]) -> Motion:
        """The motion of a window of a frame of `grid` (h, w) patches.

        As a rule maps (B, c, h', w'), of which a part is cut out.
        """
        slices = [window.slices(x.shape[-2] // grid[0]) for x in motion]
        return tuple(x[(..., *where)] for x, where in zip(motion, slices, strict=True))

    def encode(self, images: torch.Tensor) -> Features:
        """images (B, h, w, 3) uint8 RGB, h and w in multiples of 16 -> features."""
        raise NotImplementedError

    def frozen_features(self, images: torch.Tensor) -> Features:
        """What a `cacheable` method's training may keep of B frames: all of `encode`, unless a
        method says less.

        They are maps (B, h, w, C), so that a window can be cut out of them.
        """
        return self.encode(images)

    def start(self, features: Features) -> State:
        """The state before the first frame of a stream, for frames with features of this shape."""
        del features
        return ()

    def step(
        self, features: Features, state: State, motion: Motion, step_s: StepS
    ) -> tuple[torch.Tensor, State]:
        """The newest frame -> its probabilities (B, K, h/4, w/4), and the state with it in it.

        A pure function of tensors; `state` is unchanged. motion: against the frame before, see
        `motion`; step_s: time since that frame [s], 0 where nobody knows.
        """
        raise NotImplementedError

    def clip(
        self, features: Sequence[Features], motions: Sequence[Motion], step_s: StepS
    ) -> list[torch.Tensor]:
        """1 to T frames, oldest first -> probabilities (B, K, h/4, w/4) of each.

        motions: of each frame against the one before it; step_s: between two frames [s].
        """
        state, probs = self.start(features[0]), []
        for frame, motion in zip(features, motions, strict=True):
            found, state = self.step(frame, state, motion, step_s)
            probs.append(found)
        return probs

    def memory_fill(self, state: State) -> float | None:
        """Share of its memory that the method has filled, 0 to 1; None where that means nothing."""
        del state
        return None

    # Training.

    def begin_training(self, class_names: Sequence[str], batches: Iterable[ClipBatch]) -> None:
        """Measure, before the first iteration, what is fixed afterwards.

        batches: the first ones of the run.
        """

    def enter_stage(self, stage: StageConfig) -> None:
        """Let learn what the stage trains, and hold the rest as it is."""

    def parameter_groups(self, stage: StageConfig) -> list[ParameterGroup]:
        """What the stage's optimiser gets: all that asks for a gradient."""
        del stage
        return [ParameterGroup([p for p in self.parameters() if p.requires_grad])]

    def predict_clip(self, batch: ClipBatch, stage: StageConfig) -> list[Prediction]:
        """T predictions, one a frame, each for the B clips; with gradient."""
        raise NotImplementedError

    def losses(
        self,
        predictions: list[Prediction],
        batch: ClipBatch,
        train: TrainConfig,
        class_weights: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Weighted losses by name; the common ones, unless a method adds others."""
        probs = torch.stack([prediction.probs for prediction in predictions], dim=1)
        return common_losses(probs, batch.target, train, class_weights)

    def trained_state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds, by name: everything but the frozen encoder."""
        return {n: v for n, v in self.state_dict().items() if not n.startswith(ENCODER)}

    def frame_path_state(self) -> dict[str, torch.Tensor]:
        """The part of `trained_state` that sees one frame alone."""
        return self.trained_state()

    def parts(self) -> dict[str, nn.Module]:
        """The modules by which `t2g info` and `t2g bench` divide a step, by the name they print."""
        return {name.replace("_", " "): module for name, module in self.named_children()}


def split(features: Features) -> list[Features]:
    """Features of B frames -> those of each frame alone, B = 1."""
    return [tuple(x[i : i + 1] for x in features) for i in range(len(features[0]))]


def encode_tokens(
    encoder: nn.Module,
    images: torch.Tensor,
    after_block: AfterBlock | None = None,
    recompute: bool = True,
) -> Features:
    """Tokens of an encoder as maps: images (B, h, w, 3) uint8 -> one (B, h/16, w/16, C) a block
    that is read.

    after_block, recompute: what rewrites tokens inside the encoder, see `FrozenEncoder.forward`.
    """
    grid = images.shape[1] // PATCH, images.shape[2] // PATCH
    tokens = encoder(normalise(images), after_block, recompute)
    return tuple(x.unflatten(1, grid) for x in tokens)


def flatten_clips(frames: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """Tensors (B, T, ...) -> (B * T, ...), clip by clip."""
    return [x.flatten(0, 1) for x in frames]

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""SSP (CVPR 2025): the last frame's logits, moved along a homography, blended with this frame's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.images.model_input import PATCH, PIXEL_STD, Prepared
from t2g_core.images.windows import Window
from t2g_core.losses.common import common_losses
from t2g_core.methods.conv_head import conv_head
from t2g_core.methods.method import (
    ClipBatch,
    Features,
    HostMotion,
    MethodConfig,
    Motion,
    Prediction,
    StepS,
    flatten_clips,
)
from t2g_core.methods.ssp.homography import dense_flow, find_homography, move, sample
from t2g_core.methods.token_method import TokenMethod
from t2g_core.schedule import FRAME_PATH, TEMPORAL, StageConfig, TrainConfig

CONSISTENCY_WEIGHT = 0.5
GREY_STD = 255 * sum(PIXEL_STD) / 3
OUTPUT = 4  # stride of the probabilities


@dataclass(frozen=True)
class SSPConfig(MethodConfig):
    """features: channels e of the features that decide how much of the past is kept."""

    features: int = 96

    def check_training(self, train: TrainConfig) -> None:
        """Frames alone, then pairs, all of it both times."""
        if TEMPORAL in (stage.trains for stage in train.stages):
            raise ValueError(
                "trains temporal: expected frame_path or all; SSP holds nothing as it is"
            )


class SSPState(NamedTuple):
    """What a frame leaves for the next: its blended logits (B, K, h, w) at the size of the image,
    its own features (B, e, h/16, w/16), and whether there was one, (B,), 0 or 1.
    """

    logits: torch.Tensor
    features: torch.Tensor
    seen: torch.Tensor


class Frame(NamedTuple):
    """A frame alone: logits (B, K, h, w) at the size of the image, features (B, e, h/16, w/16)."""

    logits: torch.Tensor
    features: torch.Tensor


class SSP(TokenMethod):
    """A recurrent method on a per-frame head: y = a * moved y + (1 - a) * z, on logits, with a
    learned share a of moved and new features.
    """

    Config = SSPConfig
    recurrent = True
    undistorted_motion = True
    loss_names = ("pixel", "jaccard", "mtc", "consistency")

    def __init__(self, config: SSPConfig, encoder: nn.Module, num_classes: int):
        super().__init__(config, encoder, num_classes)
        self.dropout = nn.Dropout2d(0.0)  # a training stage says how much
        self.head = conv_head(encoder.num_layers * encoder.width, num_classes, self.dropout)
        self.to_features = nn.Conv2d(encoder.width, config.features, 1)
        self.share = share_of_past(config.features)

    # Inference.

    def prepare(self, frame: np.ndarray, size: tuple[int, int]) -> Prepared:
        """With its grey values, in which keypoints are found."""
        image = super().prepare(frame, size).image
        return Prepared(image, cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))

    def motion(self, now: np.ndarray | None, before: np.ndarray | None) -> HostMotion:
        """The homography (1, 3, 3) from the frame before to this one, in pixels."""
        if now is None or before is None:
            return (np.eye(3, dtype=np.float32)[None],)
        return (find_homography(now, before)[None],)

    def cut_motion(self, motion: Motion, window: Window, grid: tuple[int, int]) -> Motion:
        """The homography in a window's own pixels."""
        del grid
        (homography,) = motion
        there = torch.eye(3).to(homography)
        there[:2, 2] = PATCH * torch.tensor([window.left, window.top]).to(homography)
        return (torch.linalg.inv(there) @ homography @ there,)

    def alone(self, features: Features) -> Frame:
        """What B frames say by themselves."""
        tokens, grid = self.tokens(features)
        maps = [x.transpose(1, 2).unflatten(2, grid) for x in tokens]
        logits = self.head(torch.cat(maps, dim=1))
        size = [PATCH * side for side in grid]
        logits = F.interpolate(logits.float(), size=size, mode="bicubic", align_corners=False)
        return Frame(logits, self.to_features(maps[0]).float())

    def start(self, features: Features) -> SSPState:
        """No frame yet."""
        batch, height, width = features[0].shape[:3]
        device = features[0].device
        return SSPState(
            torch.zeros(batch, self.num_classes, PATCH * height, PATCH * width, device=device),
            torch.zeros(batch, self.config.features, height, width, device=device),
            torch.zeros(batch, device=device),
        )

    def step(
        self, features: Features, state: SSPState, motion: Motion, step_s: StepS
    ) -> tuple[torch.Tensor, SSPState]:
        """The newest frame, blended with what moved along the homography."""
        del step_s
        frame = self.alone(features)
        logits = self.blend(frame, state, motion[0])
        return probs_of(logits), SSPState(logits, frame.features, torch.ones_like(state.seen))

    def blend(self, frame: Frame, past: SSPState, homography: torch.Tensor) -> torch.Tensor:
        """Logits (B, K, h, w) of a frame with its past; homography (B, 3, 3)."""
        size = tuple(frame.logits.shape[-2:])
        moved, features = (move(x, homography, size) for x in past[:2])
        share = self.share(torch.cat([features, frame.features], dim=1)).sigmoid().float()
        share = F.interpolate(share, size=size, mode="bilinear", align_corners=False)
        share = share * past.seen.view(-1, 1, 1, 1)
        return share * moved + (1 - share) * frame.logits

    # Training.

    def enter_stage(self, stage: StageConfig) -> None:
        """Set the dropout of what the classifier reads; frames alone teach nothing of the past."""
        self.dropout.p = stage.dropout
        for part in (self.to_features, self.share):
            part.requires_grad_(stage.trains != FRAME_PATH)

    def predict_clip(self, batch: ClipBatch, stage: StageConfig) -> list[Prediction]:
        """Each frame with the one before it as that is by itself; the first, and all in a stage of
        frames, alone.
        """
        length = batch.target.shape[1]
        whole = self.alone(tuple(flatten_clips(batch.features)))
        frames = [Frame(*(x[t::length] for x in whole)) for t in range(length)]
        if stage.trains == FRAME_PATH or length == 1:
            return [Prediction(probs_of(frame.logits)) for frame in frames]
        found = [Prediction(probs_of(frames[0].logits))]
        seen = batch.motion_images.numpy()
        for t in range(1, length):
            now, before = seen[:, t], seen[:, t - 1]
            pairs = zip(now, before, strict=True)
            homography = torch.from_numpy(np.stack([find_homography(*pair) for pair in pairs]))
            device = frames[t].logits.device
            past = SSPState(*frames[t - 1], torch.ones(len(now), device=device))
            logits = self.blend(frames[t], past, homography.to(device))
            error = consistency(logits, frames[t - 1].logits, now, before)
            found.append(Prediction(probs_of(logits), beside=error))
        return found

    def losses(
        self,
        predictions: list[Prediction],
        batch: ClipBatch,
        train: TrainConfig,
        class_weights: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """The common ones, of pairs those of their second frames; half the flow consistency."""
        errors = [p.beside for p in predictions if p.beside is not None]
        first = 1 if errors else 0
        probs = torch.stack([prediction.probs for prediction in predictions[first:]], dim=1)
        found = common_losses(probs, batch.target[:, first:], train, class_weights)
        if errors:
            found["consistency"] = CONSISTENCY_WEIGHT * torch.stack(errors).mean()
        return found

    def parts(self) -> dict[str, nn.Module]:
        """The encoder, the per-frame head, and what weighs the past."""
        return {**self.encoder.parts(), "frame head": self.head, "share of the past": self.share}


def share_of_past(features: int) -> nn.Sequential:
    """(B, 2e, h, w) -> logits (B, 1, h, w) of the share that is kept."""
    return nn.Sequential(
        nn.Conv2d(2 * features, features, 3, padding=1),
        nn.BatchNorm2d(features),
        nn.ReLU(),
        nn.Conv2d(features, features // 2, 3, padding=1),
        nn.BatchNorm2d(features // 2),
        nn.ReLU(),
        nn.Conv2d(features // 2, 1, 1),
    )


def probs_of(logits: torch.Tensor) -> torch.Tensor:
    """Logits (B, K, h, w) -> probabilities (B, K, h/4, w/4)."""
    return F.avg_pool2d(logits.softmax(dim=1), OUTPUT)


def consistency(
    logits: torch.Tensor, before: torch.Tensor, now_grey: np.ndarray, before_grey: np.ndarray
) -> torch.Tensor:
    """Mean of o (y_t - F(z_(t-1)))^2, F a warp along dense optical flow, o = exp(-|sum over colours
    of I_t - F(I_(t-1))|): little where the flow is wrong or something came into view.

    logits, before (B, K, h, w); grey images (B, h, w) uint8, of which the difference stands for
    each of the three normalised colours. Published with RAFT and a nearest warp; here with DIS,
    bilinear.
    """
    device, size = logits.device, tuple(logits.shape[-2:])
    pairs = zip(now_grey, before_grey, strict=True)
    flow = torch.from_numpy(np.stack([dense_flow(*pair) for pair in pairs])).to(device)
    y, x = torch.meshgrid(*(torch.arange(side, device=device) for side in size), indexing="ij")
    points = torch.stack([x, y], dim=-1) + flow
    greys = [torch.from_numpy(g).to(device)[:, None].float() for g in (now_grey, before_grey)]
    apart = (greys[0] - sample(greys[1], points, size)) * 3 / GREY_STD
    trusted = (-apart.abs()).exp()
    return (trusted * (logits - sample(before, points, size)).square()).mean()

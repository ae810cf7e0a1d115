# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The floor that a temporal method has to clear: a running mean of a frame-by-frame method."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from t2g_core.images.model_input import Prepared
from t2g_core.methods.method import Features, HostMotion, Method, Motion, State, StepS


class MeanState(NamedTuple):
    """The frame-by-frame method's own state, and the mean of the frames so far."""

    method: State
    mean: torch.Tensor  # (B, K, H/4, W/4), zeros before the first frame
    seen: torch.Tensor  # () bool, whether there is one


class RunningMean(Method):
    """p_t = w * p_{t-1} + (1 - w) * the method's probabilities of frame t; no motion, no parameter.

    The first frame's mean is its own probabilities. It is recurrent: cut into clips of one frame it
    would average nothing.
    """

    recurrent = True

    def __init__(self, method: Method, weight: float):
        """weight: w, the share of the past, from 0 to below 1; ValueError for another one, or for a
        method that looks at more than one frame.
        """
        if not 0 <= weight < 1:
            raise ValueError(f"running mean: expected a weight from 0 to below 1, got {weight}")
        if method.clip_length != 1 or method.recurrent:
            raise ValueError(
                "running mean: expected a frame-by-frame method, got one with a memory of its own"
            )
        super().__init__(method.config, method.encoder, method.num_classes)
        self.method, self.weight = method, weight

    def prepare(self, frame: np.ndarray, size: tuple[int, int]) -> Prepared:
        """As the method does."""
        return self.method.prepare(frame, size)

    def motion(self, now: np.ndarray | None, before: np.ndarray | None) -> HostMotion:
        """As the method does."""
        return self.method.motion(now, before)

    def encode(self, images: torch.Tensor) -> Features:
        """As the method does."""
        return self.method.encode(images)

    def start(self, features: Features) -> MeanState:
        """No mean yet."""
        state = self.method.start(features)
        device = features[0].device
        return MeanState(state, torch.zeros((), device=device), torch.tensor(False, device=device))

    def step(
        self, features: Features, state: MeanState, motion: Motion, step_s: StepS
    ) -> tuple[torch.Tensor, MeanState]:
        """The mean (B, K, H/4, W/4) with the newest frame in it."""
        probs, inner = self.method.step(features, state.method, motion, step_s)
        probs = probs.float()  # a head alone gives bf16 where the products are in it
        mean = torch.where(state.seen, torch.lerp(probs, state.mean, self.weight), probs)
        return mean, MeanState(inner, mean, torch.ones_like(state.seen))

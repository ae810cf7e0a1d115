"""The floor that a temporal method has to clear: a running mean of a frame-by-frame method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from t2g_core.methods.method import Features, Method, State


class MeanState(NamedTuple):
    """The frame-by-frame method's own state, and the mean of the frames so far."""

    method: State
    mean: torch.Tensor | None  # (B, K, H/4, W/4)


class RunningMean:
    """p_t = w * p_{t-1} + (1 - w) * the method's probabilities of frame t; no motion, no parameter.

    A `Method` itself. The first frame's mean is its own probabilities.
    """

    clip_length = 1

    def __init__(self, method: Method, weight: float):
        """weight: w, the share of the past, from 0 to below 1; ValueError for another one."""
        if not 0 <= weight < 1:
            raise ValueError(f"running mean: expected a weight from 0 to below 1, got {weight}")
        if method.clip_length != 1:
            raise ValueError(
                "running mean: expected a frame-by-frame method, got one that reads "
                f"{method.clip_length} frames"
            )
        self.method, self.weight = method, weight
        self.cacheable = method.cacheable

    def encode(self, images: torch.Tensor) -> Features:
        """As the method does."""
        return self.method.encode(images)

    def split(self, features: Features) -> list[Features]:
        """As the method does."""
        return self.method.split(features)

    def start(self) -> MeanState:
        """No mean yet."""
        return MeanState(self.method.start(), None)

    def step(
        self, features: Features, state: MeanState, step_s: float
    ) -> tuple[torch.Tensor, MeanState]:
        """Features of the newest frame -> the mean (B, K, H/4, W/4) with it in it."""
        probs, inner = self.method.step(features, state.method, step_s)
        if state.mean is not None:
            probs = torch.lerp(probs, state.mean, self.weight)
        return probs, MeanState(inner, probs)

    def clip(self, features: Sequence[Features], step_s: float) -> list[torch.Tensor]:
        """A clip of frames as a stream that starts with it."""
        state, means = self.start(), []
        for frame in features:
            probs, state = self.step(frame, state, step_s)
            means.append(probs)
        return means

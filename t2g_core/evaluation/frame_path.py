# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What Time2General's frame path sees in each frame alone, beside the whole model."""

from __future__ import annotations

import torch

from t2g_core.methods.method import Features, Method, Motion, StepS
from t2g_core.methods.time2general.time2general import Time2General


class FramePath(Method):
    """The pixel classifier of a Time2General, frame by frame: no queries, no memory.

    Beside the whole it tells what those bring on one and the same frame path.
    """

    def __init__(self, whole: Method):
        """ValueError for a method without a frame path that gives masks by itself."""
        if not isinstance(whole, Time2General) or whole.head.pixel_classifier is None:
            raise ValueError(
                "the frame path alone: expected a model with a pixel classifier beside its queries"
            )
        super().__init__(whole.config, whole.encoder, whole.num_classes)
        self.whole = whole

    def encode(self, images: torch.Tensor) -> Features:
        """As the whole does."""
        return self.whole.encode(images)

    def step(
        self, features: Features, state: tuple[()], motion: Motion, step_s: StepS
    ) -> tuple[torch.Tensor, tuple[()]]:
        """Probabilities of the pixel classifier."""
        del motion, step_s
        return self.whole.classify_frames(features), state

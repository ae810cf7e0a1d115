"""What a method of video segmentation is to the code around it: it owns its encoding and its state.

The stream, the evaluation, recordings and the node know nothing else of a method. Time2General and
the frame-by-frame heads are methods; one that changes its encoder's inner features, or carries a
recurrent state instead of a buffer of frames, is another class with these members.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

Features = Any  # what a method makes of one frame before it looks at other frames
State = Any  # what a method keeps of the frames so far; a value that `step` never changes


class Method(Protocol):
    """A video segmenter without pixels' bookkeeping: normalised images in, probabilities out.

    clip_length: T, the most frames of a clip; 1 for a method that looks at each frame alone.
    cacheable: features depend on a frame and on frozen weights alone, so that training may keep
        them on disk, and checkpoints that share an encoder may share them.
    """

    clip_length: int
    cacheable: bool

    def encode(self, images: torch.Tensor) -> Features:
        """images (B, 3, H, W), normalised (`encoders.preprocess`) -> features of these frames."""

    def split(self, features: Features) -> list[Features]:
        """Features of B frames -> those of each frame alone."""

    def start(self) -> State:
        """The state before the first frame."""

    def step(self, features: Features, state: State, step_s: float) -> tuple[torch.Tensor, State]:
        """Features of the newest frame -> probabilities (B, K, H/4, W/4) and the next state.

        step_s: time since the frame that left the state [s], 0 where nobody knows.
        """

    def clip(self, features: Sequence[Features], step_s: float) -> list[torch.Tensor]:
        """Features of 1 to T frames, oldest first -> probabilities (B, K, H/4, W/4) of each.

        step_s: time between two of them [s].
        """

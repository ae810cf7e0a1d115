# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What runs the tensor parts of a method: PyTorch, or an exported graph's engine.

Between a runtime and the code around it go NumPy arrays and values that only the runtime reads.
Nothing in this package needs PyTorch or knows a method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from t2g_core.images.model_input import Prepared

Arrays = tuple[Any, ...]  # arrays or tensors of a runtime's own, each with the frame (B = 1) first


@dataclass(frozen=True)
class Labelling:
    """What a model's class ids mean, and the size of what it reads.

    input_size: width, height that give the area a frame is resized to. palette: RGB colours.
    source_confidence: mean probability of the winning class on the domain that the model was
    trained for [0..1]; None where nobody has measured it.
    """

    input_size: tuple[int, int]
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    source_confidence: float | None = None


class Runtime(Protocol):
    """One model, ready to run.

    device: what it runs on, as the commands' `--device` names it. precision: what its products are
    computed in. clip_length, recurrent: see `Method`. warnings: sentences on what was asked for
    and is not to be had, such as a GPU under `auto`.
    """

    device: str
    precision: str
    clip_length: int
    recurrent: bool
    warnings: tuple[str, ...]

    def prepare(self, frame: np.ndarray, size: tuple[int, int]) -> Prepared:
        """A frame (H, W, 3) uint8 RGB at the area of `size` (width, height)."""
        ...

    def motion(self, now: np.ndarray | None, before: np.ndarray | None) -> tuple[np.ndarray, ...]:
        """What happened between two frames, found by their motion images; B = 1."""
        ...

    def encode(self, images: np.ndarray) -> list[Arrays]:
        """images (B, h, w, 3) uint8 RGB -> the features of each."""
        ...

    def start(self, features: Arrays) -> Any:
        """The state before the first frame of a stream of such features."""
        ...

    def step(
        self, features: Arrays, state: Any, motion: tuple[np.ndarray, ...], step_s: float
    ) -> tuple[Any, Any]:
        """The newest frame -> its probabilities (1, K, h, w) and the next state; `state` stays."""
        ...

    def clip(
        self, features: Sequence[Arrays], motions: Sequence[tuple[np.ndarray, ...]], step_s: float
    ) -> list[Any]:
        """1 to T frames, oldest first -> probabilities (1, K, h, w) of each.

        Raises:
            ValueError: it can only stream.
        """
        ...

    def winners(self, probs: Any, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """probs (1, K, h, w) -> at (width, height), bilinear between: class ids (H, W) uint8 and
        the winner's probability (H, W) float32.

        Raises:
            FloatingPointError: a probability is NaN or infinite.
        """
        ...

    def memory_fill(self, state: Any) -> float | None:
        """Share of its memory that the method has filled; None where that means nothing."""
        ...

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Any method on overlapping windows of a frame, whose probabilities are averaged.

The usual inference of methods that train on square crops. A window is a stream of its own: its
state holds what that window has seen, and a motion is cut to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from t2g_core.images.model_input import PATCH, Prepared
from t2g_core.images.windows import Window, Windows, places
from t2g_core.methods.method import (
    Features,
    HostMotion,
    Method,
    Motion,
    State,
    StepS,
)


class SlidingWindows(Method):
    """A method that sees windows; between a frame's features come those of its windows.

    Features are (B, n, ...) for n windows, and last a tensor (B, h, w, 0) whose sides are those of
    the frame in patches.
    """

    def __init__(self, method: Method, windows: Windows):
        super().__init__(method.config, method.encoder, method.num_classes)
        self.method, self.windows = method, windows
        self.clip_length, self.recurrent = method.clip_length, method.recurrent

    def prepare(self, frame: np.ndarray, size: tuple[int, int]) -> Prepared:
        """As the method does."""
        return self.method.prepare(frame, size)

    def motion(self, now: np.ndarray | None, before: np.ndarray | None) -> HostMotion:
        """As the method does, of whole frames."""
        return self.method.motion(now, before)

    def encode(self, images: torch.Tensor) -> Features:
        """All windows of all images in one pass."""
        grid = images.shape[1] // PATCH, images.shape[2] // PATCH
        where = [window.slices(PATCH) for window in places(grid, self.windows)]
        cut = torch.stack([images[:, rows, columns] for rows, columns in where], dim=1)
        features = self.method.encode(cut.flatten(0, 1))
        frame = images.new_empty((len(images), *grid, 0))
        return (*(x.unflatten(0, cut.shape[:2]) for x in features), frame)

    def start(self, features: Features) -> State:
        """A state for every window."""
        return self.method.start(self._apart(features))

    def step(
        self, features: Features, state: State, motion: Motion, step_s: StepS
    ) -> tuple[torch.Tensor, State]:
        """Probabilities of the frame, and the windows' states."""
        motion, step_s = self._of_windows(features, motion, step_s)
        probs, state = self.method.step(self._apart(features), state, motion, step_s)
        return self._joined(features, probs), state

    def clip(
        self, features: Sequence[Features], motions: Sequence[Motion], step_s: StepS
    ) -> list[torch.Tensor]:
        """As the method decodes clips."""
        frames = [self._apart(frame) for frame in features]
        cut = [self._of_windows(f, m, step_s) for f, m in zip(features, motions, strict=True)]
        found = self.method.clip(frames, [motion for motion, _ in cut], cut[0][1])
        return [self._joined(f, probs) for f, probs in zip(features, found, strict=True)]

    def memory_fill(self, state: State) -> float | None:
        """As the method says."""
        return self.method.memory_fill(state)

    def parts(self) -> dict[str, torch.nn.Module]:
        """The method's."""
        return self.method.parts()

    def _apart(self, features: Features) -> Features:
        """The method's features, (B * n, ...)."""
        return tuple(x.flatten(0, 1) for x in features[:-1])

    def _places(self, features: Features) -> list[Window]:
        return places(_grid(features), self.windows)

    def _of_windows(
        self, features: Features, motion: Motion, step_s: StepS
    ) -> tuple[Motion, StepS]:
        """A frame's motion and step as its windows have them, (B * n, ...)."""
        found = self._places(features)
        cut = [self.method.cut_motion(motion, window, _grid(features)) for window in found]
        motions = tuple(torch.stack(parts, dim=1).flatten(0, 1) for parts in zip(*cut, strict=True))
        if isinstance(step_s, torch.Tensor) and step_s.ndim:
            step_s = step_s.repeat_interleave(len(found))
        return motions, step_s

    def _joined(self, features: Features, probs: torch.Tensor) -> torch.Tensor:
        """Probabilities (B * n, K, 4h', 4w') of windows -> their mean (B, K, 4h, 4w)."""
        height, width = _grid(features)
        found = self._places(features)
        sums = probs.new_zeros((len(features[-1]), probs.shape[1], 4 * height, 4 * width))
        counts = probs.new_zeros((4 * height, 4 * width))
        for window, part in zip(
            found, probs.unflatten(0, (-1, len(found))).unbind(dim=1), strict=True
        ):
            rows, columns = window.slices(4)
            sums[:, :, rows, columns] += part
            counts[rows, columns] += 1
        return sums / counts


def _grid(features: Features) -> tuple[int, int]:
    """Height and width of the frame in patches."""
    height, width = features[-1].shape[1:3]
    return height, width


def windowed(method: Method, windows: Windows | None) -> Method:
    """The method on windows; as it is for None."""
    return method if windows is None else SlidingWindows(method, windows)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""PyTorch as a runtime: a method on a device."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch.nn import functional as F

from t2g_core.device import AUTO, BF16, find_precision
from t2g_core.images.model_input import Prepared
from t2g_core.methods.method import Features, HostMotion, Method, State, split
from t2g_core.runtime.winners import NOT_FINITE, winners

STRIP_PIXELS = 1_000_000  # of all classes at once: those of an 8K image are 1.5 GB


class TorchRuntime:
    """A method in eval mode, which is not changed; see `Runtime`."""

    warnings: tuple[str, ...] = ()

    def __init__(self, method: Method, device: str = "cpu", precision: str = AUTO):
        """device: where the method is, as `find_device` names it. precision: what products are
        computed in, one of `device.PRECISIONS`.
        """
        self.method, self.device = method, device
        self.precision = find_precision(precision, device)
        self.clip_length, self.recurrent = method.clip_length, method.recurrent

    def with_method(self, method: Method) -> TorchRuntime:
        """Another method on the same device."""
        return TorchRuntime(method, self.device, self.precision)

    def prepare(self, frame: np.ndarray, size: tuple[int, int]) -> Prepared:
        """As the method does."""
        return self.method.prepare(frame, size)

    def motion(self, now: np.ndarray | None, before: np.ndarray | None) -> HostMotion:
        """As the method does."""
        return self.method.motion(now, before)

    def encode(self, images: np.ndarray) -> list[Features]:
        """All images in one pass."""
        return split(self.encode_batch(torch.from_numpy(images).to(self.device)))

    @torch.inference_mode()
    def encode_batch(self, images: torch.Tensor) -> Features:
        """images (B, h, w, 3) uint8 on the device -> the method's features of them."""
        with self.autocast():
            return self.method.encode(images)

    def start(self, features: Features) -> State:
        """As the method does."""
        return self.method.start(features)

    @torch.inference_mode()
    def step(
        self, features: Features, state: State, motion: HostMotion, step_s: float
    ) -> tuple[torch.Tensor, State]:
        """As the method does."""
        with self.autocast():
            return self.method.step(features, state, self._on_device(motion), step_s)

    @torch.inference_mode()
    def clip(
        self, features: Sequence[Features], motions: Sequence[HostMotion], step_s: float
    ) -> list[torch.Tensor]:
        """As the method does."""
        with self.autocast():
            return self.method.clip(features, [self._on_device(m) for m in motions], step_s)

    @torch.inference_mode()
    def winners(self, probs: torch.Tensor, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """On the device, from which a GPU sends a mask and not all probabilities."""
        if not torch.isfinite(probs).all():
            raise FloatingPointError(NOT_FINITE)
        probs = probs[0].float()
        return winners(probs.numpy(), size) if self.device == "cpu" else in_strips(probs, size)

    def memory_fill(self, state: State) -> float | None:
        """As the method says."""
        return self.method.memory_fill(state)

    def autocast(self) -> AbstractContextManager:
        """As in training: products in bfloat16, what needs more in float32 (Eq. 6)."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == BF16)

    def _on_device(self, motion: HostMotion) -> tuple[torch.Tensor, ...]:
        return tuple(torch.from_numpy(x).to(self.device) for x in motion)


def in_strips(probs: torch.Tensor, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """`runtime.winners.winners` on any device, all classes of some rows at once."""
    width, height = size
    wide = F.interpolate(probs[None], size=(probs.shape[1], width), mode="bilinear")[0]
    best = np.empty((height, width), np.float32)
    ids = np.empty((height, width), np.uint8)
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        strip_best, strip_ids = _rows_between(wide, height, rows).max(dim=0)
        best[rows] = strip_best.cpu().numpy()
        ids[rows] = strip_ids.to(torch.uint8).cpu().numpy()
    return ids, best


def _rows_between(maps: torch.Tensor, height: int, rows: slice) -> torch.Tensor:
    """Some rows of maps (K, h, W) resized bilinearly to `height` rows: (K, len(rows), W)."""
    places = torch.arange(rows.start, rows.stop, device=maps.device, dtype=torch.float32)
    places = ((places + 0.5) * maps.shape[1] / height - 0.5).clamp(0, maps.shape[1] - 1)
    above = places.floor().long()
    below = (above + 1).clamp(max=maps.shape[1] - 1)
    return torch.lerp(maps[:, above], maps[:, below], (places - above)[:, None].to(maps.dtype))

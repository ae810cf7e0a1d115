"""Frame-by-frame heads on the same frozen tokens: the floor a video method must clear."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.methods.time2general.motion_aware_mean import StepS
from t2g_core.methods.time2general.time2general import Prediction


@dataclass(frozen=True)
class FrameHeadConfig:
    """kind: `linear` (batch norm and 1x1) or `conv` (1x1 to dim, two 3x3, one doubling)."""

    kind: str
    dim: int = 256


class FrameHead(nn.Module):
    """A per-frame segmenter with the interface of Time2General and a memory of nothing."""

    clip_length = 1
    needs_structure = False

    def __init__(self, config: FrameHeadConfig, token_width: int, num_layers: int, classes: int):
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout2d(0.0)  # a training stage says how much
        width = num_layers * token_width
        if config.kind == "linear":
            self.head = nn.Sequential(
                nn.BatchNorm2d(width), self.dropout, nn.Conv2d(width, classes, 1)
            )
        elif config.kind == "conv":
            self.head = nn.Sequential(
                nn.Conv2d(width, config.dim, 1),
                nn.BatchNorm2d(config.dim),
                nn.ReLU(),
                nn.Conv2d(config.dim, config.dim, 3, padding=1),
                nn.BatchNorm2d(config.dim),
                nn.ReLU(),
                nn.Upsample(scale_factor=2, mode="bilinear"),
                nn.Conv2d(config.dim, config.dim, 3, padding=1),
                nn.BatchNorm2d(config.dim),
                nn.ReLU(),
                self.dropout,
                nn.Conv2d(config.dim, classes, 1),
            )
        else:
            raise ValueError(f"kind: expected linear or conv, got {config.kind!r}")

    def encode_frames(
        self, tokens: list[torch.Tensor], grid: tuple[int, int], structure: None = None
    ) -> tuple[torch.Tensor, None]:
        """tokens: one (B, N, C) a layer; grid (h, w) -> logits (B, K, H, W), nothing.

        H and W are h and w, twice as many for `conv`.
        """
        del structure
        maps = torch.cat(tokens, dim=-1).transpose(1, 2).unflatten(2, grid)
        return self.head(maps), None

    def set_dropout(self, share: float) -> None:
        """Of the channels that the classifier reads, in training."""
        self.dropout.p = share

    def temporal_parts(self) -> list[nn.Module]:
        """None: every part sees one frame."""
        return []

    def start(self) -> None:
        """Nothing is kept."""
        return

    def step(
        self, maps: torch.Tensor, memory: None, past: None, step_s: StepS = 0.0
    ) -> tuple[torch.Tensor, None]:
        """Class probabilities of the newest frame at stride 4, (B, K, H/4, W/4)."""
        del memory, past, step_s
        return self._probs(maps), None

    def _probs(self, maps: torch.Tensor) -> torch.Tensor:
        stride = 4 if self.config.kind == "linear" else 2
        logits = F.interpolate(maps, scale_factor=stride, mode="bilinear")
        return logits.softmax(dim=1)

    def classify_frames(self, tokens: list[torch.Tensor], grid: tuple[int, int]) -> Prediction:
        """Of B frames, each alone."""
        return Prediction(self._probs(self.encode_frames(tokens, grid)[0]))

    def forward(
        self, frames: list[tuple[torch.Tensor, None]], step_s: StepS = 0.0
    ) -> list[Prediction]:
        """A clip -> one Prediction a frame, without queries."""
        del step_s
        return [Prediction(self._probs(maps)) for maps, _ in frames]

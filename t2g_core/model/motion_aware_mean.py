"""The pixels' memory: a running mean of probabilities along the motion, with learned trust."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.model.image_motion import Motion, motion

OWN_CHANNELS = 8  # of what a frame tells the gates beside its probabilities
LONGEST_EVIDENCE = 3.0  # largest logarithm of a frame's evidence, either way


class Appearance(NamedTuple):
    """What a frame looks like, at stride 8: keys (B, c, h, w) of unit length, which tell whether
    two places show the same, own (B, 8, h, w) for the gates; and its image's `structure`
    (B, 4h, 4w), from which its motion is found. Without one nothing moves."""

    keys: torch.Tensor
    own: torch.Tensor
    structure: torch.Tensor | None = None

    def float(self) -> Appearance:
        """What is compared in full precision."""
        return Appearance(self.keys.float(), self.own.float(), self.structure)


class PixelMemory(NamedTuple):
    """What the frames so far have left: total (B, K, 2h, 2w) and weight (B, 1, 2h, 2w), numerator
    and denominator of the mean, and the last frame's appearance."""

    total: torch.Tensor
    weight: torch.Tensor
    appearance: Appearance


class MotionAwareMean(nn.Module):
    """p_t = (e_t q_t + r_t w(e p)_t-1) / (e_t + r_t w(e)_t-1), pixel by pixel.

    q_t: probabilities of frame t alone; w: the past moved to where its content is now; e_t: the
    evidence of a frame, low where fog or dirt hides it; r_t: how much of the past is kept, low
    where the content does not match. Evidence adds up over the frames, so that a frame that sees
    nothing changes nothing, and a filling memory is a seen case.

    A stream carries numerator and denominator on, so that a step costs the same however many
    frames have gone by.

    Untrained it is a running mean along the motion, with weight 0.73 on the past: the last layers
    of both gates start at zero but for one bias.

    The motion is optical flow of the images (`image_motion`): tokens are too coarse for it. Moved
    to within a pixel, a past of weight 0.73 costs no accuracy; unmoved it costs two points of mIoU.

    Departure from the paper, whose frames meet in the queries only: a query cannot give back what
    is hidden at one place of one frame.
    """

    def __init__(self, dim: int, key_dim: int = 32):
        """dim: d of the context at stride 8."""
        super().__init__()
        self.to_key = nn.Conv2d(dim, key_dim, 1)
        self.to_own = nn.Conv2d(dim, OWN_CHANNELS, 1)
        self.evidence = gate(OWN_CHANNELS + 1)
        self.retention = gate(2 * OWN_CHANNELS + 6, bias=1.0)

    def appearance(
        self, context: torch.Tensor, structure: torch.Tensor | None = None
    ) -> Appearance:
        """context (B, d, h, w) and the images' structure -> what the frames leave for others."""
        keys = self.to_key(context)
        keys = keys - keys.mean((2, 3), keepdim=True)  # what all places share tells none apart
        return Appearance(F.normalize(keys, dim=1), self.to_own(context), structure)

    def of_clip(
        self, probs: list[torch.Tensor], appearances: list[Appearance]
    ) -> list[torch.Tensor]:
        """probs: (B, K, 2h, 2w) of each frame alone, oldest first -> the mean at each of them."""
        means, past = [], None
        for q, now in zip(probs, appearances, strict=True):
            mean, past = self(q, now, past)
            means.append(mean)
        return means

    def forward(
        self, q: torch.Tensor, now: Appearance, past: PixelMemory | None
    ) -> tuple[torch.Tensor, PixelMemory]:
        """q: (B, K, 2h, 2w) of the newest frame alone -> the mean with it in it, and what is left.

        past: what the frame before has left, None before the first.
        """
        own, entropy = double(now.own), normalised_entropy(q)
        log_evidence = self.evidence(torch.cat([own, entropy], dim=1)) / LONGEST_EVIDENCE
        evidence = (LONGEST_EVIDENCE * log_evidence.tanh()).exp()
        total, weight = evidence * q, evidence
        if past is not None:
            flow, residual = motion_of(now, past.appearance)
            moved = warp(torch.cat([past.total, past.weight], dim=1), flow)
            old_total, old_weight = moved[:, :-1], moved[:, -1:]
            seen = warp(torch.cat([past.appearance.keys, past.appearance.own], dim=1), flow)
            match = (now.keys * seen[:, :-OWN_CHANNELS]).sum(1, keepdim=True)
            mean = old_total / old_weight
            inputs = [
                own, double(seen[:, -OWN_CHANNELS:]), entropy, normalised_entropy(mean),
                (q * mean).sum(1, keepdim=True), double(match), double(residual), old_weight.log(),
            ]  # fmt: skip
            retention = self.retention(torch.cat(inputs, dim=1)).sigmoid()
            total = total + retention * old_total
            weight = weight + retention * old_weight
        return total / weight, PixelMemory(total, weight, now)


def motion_of(now: Appearance, past: Appearance) -> Motion:
    """The motion between two frames, where their keys are; none without their structure."""
    if now.structure is None or past.structure is None:
        batch, _, height, width = now.keys.shape
        return Motion(
            now.keys.new_zeros(batch, 2, height, width), now.keys.new_zeros(batch, 1, height, width)
        )
    return Motion(*(x.to(now.keys) for x in motion(now.structure, past.structure)))


def gate(inputs: int, bias: float = 0.0) -> nn.Sequential:
    """(B, inputs, H, W) -> (B, 1, H, W), `bias` at first."""
    layers = nn.Sequential(nn.Conv2d(inputs, 16, 1), nn.GELU(), nn.Conv2d(16, 1, 1))
    nn.init.zeros_(layers[-1].weight)
    nn.init.constant_(layers[-1].bias, bias)
    return layers


def warp(maps: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """maps (B, C, h, w), read at each place plus its flow; beyond the image its edge goes on.

    flow (B, 2, h, w), or half as fine as the maps, and then its unit is two of their pixels.
    """
    height, width = maps.shape[-2:]
    scale = width // flow.shape[-1]
    flow = flow if scale == 1 else double(flow) * scale
    x = torch.arange(width, device=maps.device, dtype=flow.dtype) + 0.5
    y = torch.arange(height, device=maps.device, dtype=flow.dtype) + 0.5
    x = (x + flow[:, 0]) / width * 2 - 1
    y = (y[:, None] + flow[:, 1]) / height * 2 - 1
    grid = torch.stack([x, y], dim=-1)
    return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)


def double(maps: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) -> (B, C, 2h, 2w), bilinear."""
    return F.interpolate(maps, scale_factor=2, mode="bilinear")


def normalised_entropy(probs: torch.Tensor) -> torch.Tensor:
    """probs (B, K, H, W) -> entropy in shares of log K, (B, 1, H, W)."""
    entropy = -(probs * probs.clamp_min(1e-6).log()).sum(1, keepdim=True)
    return entropy / math.log(max(2, probs.shape[1]))

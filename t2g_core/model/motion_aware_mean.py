"""The pixels' memory: a running mean of probabilities along the motion, with learned trust."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

OWN_CHANNELS = 8  # of what a frame tells the gates beside its probabilities
LONGEST_EVIDENCE = 3.0  # largest logarithm of a frame's evidence, either way


class Appearance(NamedTuple):
    """What finds a frame's content again, at stride 8: keys (B, c, h, w) of unit length, and own
    (B, 8, h, w) for the gates."""

    keys: torch.Tensor
    own: torch.Tensor


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

    Untrained it is a running mean with weight 0.5 on the past and no motion: the last layers of
    both gates and the sharpness of the matching start at zero.

    Departure from the paper, whose frames meet in the queries only: a query cannot give back what
    is hidden at one place of one frame.
    """

    def __init__(self, dim: int, window: int, key_dim: int = 32):
        """dim: d of the context at stride 8; window: cells of stride 8 in which a place is looked
        for in the frame before, odd."""
        super().__init__()
        if window < 1 or window % 2 == 0:
            raise ValueError(f"window: expected an odd number of cells, got {window}")
        self.window = window
        self.to_key = nn.Conv2d(dim, key_dim, 1)
        self.to_own = nn.Conv2d(dim, OWN_CHANNELS, 1)
        self.sharpness = nn.Parameter(torch.zeros(()))
        self.evidence = gate(OWN_CHANNELS + 1)
        self.retention = gate(2 * OWN_CHANNELS + 5)

    def appearance(self, context: torch.Tensor) -> Appearance:
        """context (B, d, h, w) -> what the frame leaves for matching."""
        return Appearance(F.normalize(self.to_key(context), dim=1), self.to_own(context))

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
            flow = self.flow(now.keys, past.appearance.keys)
            moved = warp(torch.cat([past.total, past.weight], dim=1), flow)
            old_total, old_weight = moved[:, :-1], moved[:, -1:]
            seen = warp(torch.cat([past.appearance.keys, past.appearance.own], dim=1), flow)
            match = (now.keys * seen[:, :-OWN_CHANNELS]).sum(1, keepdim=True)
            mean = old_total / old_weight
            inputs = [
                own, double(seen[:, -OWN_CHANNELS:]), entropy, normalised_entropy(mean),
                (q * mean).sum(1, keepdim=True), double(match), old_weight.log(),
            ]  # fmt: skip
            retention = self.retention(torch.cat(inputs, dim=1)).sigmoid()
            total = total + retention * old_total
            weight = weight + retention * old_weight
        return total / weight, PixelMemory(total, weight, now)

    def flow(self, now: torch.Tensor, past: torch.Tensor) -> torch.Tensor:
        """Where each cell's content was in the frame before: (x, y) offsets in cells, (B, 2, h, w).

        The mean offset under a softmax of the keys' similarity over the window. now, past
        (B, c, h, w).
        """
        reach, (height, width) = self.window // 2, now.shape[-2:]
        padded = F.pad(past, [reach] * 4, mode="replicate")
        steps = torch.arange(-reach, reach + 1, device=now.device, dtype=now.dtype)
        similar = [
            (now * padded[:, :, y : y + height, x : x + width]).sum(1)
            for y in range(self.window)
            for x in range(self.window)
        ]
        found = (100 * self.sharpness * torch.stack(similar, dim=1)).softmax(dim=1)
        offsets = torch.stack([steps.repeat(self.window), steps.repeat_interleave(self.window)])
        return torch.einsum("bohw,co->bchw", found, offsets)


def gate(inputs: int) -> nn.Sequential:
    """(B, inputs, H, W) -> (B, 1, H, W), zero at first."""
    layers = nn.Sequential(nn.Conv2d(inputs, 16, 1), nn.GELU(), nn.Conv2d(16, 1, 1))
    nn.init.zeros_(layers[-1].weight)
    nn.init.zeros_(layers[-1].bias)
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

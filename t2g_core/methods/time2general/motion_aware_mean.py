# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The pixels' memory: a running mean of probabilities along the motion, with learned trust."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.images.motion import USUAL_STEP_S, Motion
from t2g_core.methods.method import StepS

MOST = 0.75  # of the past that is kept over a usual step: four frames' worth of memory at the most
STEPS_S = 0.01, 4.0  # the shortest and the longest step that the gate tells from others
REGION = 9  # cells of stride 8, a side of a place's neighbourhood


class PixelMemory(NamedTuple):
    """What the frames so far have left: their mean, how many of them are in it at each place, and
    the last frame's keys. Zeros before the first frame.
    """

    mean: torch.Tensor  # (B, K, 2h, 2w)
    weight: torch.Tensor  # (B, 1, 2h, 2w)
    keys: torch.Tensor  # (B, c, h, w)


class MotionAwareMean(nn.Module):
    """p_t = (q_t + r_t w(n p)_t-1) / n_t with n_t = 1 + r_t w(n)_t-1, pixel by pixel.

    q_t: probabilities of frame t alone; w: the past moved to where its content is now; r_t: how
    much of the past is kept, low where its content was not found again; n_t: how many frames are
    in the mean, so that a filling memory is a seen case.

    A stream carries mean and number on, so that a step costs the same however many frames have gone
    by.

    Untrained it is a running mean along the motion, with weight 0.71 on the past: the last layer of
    the gate starts at zero but for its bias. It never keeps more than three quarters: in training a
    still picture may be averaged without end, on a road small errors of the motion add up. Over
    longer steps it keeps at the most what is left after as many usual ones, 0.75^(step / usual
    step): the memory is as long in seconds for a slow camera as for a usual one, not in frames.

    The motion is optical flow of the images (`image_motion`): tokens are too coarse for it.

    The gate sees how well the past was found again, how long ago it was, and nothing of what was
    predicted: one that did fell behind the untrained mean in fog (docs/method.md). Time is what
    tells frost at 15 Hz from a clear street at 1 Hz: the past is found again equally badly in both,
    and is right in one.

    Departure from the paper, whose frames meet in the queries only: a query cannot give back what
    is hidden at one place of one frame.
    """

    def __init__(self, dim: int, key_dim: int = 32):
        """dim: d of the context at stride 8."""
        super().__init__()
        self.to_key = nn.Conv2d(dim, key_dim, 1)
        self.retention = nn.Sequential(nn.Conv2d(6, 16, 1), nn.GELU(), nn.Conv2d(16, 1, 1))
        nn.init.zeros_(self.retention[-1].weight)
        nn.init.constant_(self.retention[-1].bias, 3.0)

    def keys(self, context: torch.Tensor) -> torch.Tensor:
        """context (B, d, h, w) -> keys (B, c, h, w) of unit length at stride 8, which tell whether
        two places show the same.
        """
        keys = self.to_key(context)
        keys = keys - keys.mean((2, 3), keepdim=True)  # what all places share tells none apart
        return F.normalize(keys, dim=1)

    def empty(self, probs: torch.Size, keys: torch.Size, device: torch.device) -> PixelMemory:
        """The memory before the first frame, for probabilities and keys of these shapes."""
        batch, _, height, width = probs
        shapes = probs, (batch, 1, height, width), keys
        return PixelMemory(*(torch.zeros(shape, device=device) for shape in shapes))

    def of_clip(
        self,
        probs: list[torch.Tensor],
        keys: list[torch.Tensor],
        motions: list[Motion],
        step_s: StepS,
    ) -> list[torch.Tensor]:
        """probs: (B, K, 2h, 2w) of each frame alone, oldest first -> the mean at each of them.

        motions: of each frame against the one before it, the first one's is not read; step_s: time
        between two of them [s].
        """
        means = [probs[0]]
        past = PixelMemory(probs[0], torch.ones_like(probs[0][:, :1]), keys[0])
        for q, now, motion in zip(probs[1:], keys[1:], motions[1:], strict=True):
            mean, past = self(q, now, past, motion, step_s)
            means.append(mean)
        return means

    def forward(
        self, q: torch.Tensor, keys: torch.Tensor, past: PixelMemory, motion: Motion, step_s: StepS
    ) -> tuple[torch.Tensor, PixelMemory]:
        """q: (B, K, 2h, 2w) of the newest frame alone -> the mean with it in it, and what is left.

        keys (B, c, h, w): its keys; past: what the frame before has left; motion: against that
        frame, in cells of stride 8; step_s: how long ago it was [s], 0 where nobody knows.
        """
        flow, residual = motion
        match = (keys * warp(past.keys, flow)).sum(1, keepdim=True)
        moved = warp(torch.cat([past.mean, past.weight], dim=1), flow)
        mean, weight = moved[:, :-1], moved[:, -1:]
        found = torch.cat([match, residual], dim=1)
        found = double(torch.cat([found, around(found)], dim=1))
        seen = torch.where(weight > 0, weight, 1.0).log()  # nothing is kept of an empty memory
        steps = usual_steps(step_s, weight)
        inputs = torch.cat([found, seen, steps.log()], dim=1)
        kept = MOST ** steps.clamp(min=1.0) * self.retention(inputs).sigmoid() * weight
        mean = (q + kept * mean) / (1 + kept)
        return mean, PixelMemory(mean, 1 + kept, keys)


def usual_steps(step_s: StepS, like: torch.Tensor) -> torch.Tensor:
    """How many usual steps a step [s] takes; a map like `like`, (B, 1, H, W).

    Stamps that repeat or stand at zero tell nothing: 0 s is a usual step.
    """
    step_s = torch.as_tensor(step_s, dtype=like.dtype, device=like.device).reshape(-1, 1, 1, 1)
    step_s = torch.where(step_s > 0, step_s, USUAL_STEP_S).clamp(*STEPS_S)
    return (step_s / USUAL_STEP_S).expand_as(like)


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


def around(maps: torch.Tensor) -> torch.Tensor:
    """Each cell's neighbourhood: a match at one place is noise, over a region it tells whether the
    motion was found. (B, C, h, w) -> the same, averages.
    """
    return F.avg_pool2d(maps, REGION, 1, REGION // 2, count_include_pad=False)


def double(maps: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) -> (B, C, 2h, 2w), bilinear."""
    return F.interpolate(maps, scale_factor=2, mode="bilinear")

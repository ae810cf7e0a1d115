"""The pixels' memory: a running mean of probabilities along the motion, with learned trust."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.methods.time2general.image_motion import Motion, motion

MOST = 0.75  # of the past that is kept: four frames' worth of memory at the most
USUAL_STEP_S = 1 / 15  # between two frames, where nobody knows
STEPS_S = 0.01, 4.0  # the shortest and the longest step that the gate tells from others
REGION = 9  # cells of stride 8, a side of a place's neighbourhood


StepS = float | torch.Tensor  # of all B clips, or (B,) of each


class Appearance(NamedTuple):
    """What a frame looks like: keys (B, c, h, w) of unit length at stride 8, which tell whether two
    places show the same, and its image's `structure` (B, 4h, 4w), from which its motion is found.
    Without one nothing moves."""

    keys: torch.Tensor
    structure: torch.Tensor | None = None

    def float(self) -> Appearance:
        """What is compared in full precision."""
        return Appearance(self.keys.float(), self.structure)


class PixelMemory(NamedTuple):
    """What the frames so far have left: their mean (B, K, 2h, 2w), how many of them are in it at
    each place, weight (B, 1, 2h, 2w), and the last frame's appearance."""

    mean: torch.Tensor
    weight: torch.Tensor
    appearance: Appearance


class MotionAwareMean(nn.Module):
    """p_t = (q_t + r_t w(n p)_t-1) / n_t with n_t = 1 + r_t w(n)_t-1, pixel by pixel.

    q_t: probabilities of frame t alone; w: the past moved to where its content is now; r_t: how
    much of the past is kept, low where its content was not found again; n_t: how many frames are
    in the mean, so that a filling memory is a seen case.

    A stream carries mean and number on, so that a step costs the same however many frames have gone
    by.

    Untrained it is a running mean along the motion, with weight 0.71 on the past: the last layer of
    the gate starts at zero but for its bias. It never keeps more than three quarters: in training a
    still picture may be averaged without end, on a road small errors of the motion add up.

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

    def appearance(
        self, context: torch.Tensor, structure: torch.Tensor | None = None
    ) -> Appearance:
        """context (B, d, h, w) and the images' structure -> what the frames leave for others."""
        keys = self.to_key(context)
        keys = keys - keys.mean((2, 3), keepdim=True)  # what all places share tells none apart
        return Appearance(F.normalize(keys, dim=1), structure)

    def of_clip(
        self, probs: list[torch.Tensor], appearances: list[Appearance], step_s: StepS
    ) -> list[torch.Tensor]:
        """probs: (B, K, 2h, 2w) of each frame alone, oldest first -> the mean at each of them.

        step_s: time between two of them [s].
        """
        means, past = [], None
        for q, now in zip(probs, appearances, strict=True):
            mean, past = self(q, now, past, step_s)
            means.append(mean)
        return means

    def forward(
        self, q: torch.Tensor, now: Appearance, past: PixelMemory | None, step_s: StepS
    ) -> tuple[torch.Tensor, PixelMemory]:
        """q: (B, K, 2h, 2w) of the newest frame alone -> the mean with it in it, and what is left.

        past: what the frame before has left, None before the first; step_s: how long ago it was
        [s], 0 where nobody knows.
        """
        if past is None:
            return q, PixelMemory(q, torch.ones_like(q[:, :1]), now)
        flow, residual = motion_of(now, past.appearance)
        match = (now.keys * warp(past.appearance.keys, flow)).sum(1, keepdim=True)
        moved = warp(torch.cat([past.mean, past.weight], dim=1), flow)
        mean, weight = moved[:, :-1], moved[:, -1:]
        found = torch.cat([match, residual], dim=1)
        found = double(torch.cat([found, around(found)], dim=1))
        inputs = torch.cat([found, weight.log(), log_steps(step_s, weight)], dim=1)
        kept = MOST * self.retention(inputs).sigmoid() * weight
        mean = (q + kept * mean) / (1 + kept)
        return mean, PixelMemory(mean, 1 + kept, now)


def log_steps(step_s: StepS, like: torch.Tensor) -> torch.Tensor:
    """Logarithm of how many usual steps a step [s] takes; a map like `like`, (B, 1, H, W).

    Stamps that repeat or stand at zero tell nothing: 0 s is a usual step.
    """
    step_s = torch.as_tensor(step_s, dtype=like.dtype, device=like.device).reshape(-1, 1, 1, 1)
    step_s = torch.where(step_s > 0, step_s, USUAL_STEP_S).clamp(*STEPS_S)
    return (step_s / USUAL_STEP_S).log().expand_as(like)


def motion_of(now: Appearance, past: Appearance) -> Motion:
    """The motion between two frames, where their keys are; none without their structure."""
    if now.structure is None or past.structure is None:
        batch, _, height, width = now.keys.shape
        return Motion(
            now.keys.new_zeros(batch, 2, height, width), now.keys.new_zeros(batch, 1, height, width)
        )
    return Motion(*(x.to(now.keys) for x in motion(now.structure, past.structure)))


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
    motion was found. (B, C, h, w) -> the same, averages."""
    return F.avg_pool2d(maps, REGION, 1, REGION // 2, count_include_pad=False)


def double(maps: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) -> (B, C, 2h, 2w), bilinear."""
    return F.interpolate(maps, scale_factor=2, mode="bilinear")

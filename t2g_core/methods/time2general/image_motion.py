"""Where the content of a frame was in the frame before: dense optical flow of what fog leaves."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from t2g_core.encoders.preprocess import PIXEL_STD

CELL = 4  # pixels of half the frame
SMALLEST = 12  # pixels that a side of an image must have to be searched
BOX = 17  # pixels of half the frame over which contrast is made alike
NOISE = 2.0  # grey values; what varies less is no structure
SPREAD = 40.0  # grey values of one standard deviation afterwards
LUMA = (0.299, 0.587, 0.114)


class Motion(NamedTuple):
    """Of B frames against the frames before them, in cells of 8 pixels.

    flow (B, 2, h, w): (x, y) offsets in cells to where a cell's content was.
    residual (B, 1, h, w): mean difference of the two there, in standard deviations; large where
    something came into view and where the flow is wrong.
    """

    flow: torch.Tensor
    residual: torch.Tensor


def structure(images: torch.Tensor) -> torch.Tensor:
    """images (B, 3, H, W), normalised -> (B, H/2, W/2) uint8 on the CPU: grey, its local mean and
    contrast taken out.

    Haze, glare and shade change mean and contrast over long distances and from frame to frame; what
    is left of a scene under them moves as the scene does.
    """
    weights = torch.tensor(PIXEL_STD) * torch.tensor(LUMA) * 255
    grey = (images.float() * weights.to(images.device)[:, None, None]).sum(1)
    grey = F.avg_pool2d(grey, 2)
    found = []
    for frame in grey.cpu().numpy():
        detail = frame - cv2.blur(frame, (BOX, BOX))
        variance = cv2.blur(
            detail * detail, (BOX, BOX)
        )  # of running sums: rounding goes below zero
        spread = np.sqrt(np.maximum(variance, 0)) + NOISE
        found.append(np.clip(128 + SPREAD * detail / spread, 0, 255).astype(np.uint8))
    return torch.from_numpy(np.stack(found))


def motion(now: torch.Tensor, past: torch.Tensor) -> Motion:
    """now, past: (B, H/2, W/2), the `structure` of B frames and of the frames before them.

    Dense Inverse Search (Kroeger et al., ECCV 2016) as OpenCV has it, on the CPU. The tensors come
    out there.
    """
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    pairs = zip(now.cpu().numpy(), past.cpu().numpy(), strict=True)
    flows, residuals = zip(*(_motion_of_pair(search, *pair) for pair in pairs), strict=True)
    return Motion(
        torch.from_numpy(np.stack(flows)).movedim(-1, 1), torch.from_numpy(np.stack(residuals))
    )


def _motion_of_pair(
    search: cv2.DISOpticalFlow, now: np.ndarray, past: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) uint8 twice -> flow (H/4, W/4, 2) in cells and residual (1, H/4, W/4), float32."""
    height, width = now.shape
    cells = width // CELL, height // CELL
    if min(now.shape) < SMALLEST:  # nothing moves that could be seen to
        flow = np.zeros((height, width, 2), np.float32)
    else:
        flow = search.calc(now, past, None)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    there = cv2.remap(
        past, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    residual = cv2.resize(cv2.absdiff(now, there), cells, interpolation=cv2.INTER_AREA)
    flow = cv2.resize(flow, cells, interpolation=cv2.INTER_AREA) / CELL
    return flow, residual[None].astype(np.float32) / SPREAD

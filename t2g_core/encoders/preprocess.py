"""Pixels to what a frozen encoder reads: the size, the aspect ratio and the range."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch

PIXEL_MEAN = (0.485, 0.456, 0.406)  # what DINOv2 was trained with
PIXEL_STD = (0.229, 0.224, 0.225)


PATCH = 16  # pixels a token side


def fit_size(frame: tuple[int, int], budget: tuple[int, int]) -> tuple[int, int]:
    """Width and height that a frame is resized to: its own aspect ratio and the budget's area.

    frame, budget: width, height in pixels. Both results are multiples of 16, so that either is only
    about so; a frame of the budget's aspect ratio gets the budget itself. A very long one is
    squeezed rather than given more than a tenth above the budget.
    """
    scale = math.sqrt(budget[0] * budget[1] / (frame[0] * frame[1]))
    width, height = (max(PATCH, round(side * scale / PATCH) * PATCH) for side in frame)
    most = 1.1 * budget[0] * budget[1]
    if width * height > most:
        width = min(width, max(PATCH, int(most / height) // PATCH * PATCH))
        height = min(height, max(PATCH, int(most / width) // PATCH * PATCH))
    return width, height


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 at (width, height): averaging areas where it shrinks, bilinear else.

    Bilinear shrinking skips pixels, and what it skips changes with every small move of the camera.
    """
    shrinks = size[0] < image.shape[1] or size[1] < image.shape[0]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def normalise(images: torch.Tensor) -> torch.Tensor:
    """(..., H, W, 3) uint8 RGB -> (..., 3, H, W) float32 as the encoder expects."""
    mean = torch.tensor(PIXEL_MEAN, device=images.device) * 255
    std = torch.tensor(PIXEL_STD, device=images.device) * 255
    return ((images.float() - mean) / std).movedim(-1, -3)

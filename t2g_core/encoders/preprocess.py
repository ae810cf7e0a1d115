"""Pixels to what a frozen encoder reads."""

from __future__ import annotations

import torch

PIXEL_MEAN = (0.485, 0.456, 0.406)  # what DINOv2 was trained with
PIXEL_STD = (0.229, 0.224, 0.225)


def normalise(images: torch.Tensor) -> torch.Tensor:
    """(..., H, W, 3) uint8 RGB -> (..., 3, H, W) float32 as the encoder expects."""
    mean = torch.tensor(PIXEL_MEAN, device=images.device) * 255
    std = torch.tensor(PIXEL_STD, device=images.device) * 255
    return ((images.float() - mean) / std).movedim(-1, -3)

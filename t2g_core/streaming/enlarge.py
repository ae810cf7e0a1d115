"""From probabilities at stride 4 to the winning class of every pixel of the frame."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch.nn import functional as F

STRIP_PIXELS = 1_000_000  # of all classes at once: those of an 8K image are 1.5 GB


def winners(probs: torch.Tensor, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """probs (K, h, w) float32, K <= 255 -> at `size` (width, height), bilinear between: class ids
    (H, W) uint8 and the winner's probability (H, W) float32.

    On a processor class by class, which its caches hold: never more than two maps at full size.
    """
    return class_by_class(probs, size) if probs.device.type == "cpu" else in_strips(probs, size)


def class_by_class(probs: torch.Tensor, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """`winners` on a processor."""
    enlarged = (cv2.resize(p, size) for p in np.ascontiguousarray(probs.numpy()))
    best = next(enlarged)
    ids = np.zeros(best.shape, np.uint8)
    for number, p in enumerate(enlarged, start=1):
        greater = cv2.compare(p, best, cv2.CMP_GT)  # 255 where it is
        ids = cv2.max(ids, greater & np.uint8(number))  # no number before is larger
        cv2.max(best, p, dst=best)
    return ids, best


def in_strips(probs: torch.Tensor, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """`winners` on any device, all classes of some rows at once."""
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

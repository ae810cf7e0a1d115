# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Masked Temporal Consistency loss (paper section 3.4, Eq. 7 to 11)."""

from __future__ import annotations

import torch

from t2g_core.labels import IGNORE_INDEX

SUM_TOLERANCE = 0.01  # bfloat16 has steps of 0.004 below one


def masked_temporal_consistency_loss(
    probs: torch.Tensor,
    target: torch.Tensor,
    trim: float = 0.2,
    decay: float = 0.5,
    num_scales: int = 3,
    ignore_index: int = IGNORE_INDEX,
    from_logits: bool = False,
) -> torch.Tensor:
    """Penalty on probability changes where the label stays the same.

    probs (B, T, K, H, W): probabilities over K, of any per-frame segmenter; with from_logits its
        logits, of which the softmax is taken. Scores that already lie in [0, 1] are neither: a
        softmax over them shrinks a full flip from an L1 of 2.0 to about 0.2.
    target (B, T, H, W): class ids.
    trim: tau, the share of largest differences left out; decay: alpha; num_scales: S, frame
        distances 1, 2, 4, ...

    Returns a scalar in [0, 2]: the mean over valid scales of alpha^s times the trimmed mean of
    Eq. 7 over all stable pixels of all batches and times. A scale without a stable pixel is left
    out; without any, the result is a zero that still has a gradient.

    Raises:
        ValueError: shapes do not fit, trim is outside [0, 1], or probabilities do not sum to one
            over K.
    """
    if probs.dim() != 5 or target.shape != probs.shape[:2] + probs.shape[3:]:
        raise ValueError(
            f"expected probs (B, T, K, H, W) and target (B, T, H, W), got {tuple(probs.shape)} "
            f"and {tuple(target.shape)}"
        )
    if not 0.0 <= trim <= 1.0:
        raise ValueError(f"trim: expected a value in [0, 1], got {trim}")
    if from_logits:
        probs = probs.softmax(dim=2)
    check_sums(probs)
    terms = []
    for scale in range(num_scales):
        differences = stable_differences(probs, target, 2**scale, ignore_index)
        if differences.numel():
            terms.append(decay**scale * trimmed_mean(differences, trim))
    return torch.stack(terms).mean() if terms else probs.sum() * 0.0


def check_sums(probs: torch.Tensor) -> None:
    """Raise ValueError where probabilities (B, T, K, H, W) do not sum to one over K."""
    sums = probs.detach().sum(dim=2)
    low, high = sums.min().item(), sums.max().item()
    if not 1 - SUM_TOLERANCE <= low <= high <= 1 + SUM_TOLERANCE:
        raise ValueError(
            f"expected probabilities that sum to one over K, got sums from {low:.3g} to "
            f"{high:.3g}: logits need from_logits=True, scores a division by their sum"
        )


def stable_differences(
    probs: torch.Tensor, target: torch.Tensor, stride: int, ignore_index: int = IGNORE_INDEX
) -> torch.Tensor:
    """Eq. 7 to 9: L1 differences between frames `stride` apart at stable, valid pixels, (V,)."""
    if stride >= probs.shape[1]:
        return probs.new_empty(0)
    difference = (probs[:, stride:] - probs[:, :-stride]).abs().sum(dim=2)
    now, later = target[:, :-stride], target[:, stride:]
    return difference[(now == later) & (now != ignore_index)]


def trimmed_mean(values: torch.Tensor, trim: float) -> torch.Tensor:
    """Eq. 10: mean of the smallest (1 - trim) share of values (V,), V >= 1, at least one kept."""
    keep = max(1, int((1.0 - trim) * values.numel() + 1e-6))  # 0.8 * 5 must keep 4, not 3
    return values.sort().values[:keep].mean()  # torch.quantile has a size limit

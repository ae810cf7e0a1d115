# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The losses that every method has: of its probabilities, whatever they were made of."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from t2g_core.labels import IGNORE_INDEX
from t2g_core.losses.temporal_consistency_loss import masked_temporal_consistency_loss
from t2g_core.schedule import TrainConfig


def common_losses(
    probs: torch.Tensor, target: torch.Tensor, train: TrainConfig, class_weights: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Weighted losses by name: `pixel`, and `jaccard` and `mtc` where they weigh something.

    probs (B, T, K, H/4, W/4), summing to one over K; target (B, T, H, W) class ids, 255 void;
    class_weights (K,). `mtc` needs two frames or more.
    """
    losses = {"pixel": train.pixel_weight * pixel_loss(probs, target, class_weights)}
    if train.jaccard_weight:
        losses["jaccard"] = train.jaccard_weight * jaccard_loss(probs, target)
    if train.mtc_weight and target.shape[1] > 1:
        quarter = target[:, :, 2::4, 2::4]
        mtc = masked_temporal_consistency_loss(probs, quarter, train.mtc_trim)
        losses["mtc"] = train.mtc_weight * mtc
    return losses


def jaccard_loss(probs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """One minus the soft IoU, the mean over the classes that the batch holds, at stride 4.

    probs (B, T, K, H/4, W/4), target (B, T, H, W). Every class counts alike, however few pixels it
    has, as in the mIoU; cross-entropy alone gives poles and signs away. Intersection sum(p y) and
    union sum(p + y - p y), over all pixels with a label.
    """
    probs, target = probs.flatten(0, 1), target.flatten(0, 1)[:, 2::4, 2::4]
    known = (target != IGNORE_INDEX)[:, None]
    truth = F.one_hot(torch.where(known[:, 0], target, 0), probs.shape[1]).movedim(-1, 1) * known
    probs = probs * known
    overlap, sums = (probs * truth).sum((0, 2, 3)), (probs + truth).sum((0, 2, 3))
    there = truth.sum((0, 2, 3)) > 0
    if not there.any():
        return 0.0 * probs.sum()
    return (1 - (overlap + 1) / (sums - overlap + 1))[there].mean()


def pixel_loss(
    probs: torch.Tensor, target: torch.Tensor, class_weights: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of Eq. 6's output, at stride 2: labels are finer than stride 4.

    Mask2Former trains its masks only through the matching; with a few hundred labelled frames the
    direct term converges several times sooner. A batch without a labelled pixel costs zero, with a
    gradient.
    """
    logits = F.interpolate(probs.flatten(0, 1).log(), scale_factor=2, mode="bilinear")
    target = target.flatten(0, 1)[:, 1::2, 1::2]
    if (target == IGNORE_INDEX).all():
        return 0.0 * logits.sum()
    return F.cross_entropy(logits, target, class_weights, ignore_index=IGNORE_INDEX)

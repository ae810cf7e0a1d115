# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Segmentation loss on the set of queries: one Hungarian matching a clip, deep supervision.

As in Mask2Former (class 2, mask cross-entropy 5, dice 5, no-object 0.1, losses at sampled points),
with a clip where it has an image: one set of queries serves all frames, so a target is one class
over the whole clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from t2g_core.labels import IGNORE_INDEX
from t2g_core.schedule import MEAN, SUM

CLASS_WEIGHT, MASK_WEIGHT, DICE_WEIGHT, NO_OBJECT_WEIGHT = 2.0, 5.0, 5.0, 0.1


@dataclass(frozen=True)
class PointSamples:
    """Pixels at which the masks of one clip are compared.

    features (P, p): pixel embeddings, bilinear; target (P,): class ids, IGNORE_INDEX left out.
    """

    features: torch.Tensor
    target: torch.Tensor


def set_loss(
    class_logits: torch.Tensor,
    mask_embeddings: torch.Tensor,
    pixels: torch.Tensor,
    target: torch.Tensor,
    points: int,
    stages: str = MEAN,
) -> torch.Tensor:
    """Mean over the clips of the matched class, mask and dice losses.

    class_logits (B, stages, Q, K + 1), last: no object; mask_embeddings (B, stages, Q, p); pixels
    (B, T, p, h, w); target (B, T, H, W): class ids at the input's size; points: pixels sampled a
    frame; stages: `mean` or `sum` of those of the decoder's stages. A clip without a labelled point
    costs zero, with a gradient.
    """
    losses = []
    for b in range(target.shape[0]):
        samples = sample_points(pixels[b], target[b], points)
        if not len(samples.target):  # nothing is labelled: nothing is known, "no object" neither
            losses.append(0.0 * (class_logits[b].sum() + mask_embeddings[b].sum()))
            continue
        mask_logits = mask_embeddings[b] @ samples.features.T  # (stages, Q, P)
        for logits, masks in zip(class_logits[b], mask_logits, strict=True):
            losses.append(stage_loss(logits, masks, samples.target))
    mean = torch.stack(losses).mean()
    return mean * class_logits.shape[1] if stages == SUM else mean


def sample_points(pixels: torch.Tensor, target: torch.Tensor, points: int) -> PointSamples:
    """Half the points anywhere, half near label boundaries, where thin things live.

    pixels (T, p, h, w); target (T, H, W).
    """
    height, width = target.shape[-2:]
    near = near_boundary(target).flatten(1).float() + 1e-4
    chosen = torch.cat(
        [
            torch.randint(height * width, (len(target), points // 2), device=target.device),
            near.multinomial(points - points // 2, replacement=True),
        ],
        dim=1,
    )  # (T, P)
    labels = target.flatten(1).gather(1, chosen)
    x = (chosen % width + 0.5) / width * 2 - 1
    y = (chosen // width + 0.5) / height * 2 - 1
    grid = torch.stack([x, y], dim=-1)[:, :, None].to(pixels.dtype)
    features = F.grid_sample(pixels, grid, align_corners=False, padding_mode="border")[..., 0]
    features, labels = features.transpose(1, 2).flatten(0, 1), labels.flatten()
    valid = labels != IGNORE_INDEX
    return PointSamples(features[valid], labels[valid])


def near_boundary(target: torch.Tensor, reach: int = 3) -> torch.Tensor:
    """True within `reach` pixels of a change of class. target (T, H, W) -> bool (T, H, W)."""
    edge = torch.zeros_like(target, dtype=torch.float32)
    edge[:, :, 1:] += target[:, :, 1:] != target[:, :, :-1]
    edge[:, 1:] += target[:, 1:] != target[:, :-1]
    size = 2 * reach + 1
    return F.max_pool2d(edge[:, None], size, stride=1, padding=reach)[:, 0] > 0


def stage_loss(
    class_logits: torch.Tensor, mask_logits: torch.Tensor, target: torch.Tensor
) -> torch.Tensor:
    """class_logits (Q, K + 1), mask_logits (Q, P), target (P,): class ids without void."""
    classes = target.unique()
    masks = (target == classes[:, None]).float()  # (M, P), M classes present
    query, which = match(class_logits, mask_logits, classes, masks)
    wanted = torch.full((len(class_logits),), class_logits.shape[1] - 1, device=target.device)
    wanted[query] = classes[which].to(wanted.dtype)
    weight = torch.ones(class_logits.shape[1], device=target.device)
    weight[-1] = NO_OBJECT_WEIGHT
    loss = CLASS_WEIGHT * F.cross_entropy(class_logits, wanted, weight)
    if len(query):
        logits, masks = mask_logits[query], masks[which]
        loss = loss + MASK_WEIGHT * F.binary_cross_entropy_with_logits(logits, masks)
        loss = loss + DICE_WEIGHT * pairwise_dice(logits, masks).diagonal().mean()
    return loss


@torch.no_grad()
def match(
    class_logits: torch.Tensor,
    mask_logits: torch.Tensor,
    classes: torch.Tensor,
    masks: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hungarian matching of queries to the classes present: indices (M,) of both sides."""
    from scipy.optimize import linear_sum_assignment  # only a training needs SciPy

    cost = -CLASS_WEIGHT * class_logits.softmax(-1)[:, classes.long()]
    cost = cost + MASK_WEIGHT * pairwise_cross_entropy(mask_logits, masks)
    cost = cost + DICE_WEIGHT * pairwise_dice(mask_logits, masks)
    query, which = linear_sum_assignment(cost.float().cpu().numpy())
    device = class_logits.device
    return torch.as_tensor(query, device=device), torch.as_tensor(which, device=device)


def pairwise_cross_entropy(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of every query with every mask: (Q, P), (M, P) -> (Q, M)."""
    # softplus(x) - x * y is the cross-entropy of logit x with label y
    return (F.softplus(logits).sum(1, keepdim=True) - logits @ masks.T) / max(1, logits.shape[1])


def pairwise_dice(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """1 - dice of every query with every mask: (Q, P), (M, P) -> (Q, M)."""
    probs = logits.sigmoid()
    overlap = 2 * probs @ masks.T
    total = probs.sum(1, keepdim=True) + masks.sum(1)
    return 1 - (overlap + 1) / (total + 1)

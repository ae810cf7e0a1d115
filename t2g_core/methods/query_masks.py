# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""From queries that each have a class and a mask to probabilities of every pixel (paper Eq. 6)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def semantic_probs(
    class_logits: torch.Tensor, mask_embeddings: torch.Tensor, pixels: torch.Tensor
) -> torch.Tensor:
    """g of Eq. 6 as in Mask2Former: sum over queries of class probability times mask.

    class_logits (B, Q, K + 1), the last class is "no object" and dropped; mask_embeddings
    (B, Q, p); pixels (B, p, H, W). The scores are no logits: they are normalised over the classes,
    so that a softmax never shrinks a full label flip. Returns (B, K, H, W) float32, summing to one.
    In float32 also under autocast: bfloat16 has steps of 0.004 near one, and a change below them
    would have no gradient in the consistency loss.
    """
    with without_autocast(pixels.device):
        classes = class_logits.float().softmax(dim=-1)[..., :-1]  # (B, Q, K)
        masks = torch.einsum("bqp,bphw->bqhw", mask_embeddings.float(), pixels.float()).sigmoid_()
        scores = torch.einsum("bqk,bqhw->bkhw", classes, masks) + 1e-6
        return scores / scores.sum(dim=1, keepdim=True)


def without_autocast(device: torch.device) -> AbstractContextManager:
    """A region in full precision; on the meta device, which has no autocast, nothing."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)

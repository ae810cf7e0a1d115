# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""transformers' names of DINOv2 weights -> timm's names."""

from __future__ import annotations

import torch


def to_timm(named: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Weights of a `Dinov2Model` or `Dinov2Backbone` as timm's `VisionTransformer` calls them.

    named: tensors whose names begin with `prefix` (others are left out). The position embedding
    keeps its grid; query, key and value are stacked.

    Raises:
        KeyError: a weight is missing.
    """
    patch = f"{prefix}embeddings.patch_embeddings.projection"
    state = {
        "cls_token": named[f"{prefix}embeddings.cls_token"],
        "pos_embed": named[f"{prefix}embeddings.position_embeddings"],
        "patch_embed.proj.weight": named[f"{patch}.weight"],
        "patch_embed.proj.bias": named[f"{patch}.bias"],
        "norm.weight": named[f"{prefix}layernorm.weight"],
        "norm.bias": named[f"{prefix}layernorm.bias"],
    }
    layers = f"{prefix}encoder.layer."
    for i in sorted({int(n[len(layers) :].split(".")[0]) for n in named if n.startswith(layers)}):
        state |= _block(named, f"{layers}{i}", f"blocks.{i}")
    return state


def _block(named: dict[str, torch.Tensor], source: str, block: str) -> dict[str, torch.Tensor]:
    state = {
        f"{block}.ls1.gamma": named[f"{source}.layer_scale1.lambda1"],
        f"{block}.ls2.gamma": named[f"{source}.layer_scale2.lambda1"],
    }
    for kind in ("weight", "bias"):
        attention = f"{source}.attention"
        state[f"{block}.attn.qkv.{kind}"] = torch.cat(
            [named[f"{attention}.attention.{part}.{kind}"] for part in ("query", "key", "value")]
        )
        state[f"{block}.attn.proj.{kind}"] = named[f"{attention}.output.dense.{kind}"]
        for layer in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
            state[f"{block}.{layer}.{kind}"] = named[f"{source}.{layer}.{kind}"]
    return state

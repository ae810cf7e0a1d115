# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Depth Anything V2 as a second frozen encoder, read at the same blocks as the RGB encoder.

Its backbone is a DINOv2 of the RGB encoder's size with weights of its own, so it runs in timm's ViT
like the other; only the names of its weights, those of transformers, are translated.
Its depth head is not needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from t2g_core.encoders.dinov2_names import to_timm
from t2g_core.encoders.frozen_vit import AfterBlock, EncoderConfig, FrozenEncoder
from t2g_core.images.model_input import PATCH

REPOSITORIES = {  # of the same size as the RGB encoder
    "vit_small_patch14_dinov2": "depth-anything/Depth-Anything-V2-Small-hf",
    "vit_base_patch14_dinov2": "depth-anything/Depth-Anything-V2-Base-hf",
    "vit_large_patch14_dinov2": "depth-anything/Depth-Anything-V2-Large-hf",
}
FILE = "model.safetensors"
WAYS = (
    "Set depth.weights to `hub` (on a machine with a network), to a folder or file of "
    "Depth-Anything-V2-*-hf (its model.safetensors), or to `random` (tests and measurements)"
)


@dataclass(frozen=True)
class DepthConfig:
    """weights: `hub`, `random`, or the path of a folder or safetensors file in the hub's format.

    Size and blocks are those of the RGB encoder, also where that is a DINOv3.
    """

    weights: str = "hub"


class RGBDepthEncoder(nn.Module):
    """Both frozen encoders on the same normalised images, in the place of one FrozenEncoder."""

    def __init__(self, rgb: FrozenEncoder, depth: FrozenEncoder):
        super().__init__()
        self.rgb, self.depth = rgb, depth

    @property
    def width(self) -> int:
        """Channels C of a token, the same for both."""
        return self.rgb.width

    @property
    def num_blocks(self) -> int:
        """Blocks of each, of which `num_layers` are read."""
        return self.rgb.num_blocks

    @property
    def num_layers(self) -> int:
        """Blocks that are read of each."""
        return self.rgb.num_layers

    def parts(self) -> dict[str, nn.Module]:
        """By the name that `t2g info` and `t2g bench` print."""
        return {"RGB encoder": self.rgb, "depth encoder": self.depth}

    def forward(
        self,
        images: torch.Tensor,
        after_block: AfterBlock | None = None,
        recompute: bool = True,
    ) -> list[torch.Tensor]:
        """images (B, 3, H, W), normalised -> one (B, N, C) a layer, RGB first, then depth.

        after_block, recompute: of RGB tokens alone, see `FrozenEncoder.forward`.
        """
        return self.rgb(images, after_block, recompute) + self.depth(images)


def build_depth_encoder(
    rgb: EncoderConfig, config: DepthConfig, patch_size: int = PATCH
) -> FrozenEncoder:
    """The depth encoder that goes with an RGB encoder.

    Raises:
        ValueError: no Depth Anything V2 has this size, or the file does not fit it.
        FileNotFoundError: the path holds no weights.
        ConnectionError: `hub` without a network.
    """
    name = rgb.name.replace("patch16_dinov3", "patch14_dinov2")
    encoder = FrozenEncoder(replace(rgb, name=name, weights="random"), patch_size)
    if config.weights != "random":
        path = _find(name, config.weights)
        try:
            encoder.load(to_timm(load_file(path), "backbone."))
        except (SafetensorError, KeyError, RuntimeError) as error:
            raise ValueError(f"{path} is no Depth Anything V2 for {name}: {error}") from error
    return encoder


def _find(name: str, weights: str) -> Path:
    if weights == "hub":
        return _download(name)
    path = Path(weights)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"no depth weights {path}. {WAYS}")
    return path


def _download(name: str) -> Path:
    if name not in REPOSITORIES:
        raise ValueError(f"Depth Anything V2 comes in the sizes {list(REPOSITORIES)}, not {name}")
    try:
        return Path(hf_hub_download(REPOSITORIES[name], FILE))
    except Exception as error:  # the hub client raises many unrelated types
        raise ConnectionError(
            f"could not download {REPOSITORIES[name]}: {error}. {WAYS}"
        ) from error

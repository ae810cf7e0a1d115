# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Depth Anything V2: weights in the hub's format, read as transformers reads them."""

from __future__ import annotations

import huggingface_hub
import pytest
import torch
from small_model import ENCODER
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from t2g_core.encoders.depth_anything import DepthConfig, RGBDepthEncoder, build_depth_encoder
from t2g_core.encoders.frozen_vit import EncoderConfig, FrozenEncoder

SMALL = EncoderConfig("vit_small_patch14_dinov2", "random", (2, 5, 8, 11))
SIZES = {  # timm's name: width, blocks, heads
    "vit_small_patch14_dinov2": (384, 12, 6),
    "vit_base_patch14_dinov2": (768, 12, 12),
    "vit_large_patch14_dinov2": (1024, 24, 16),
}


def depth_anything(name: str) -> DepthAnythingForDepthEstimation:
    """The architecture of Depth-Anything-V2-*-hf with a tiny head and random weights."""
    width, blocks, heads = SIZES[name]
    backbone = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        image_size=518,
        patch_size=14,
        out_indices=[blocks // 4, blocks // 2, 3 * blocks // 4, blocks],
        reshape_hidden_states=False,
    )
    return DepthAnythingForDepthEstimation(
        DepthAnythingConfig(
            backbone_config=backbone,
            reassemble_hidden_size=width,
            neck_hidden_sizes=[8, 8, 8, 8],
            fusion_hidden_size=8,
            head_hidden_size=4,
        )
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple:
    """A small model and the folder that transformers saved it to."""
    torch.manual_seed(0)
    model = depth_anything("vit_small_patch14_dinov2").eval()
    with torch.no_grad():  # the same at every place: the two resample a grid differently
        positions = model.backbone.embeddings.position_embeddings
        positions[:, 1:] = positions[:, 1:2].clone()
        for name, parameter in model.backbone.named_parameters():
            if "lambda" in name or "norm" in name or name.endswith("bias"):
                parameter += 0.1 * torch.randn_like(parameter)
    folder = tmp_path_factory.mktemp("depth-anything")
    model.save_pretrained(folder)
    return model, folder


@torch.no_grad()
def test_tokens_are_those_of_transformers(saved):
    model, folder = saved
    images = torch.randn(2, 3, 28, 42)
    states = model.backbone(images, output_hidden_states=True).hidden_states
    for path in (folder, folder / "model.safetensors"):
        encoder = build_depth_encoder(SMALL, DepthConfig(str(path)), patch_size=14)
        tokens = encoder(images)
        assert [t.shape for t in tokens] == [(2, 6, 384)] * 4
        for block, found in zip(SMALL.blocks, tokens, strict=True):
            torch.testing.assert_close(found, states[block + 1][:, 1:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SIZES)
def test_every_size_has_the_rgb_encoders_architecture(name):
    """As many weights in S, B and L, counted without their memory."""
    with torch.device("meta"):
        source = depth_anything(name).backbone.state_dict()
        target = FrozenEncoder(EncoderConfig(name, "random", (0,)), patch_size=14)
    unused = ("embeddings.mask_token", "layernorm.weight", "layernorm.bias")
    counted = sum(t.numel() for n, t in source.items() if n not in unused)
    assert counted == sum(t.numel() for t in target.vit.state_dict().values())
    assert target.width == SIZES[name][0] and len(target.vit.blocks) == SIZES[name][1]


@torch.no_grad()
def test_rgb_comes_first_and_both_are_frozen():
    torch.manual_seed(0)
    rgb, depth = FrozenEncoder(ENCODER), build_depth_encoder(ENCODER, DepthConfig("random"))
    both = RGBDepthEncoder(rgb, depth).train()
    images = torch.randn(1, 3, 32, 48)
    tokens = both(images)
    assert both.width == rgb.width
    for found, wanted in zip(tokens, rgb(images) + depth(images), strict=True):
        torch.testing.assert_close(found, wanted)
    assert not any(p.requires_grad for p in both.parameters())
    assert not depth.vit.training


def test_a_dinov3_goes_with_the_depth_encoder_of_its_size():
    rgb = EncoderConfig("vit_small_patch16_dinov3", "random", (11,))
    with torch.device("meta"):
        depth = build_depth_encoder(rgb, DepthConfig("random"))
        tokens = RGBDepthEncoder(FrozenEncoder(rgb), depth)(torch.zeros(1, 3, 32, 48))
    assert depth.config.name == "vit_small_patch14_dinov2"
    assert [t.shape for t in tokens] == [(1, 6, 384)] * 2


def test_without_a_network_the_ways_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ConnectionError, match="Depth-Anything-V2-Small-hf.*`hub`.*folder.*`random`"
    ):
        build_depth_encoder(SMALL, DepthConfig("hub"))


def test_what_is_no_weight_file_is_named(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match="no depth weights .*absent"):
        build_depth_encoder(SMALL, DepthConfig(str(tmp_path / "absent")))
    with pytest.raises(FileNotFoundError, match="no depth weights .*model.safetensors"):
        build_depth_encoder(SMALL, DepthConfig(str(tmp_path)))  # an empty folder
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ValueError, match="is no Depth Anything V2 for vit_small"):
        build_depth_encoder(SMALL, DepthConfig(str(tmp_path)))
    with pytest.raises(ValueError, match="is no Depth Anything V2 for vit_tiny"):
        build_depth_encoder(ENCODER, DepthConfig(str(saved[1])))
    with pytest.raises(ValueError, match="comes in the sizes"):
        build_depth_encoder(ENCODER, DepthConfig("hub"))

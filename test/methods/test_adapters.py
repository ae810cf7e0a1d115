# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""REIN, FADA and DepthForge: their published sizes, their identities, and where gradients go."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_model import ADAPTERS, ENCODER, small_config, small_method, stages

from t2g_core.config import load_config
from t2g_core.encoders.depth_anything import DepthConfig
from t2g_core.encoders.frozen_vit import EncoderConfig
from t2g_core.methods.adapters.adapter_method import AdapterMethod
from t2g_core.methods.adapters.depthforge import DepthForgeConfig, Refinement
from t2g_core.methods.adapters.fada import FadaCodeAdapter
from t2g_core.methods.adapters.haar import haar, inverse_haar
from t2g_core.methods.adapters.mask2former_head import Mask2FormerConfig, Mask2FormerHead
from t2g_core.methods.method import ClipBatch, encode_tokens
from t2g_core.training.train import make_optimizer
from t2g_core.training.training_loss import TrainingLoss

CLASSES = 11


def batch_of(method: AdapterMethod, clips: int = 1, frames: int = 1) -> ClipBatch:
    """Clips of noise whose labels are blocks."""
    torch.manual_seed(3)
    images = torch.randint(0, 256, (clips, frames, 64, 96, 3), dtype=torch.uint8)
    blocks = torch.randint(0, CLASSES, (4, 6)).repeat_interleave(16, 0).repeat_interleave(16, 1)
    features: tuple = ()
    if method.cacheable:
        with torch.no_grad():
            kept = method.frozen_features(images.flatten(0, 1))
            features = tuple(x.unflatten(0, (clips, frames)) for x in kept)
    return ClipBatch(
        features, images, blocks.expand(clips, frames, -1, -1), None, torch.full((clips,), 0.1)
    )


def scaled(method: AdapterMethod, scale: float) -> AdapterMethod:
    """With this scale of what the adapter adds to the patch tokens."""
    with torch.no_grad():
        method.adapter.scale.fill_(scale)
    return method


def begun(name: str) -> AdapterMethod:
    """With a scale that is large enough to be seen."""
    return scaled(small_method(name), 0.3)


def trained(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ("rein_vitl", 23_568_849),
        ("fada_code_vitl", 22_640_593),
        ("depthforge_vitl", 27_905_554),
        ("depthforge_nodepth_vitl", 27_905_554),
    ],
)
def test_the_published_size_has_the_published_number_of_parameters(config, count):
    config = load_config(f"config/rivals/{config}.yaml").without_weights()
    with torch.device("meta"):
        method = config.build_method(config.build_encoder("meta"), 15)
    assert trained(method) == count


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_scale_of_zero_gives_the_plain_encoder_and_another_does_not(name):
    images = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    method = scaled(small_method(name), 0.0)
    wanted = encode_tokens(getattr(method.encoder, "rgb", method.encoder), images)
    with torch.no_grad():
        for found, plain in zip(method.encode(images)[:4], wanted, strict=True):
            torch.testing.assert_close(found, plain, atol=1e-6, rtol=0)
        assert not torch.allclose(scaled(method, 0.3).encode(images)[0], wanted[0])


@pytest.mark.parametrize("name", ADAPTERS)
def test_images_of_a_batch_are_independent(name):
    method = begun(name)
    images = torch.randint(0, 256, (3, 64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        together, _ = method.step(method.encode(images), (), (), 0.1)
        for i in range(3):
            alone, _ = method.step(method.encode(images[i : i + 1]), (), (), 0.1)
            torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_step_moves_every_weight_but_the_frozen_ones(name):
    method, config, (stage,) = begun(name), small_config(name).train, stages(1)
    frozen = {n: x.clone() for n, x in method.encoder.state_dict().items()}
    begin = {n: p.detach().clone() for n, p in method.named_parameters() if p.requires_grad}
    optimizer = make_optimizer(method.train(), stage, config, None)
    for group in optimizer.param_groups:
        group["lr"] = 1e-3
    loss = TrainingLoss(method, config, torch.ones(CLASSES))
    for _ in range(2):  # offsets begin at zero, and what they are made of moves after them
        sum(loss(batch_of(method, 2), stage).values()).backward()
        optimizer.step()
    assert all(torch.equal(frozen[n], x) for n, x in method.encoder.state_dict().items())
    parameters = dict(method.named_parameters())
    assert [n for n in begin if torch.equal(begin[n], parameters[n])] == []


def test_rates_and_decay_are_those_of_the_groups():
    config = small_config("rein")
    method = small_method("rein")
    method.config = replace(config.method, adapter_rate=0.25)
    found = {}
    for group in make_optimizer(method, stages(1)[0], config.train, None).param_groups:
        found |= {id(p): (group["rate"], group["weight_decay"]) for p in group["params"]}
    named = {name: found[id(p)] for name, p in method.named_parameters() if p.requires_grad}
    assert named["adapter.tokens.a"] == named["adapter.scale"] == (0.25, 0)
    assert named["adapter.read.to_delta.weight"] == (0.25, 0.05)
    assert named["adapter.to_queries.project.weight"] == (1, 0.05)
    assert named["head.pixel_decoder.level_embedding"] == (1, 0)
    assert named["head.query_decoder.layers.0.ffn_norm.weight"] == (1, 0)
    assert named["head.query_decoder.to_class.weight"] == (1, 0.05)


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("recompute", [True, False])
def test_the_gradient_at_block_0_agrees_with_a_finite_difference(name, recompute):
    method = begun(name).double()
    images = torch.rand(1, 3, 64, 96, dtype=torch.float64)
    torch.manual_seed(5)
    direction = torch.randn(1, 24, 192, dtype=torch.float64)

    def loss(step: torch.Tensor) -> torch.Tensor:
        def rewrite(number: int, patches: torch.Tensor, *depth: torch.Tensor) -> torch.Tensor:
            patches = patches + step * direction if number == 0 else patches
            return method.adapter((4, 6), number, patches, *depth)

        return method.encoder(images, rewrite, recompute)[-1].square().mean()

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(step), step)
    with torch.no_grad():
        small = torch.tensor(1e-4, dtype=torch.float64)
        difference = (loss(small) - loss(-small)) / 2e-4
    assert difference.abs() > 1e-6
    torch.testing.assert_close(gradient, difference, rtol=0.01, atol=0)


def test_the_haar_transform_and_its_inverse_are_the_identity():
    maps = torch.randn(2, 6, 10, 3)
    bands = haar(maps)
    assert bands.shape == (2, 4, 3, 5, 3)
    torch.testing.assert_close(inverse_haar(bands, (6, 10)), maps, atol=1e-6, rtol=0)
    torch.testing.assert_close(bands.square().sum(), maps.square().sum())  # orthonormal
    assert (haar(torch.ones(1, 4, 4, 1))[:, 1:] == 0).all()  # what is flat has no high band
    odd = torch.randn(1, 5, 7, 3)
    torch.testing.assert_close(inverse_haar(haar(odd), (5, 7)), odd, atol=1e-6, rtol=0)


def test_the_code_form_transforms_within_a_token():
    method = begun("fada_code")
    patches = torch.randn(2, 24, 192)
    bands = method.adapter.bands(patches)
    rows = patches[1, 5].view(6, 32)
    low = 0.5 * (rows[0::2, 0::2] + rows[0::2, 1::2] + rows[1::2, 0::2] + rows[1::2, 1::2])
    torch.testing.assert_close(bands[1, 5, :48], low.flatten(), atol=1e-6, rtol=0)
    torch.testing.assert_close(bands.square().sum(), patches.square().sum())
    with pytest.raises(ValueError, match="multiples of 64, got 100"):
        FadaCodeAdapter(ADAPTERS["fada_code"], 2, 100)


@pytest.mark.parametrize("grid", [(3, 5), (7, 4), (1, 1)])
@pytest.mark.parametrize("name", ADAPTERS)
def test_any_grid_will_do(name, grid):
    method = begun(name)
    images = torch.randint(0, 256, (1, 16 * grid[0], 16 * grid[1], 3), dtype=torch.uint8)
    with torch.no_grad():
        probs, _ = method.step(method.encode(images), (), (), 0.1)
    assert probs.shape == (1, CLASSES, 4 * grid[0], 4 * grid[1])
    torch.testing.assert_close(probs.sum(1), torch.ones_like(probs[:, 0]))


def test_without_depth_depthforge_is_rein_and_with_it_it_is_not():
    forge, rein = begun("depthforge"), begun("rein")
    forge.adapter.load_state_dict(rein.adapter.state_dict())
    patches, depth = torch.randn(2, 24, 192), torch.randn(2, 24, 192)
    with torch.no_grad():
        wanted = rein.adapter((4, 6), 3, patches)
        zero = forge.adapter((4, 6), 3, patches, torch.zeros_like(depth))
        torch.testing.assert_close(zero, wanted, atol=1e-6, rtol=0)
        assert torch.equal(forge.adapter((4, 6), 3, patches), wanted)
        assert not torch.allclose(forge.adapter((4, 6), 3, patches, depth), wanted, atol=1e-6)


@pytest.mark.parametrize("stride", [4, 16])
def test_a_refinement_that_fuses_to_zero_is_none(stride):
    refinement, grid = Refinement(64, stride), (4, 6)
    maps = [torch.randn(1, 64, *grid) for _ in range(4)]
    torch.nn.init.zeros_(refinement.fuse.weight)
    torch.nn.init.zeros_(refinement.fuse.bias)
    torch.manual_seed(0)
    head = Mask2FormerHead(ADAPTERS["rein"].head, 64, CLASSES)
    queries = torch.randn(12, 64)
    with torch.no_grad():
        plain, refined = (head(x, grid, queries) for x in (maps, refinement(maps, grid)))
    for found, wanted in zip(refined, plain, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_depthforge_without_depth_weights_is_refused(tmp_path):
    with pytest.raises(ValueError, match="depthforge_nodepth"):
        DepthForgeConfig()
    config = replace(small_config("depthforge"), encoder=EncoderConfig())
    absent = replace(config.method, depth=DepthConfig(str(tmp_path / "absent")))
    with pytest.raises(FileNotFoundError, match="no depth weights"):
        replace(config, method=absent).build_encoder()


def test_kept_depth_tokens_give_what_live_ones_give():
    method = begun("depthforge")
    batch = batch_of(method, clips=2, frames=2)
    with torch.no_grad():
        for kept, live in zip(
            method.encode_batch(batch), method.encode(batch.images.flatten(0, 1)), strict=True
        ):
            torch.testing.assert_close(kept, live, atol=1e-5, rtol=0)


def test_faulty_sizes_are_named():
    with pytest.raises(ValueError, match="expected two tokens or more.*got 1 and 16"):
        ADAPTERS["rein"].__class__(tokens=1)
    with pytest.raises(ValueError, match="refine_stride: expected 4 or 16, got 8"):
        replace(ADAPTERS["depthforge_nodepth"], refine_stride=8)
    with pytest.raises(ValueError, match="dim: expected a multiple of 32 and of heads, 8, got 100"):
        Mask2FormerConfig(dim=100)
    config = small_config("rein")
    with pytest.raises(ValueError, match="trains frame_path: expected all"):
        replace(config, train=small_config().train)


def test_the_encoder_must_be_read_at_four_blocks():
    config = replace(small_config("rein"), encoder=replace(ENCODER, blocks=(5, 11)))
    with pytest.raises(ValueError, match=r"encoder.blocks: expected 4.*got 2"):
        config.build_method(config.build_encoder(), CLASSES)

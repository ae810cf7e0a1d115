"""REIN, FADA and DepthForge: their published sizes, their identities, and where gradients go."""

from __future__ import annotations

import pytest
import torch
from small_model import small_config, small_method, stages

from t2g_core.config import load_config
from t2g_core.methods.adapters.adapter_method import AdapterMethod
from t2g_core.methods.method import ClipBatch, encode_tokens
from t2g_core.training.train import make_optimizer
from t2g_core.training.training_loss import TrainingLoss

CLASSES = 11
ADAPTERS = ("rein",)


def batch_of(method: AdapterMethod, clips: int = 1, frames: int = 1) -> ClipBatch:
    """Clips of noise whose labels are blocks."""
    torch.manual_seed(3)
    images = torch.randint(0, 256, (clips, frames, 64, 96, 3), dtype=torch.uint8)
    blocks = torch.randint(0, CLASSES, (4, 6)).repeat_interleave(16, 0).repeat_interleave(16, 1)
    return ClipBatch(
        (), images, blocks.expand(clips, frames, -1, -1), None, torch.full((clips,), 0.1)
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


@pytest.mark.parametrize(("config", "count"), [("rein_vitl", 23_568_849)])
def test_the_published_size_has_the_published_number_of_parameters(config, count):
    config = load_config(f"config/rivals/{config}.yaml").without_weights()
    with torch.device("meta"):
        method = config.build_method(config.build_encoder("meta"), 15)
    assert trained(method) == count


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_scale_of_zero_gives_the_plain_encoder_and_another_does_not(name):
    images = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    method = scaled(small_method(name), 0.0)
    wanted = encode_tokens(method.encoder, images)[:4]  # RGB alone
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
    assert method.adapter.undecayed() and all(
        any(p is one for one in optimizer.param_groups[1]["params"])
        for p in method.adapter.undecayed()
    )
    assert optimizer.param_groups[1]["weight_decay"] == 0


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("recompute", [True, False])
def test_the_gradient_at_block_0_agrees_with_a_finite_difference(name, recompute):
    method = begun(name).double()
    images = torch.rand(1, 3, 64, 96, dtype=torch.float64)
    torch.manual_seed(5)
    direction = torch.randn(1, 24, 192, dtype=torch.float64)

    def loss(step: torch.Tensor) -> torch.Tensor:
        def rewrite(number: int, patches: torch.Tensor) -> torch.Tensor:
            patches = patches + step * direction if number == 0 else patches
            return method.adapter(number, patches, (4, 6))

        return method.encoder(images, rewrite, recompute)[-1].square().mean()

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(step), step)
    with torch.no_grad():
        small = torch.tensor(1e-4, dtype=torch.float64)
        difference = (loss(small) - loss(-small)) / 2e-4
    assert difference.abs() > 1e-6
    torch.testing.assert_close(gradient, difference, rtol=0.01, atol=0)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The pixels' memory: a running mean where nothing is learned, and what can be learned."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from t2g_core.images.motion import USUAL_STEP_S, Motion, motion, structure
from t2g_core.methods.time2general.motion_aware_mean import MotionAwareMean, PixelMemory, warp

STEP_S = USUAL_STEP_S
CLASSES, HEIGHT, WIDTH = 3, 4, 6  # cells of stride 8; probabilities are twice as fine


def random_probs(frames: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    shape = (2, CLASSES, 2 * HEIGHT, 2 * WIDTH)
    return [torch.randn(shape).mul(3).softmax(dim=1) for _ in range(frames)]


def keys_of(module: MotionAwareMean, frames: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [module.keys(torch.randn(2, 8, HEIGHT, WIDTH)) for _ in range(frames)]


def still(batch: int = 2, height: int = HEIGHT, width: int = WIDTH) -> Motion:
    return Motion(torch.zeros(batch, 2, height, width), torch.zeros(batch, 1, height, width))


def of_clip(module: MotionAwareMean, probs: list[torch.Tensor], step_s) -> list[torch.Tensor]:
    """The means of a clip in which nothing moves."""
    return module.of_clip(probs, keys_of(module, len(probs)), [still()] * len(probs), step_s)


def empty(module: MotionAwareMean, probs: torch.Tensor, keys: torch.Tensor) -> PixelMemory:
    return module.empty(probs.shape, keys.shape, probs.device)


@pytest.mark.parametrize(("steps", "most"), [(1, 0.75), (3, 0.75**3), (0.5, 0.75)])
def test_untrained_it_is_a_running_mean_as_long_in_seconds_at_slower_rates(steps, most):
    """p = (q_3 + r q_2 + r^2 q_1) / (1 + r + r^2), whatever frames look like."""
    module = MotionAwareMean(8)
    first, second, third = probs = random_probs(3)
    means = of_clip(module, probs, steps * USUAL_STEP_S)
    r = most * torch.tensor(3.0).sigmoid()
    torch.testing.assert_close(means[0], first)
    torch.testing.assert_close(means[1], (second + r * first) / (1 + r))
    expected = (third + r * second + r * r * first) / (1 + r + r * r)
    torch.testing.assert_close(means[2], expected)


def test_every_parameter_can_be_learned():
    """Once the layer that starts at zero has moved, all others have a gradient too."""
    torch.manual_seed(2)
    module = MotionAwareMean(8)
    torch.nn.init.constant_(module.retention[-1].weight, 0.1)
    probs = [p.requires_grad_() for p in random_probs(3)]
    of_clip(module, probs, STEP_S)[-1][:, 0].sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    assert all(p.grad.abs().sum() > 0 for p in probs)


def moved(maps: torch.Tensor, x: int, y: int) -> torch.Tensor:
    return maps.roll((y, x), dims=(-2, -1))


@pytest.mark.parametrize(("x", "y"), [(0, 0), (1, 0), (-2, 1)])
def test_maps_are_read_where_the_flow_points(x, y):
    """A flow in cells of stride 8, maps of stride 4: two of their pixels a cell."""
    torch.manual_seed(3)
    fine = torch.rand(1, 2, 16, 18)
    flow = torch.tensor([-x, -y], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, 8, 9)
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    expected = moved(fine, 2 * x, 2 * y)
    torch.testing.assert_close(warp(fine, flow)[inner], expected[inner], atol=1e-5, rtol=0)


def test_the_past_follows_the_motion_of_the_images():
    """Everything moves by a cell; with structure the past is where it belongs, without it is
    not.
    """
    torch.manual_seed(5)
    module = MotionAwareMean(8)
    with torch.no_grad():
        module.retention[-1].bias.fill_(20.0)  # all that may be kept
    size, classes = (16, 24), 3  # cells
    picture = np.random.default_rng(0).integers(0, 256, (34, 50, 3), dtype=np.uint8)
    picture = cv2.resize(picture, (200, 136), interpolation=cv2.INTER_NEAREST)
    probs = torch.rand(1, classes, 2 * size[0], 2 * size[1]).mul(9).softmax(dim=1)
    keys = module.keys(torch.randn(1, 8, *size))
    found = motion(structure(picture[:128, 8:200]), structure(picture[:128, :192]))
    found = Motion(*(torch.from_numpy(x) for x in found))
    uniform = torch.full_like(probs, 1 / classes)
    inner = (slice(None), slice(None), slice(6, -6), slice(6, -6))
    errors = []
    for seen in (found, still(1, *size)):
        _, past = module(probs, keys, empty(module, probs, keys), still(1, *size), STEP_S)
        mean, _ = module(uniform, keys, past, seen, STEP_S)
        back = (1.75 * mean - uniform) / 0.75  # what came from the past
        errors.append((back - moved(probs, -2, 0))[inner].abs().mean())
    assert errors[0] < 0.1 * errors[1]


def test_what_is_not_found_again_is_forgotten():
    """A gate that keeps what matches: half of the keys are the same, the others opposite."""
    module = MotionAwareMean(8)
    with torch.no_grad():
        for parameter in module.retention.parameters():
            parameter.zero_()
        module.retention[0].weight[0, 0] = 10.0  # the match at the place itself
        module.retention[0].bias[0] = 10.0
        module.retention[-1].weight[0, 0] = 2.0
        module.retention[-1].bias.fill_(-20.0)
    first, second = random_probs(2)
    keys = keys_of(module, 1)[0]
    turned = keys.clone()
    turned[..., : WIDTH // 2] *= -1
    _, past = module(first, keys, empty(module, first, keys), still(), STEP_S)
    mean, after = module(second, turned, past, still(), STEP_S)
    lost, kept = (..., slice(0, WIDTH - 2)), (..., slice(WIDTH + 2, None))
    torch.testing.assert_close(mean[lost], second[lost])
    torch.testing.assert_close(mean[kept], ((second + 0.75 * first) / 1.75)[kept])
    torch.testing.assert_close(after.weight[kept], torch.full_like(after.weight[kept], 1.75))


def test_a_stream_that_carries_its_state_on_gives_the_means_of_the_clip():
    torch.manual_seed(4)
    module = MotionAwareMean(8)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    probs, keys = random_probs(4), keys_of(module, 4)
    clip = module.of_clip(probs, keys, [still()] * 4, STEP_S)
    past = start = empty(module, probs[0], keys[0])
    for q, now, expected in zip(probs, keys, clip, strict=True):
        mean, past = module(q, now, past, still(), STEP_S)
        torch.testing.assert_close(mean, expected, atol=0, rtol=0)
    alone, _ = module(probs[-1], keys[-1], start, still(), STEP_S)
    assert not torch.allclose(mean, alone, atol=1e-3)


def test_an_empty_memory_leaves_the_first_frame_as_it_is_wherever_things_seem_to_move():
    module = MotionAwareMean(8)
    (first,), (keys,) = random_probs(1), keys_of(module, 1)
    torch.manual_seed(6)
    anywhere = Motion(torch.randn(2, 2, HEIGHT, WIDTH), torch.rand(2, 1, HEIGHT, WIDTH))
    mean, after = module(first, keys, empty(module, first, keys), anywhere, 0.0)
    assert torch.equal(mean, first) and torch.equal(after.mean, first)
    assert (after.weight == 1).all() and torch.equal(after.keys, keys)


def means_after(step_s) -> torch.Tensor:
    """The second of two frames under a gate that looks at the time alone."""
    module = MotionAwareMean(8)
    with torch.no_grad():
        for parameter in module.retention.parameters():
            parameter.zero_()
        module.retention[0].weight[0, 5] = 1.0
        module.retention[-1].weight[0, 0] = -2.0
    return of_clip(module, random_probs(2), step_s)[1]


def test_the_gate_sees_how_long_ago_the_past_was():
    first, second = random_probs(2)
    short, long = (means_after(step_s) for step_s in (USUAL_STEP_S, 1.0))
    assert (short - second).abs().mean() > 5 * (long - second).abs().mean()
    both = means_after(torch.tensor([USUAL_STEP_S, 1.0]))  # each clip of a batch has its own
    torch.testing.assert_close(both, torch.stack([short[0], long[1]]))


@pytest.mark.parametrize(("step_s", "same_as"), [(0.0, USUAL_STEP_S), (3600.0, 4.0), (1e-9, 0.01)])
def test_a_step_that_nobody_knows_or_believes_is_a_usual_or_the_nearest_one(step_s, same_as):
    torch.testing.assert_close(means_after(step_s), means_after(same_as))

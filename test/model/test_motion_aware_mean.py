"""The pixels' memory: a running mean where nothing is learned, and what can be learned."""

from __future__ import annotations

import pytest
import torch

from t2g_core.model.image_motion import structure
from t2g_core.model.motion_aware_mean import Appearance, MotionAwareMean, warp

CLASSES, HEIGHT, WIDTH = 3, 4, 6  # cells of stride 8; probabilities are twice as fine


def random_probs(frames: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    shape = (2, CLASSES, 2 * HEIGHT, 2 * WIDTH)
    return [torch.randn(shape).mul(3).softmax(dim=1) for _ in range(frames)]


def appearances(module: MotionAwareMean, frames: int) -> list[Appearance]:
    torch.manual_seed(1)
    return [module.appearance(torch.randn(2, 8, HEIGHT, WIDTH)) for _ in range(frames)]


def test_untrained_it_is_a_running_mean():
    """p = (q_3 + r q_2 + r^2 q_1) / (1 + r + r^2) with r = sigmoid(1), whatever frames look
    like."""
    module = MotionAwareMean(8)
    first, second, third = probs = random_probs(3)
    means = module.of_clip(probs, appearances(module, 3))
    r = torch.tensor(1.0).sigmoid()
    torch.testing.assert_close(means[0], first)
    torch.testing.assert_close(means[1], (second + r * first) / (1 + r))
    expected = (third + r * second + r * r * first) / (1 + r + r * r)
    torch.testing.assert_close(means[2], expected)


def test_every_parameter_can_be_learned():
    """Once the layers that start at zero have moved, all others have a gradient too."""
    torch.manual_seed(2)
    module = MotionAwareMean(8)
    for parameter in (module.evidence[-1].weight, module.retention[-1].weight):
        torch.nn.init.constant_(parameter, 0.1)
    probs = [p.requires_grad_() for p in random_probs(3)]
    module.of_clip(probs, appearances(module, 3))[-1][:, 0].sum().backward()
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
    """Everything moves by a cell; with structure the past is where it belongs, without it is not.

    Almost only the past counts: the newest frame has next to no evidence.
    """
    torch.manual_seed(5)
    module = MotionAwareMean(8)
    with torch.no_grad():
        module.retention[-1].bias.fill_(20.0)
        module.evidence[-1].weight.zero_()
    size, classes = (16, 24), 3  # cells
    image = torch.nn.functional.interpolate(torch.randn(1, 3, 34, 50), scale_factor=4)
    probs = torch.rand(1, classes, 2 * size[0], 2 * size[1]).mul(9).softmax(dim=1)
    context = torch.randn(1, 8, *size)
    seen = structure(image[..., :128, :192]), structure(image[..., :128, 8:200])
    uniform = torch.full_like(probs, 1 / classes)
    inner = (slice(None), slice(None), slice(6, -6), slice(6, -6))
    errors = []
    for pair in (seen, (None, None)):
        _, past = module(probs, module.appearance(context, pair[0]), None)
        mean, _ = module(uniform, module.appearance(context, pair[1]), past)
        back = 2 * mean - uniform  # equal weights
        errors.append((back - moved(probs, -2, 0))[inner].abs().mean())
    assert errors[0] < 0.1 * errors[1]


def test_a_frame_without_evidence_changes_nothing():
    """Frame 2 sees nothing (own channel 0 set): the mean of three is the mean of the other two."""
    module = MotionAwareMean(8)
    with torch.no_grad():
        for parameter in module.evidence.parameters():
            parameter.zero_()
        module.evidence[0].weight[0, 0] = 1.0  # own channel 0 to the first hidden channel
        module.evidence[-1].weight[0, 0] = -1.0
        module.retention[-1].bias.fill_(20.0)  # all of the past is kept
    probs, found = random_probs(3), appearances(module, 3)
    with torch.no_grad():
        for look, blind in zip(found, (0.0, 1e6, 0.0), strict=True):
            look.own.zero_()
            look.own[:, 0] = blind
        mean = module.of_clip(probs, found)[-1]
    least = torch.tensor(-3.0).exp()  # a frame's evidence is never quite nothing
    expected = (probs[0] + least * probs[1] + probs[2]) / (2 + least)
    torch.testing.assert_close(mean, expected, atol=1e-4, rtol=0)


def test_a_stream_that_carries_its_state_on_gives_the_means_of_the_clip():
    torch.manual_seed(4)
    module = MotionAwareMean(8)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    probs, found = random_probs(4), appearances(module, 4)
    past = None
    for q, now, expected in zip(probs, found, module.of_clip(probs, found), strict=True):
        mean, past = module(q, now, past)
        torch.testing.assert_close(mean, expected, atol=0, rtol=0)
    assert not torch.allclose(mean, module(probs[-1], found[-1], None)[0], atol=1e-3)

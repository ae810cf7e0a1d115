"""The pixels' memory: a running mean where nothing is learned, and what can be learned."""

from __future__ import annotations

import pytest
import torch

from t2g_core.model.motion_aware_mean import Appearance, MotionAwareMean, warp

CLASSES, HEIGHT, WIDTH = 3, 4, 6  # cells of stride 8; probabilities are twice as fine


def random_probs(frames: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    shape = (2, CLASSES, 2 * HEIGHT, 2 * WIDTH)
    return [torch.randn(shape).mul(3).softmax(dim=1) for _ in range(frames)]


def appearances(module: MotionAwareMean, frames: int) -> list[Appearance]:
    torch.manual_seed(1)
    return [module.appearance(torch.randn(2, 8, HEIGHT, WIDTH)) for _ in range(frames)]


def test_untrained_it_is_a_running_mean_with_half_on_the_past():
    """p = (q_3 + q_2 / 2 + q_1 / 4) / (1 + 1/2 + 1/4), of frames whose looks have nothing in
    common."""
    module = MotionAwareMean(8, window=5)
    first, second, third = probs = random_probs(3)
    means = module.of_clip(probs, appearances(module, 3))
    torch.testing.assert_close(means[0], first)
    torch.testing.assert_close(means[1], (2 * second + first) / 3)
    torch.testing.assert_close(means[2], (4 * third + 2 * second + first) / 7)


def test_every_parameter_can_be_learned():
    """Once the layers that start at zero have moved, all others have a gradient too."""
    torch.manual_seed(2)
    module = MotionAwareMean(8, window=3)
    for parameter in (module.sharpness, module.evidence[-1].weight, module.retention[-1].weight):
        torch.nn.init.constant_(parameter, 0.1)
    probs = [p.requires_grad_() for p in random_probs(3)]
    module.of_clip(probs, appearances(module, 3))[-1][:, 0].sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    assert all(p.grad.abs().sum() > 0 for p in probs)


def moved(maps: torch.Tensor, x: int, y: int) -> torch.Tensor:
    return maps.roll((y, x), dims=(-2, -1))


@pytest.mark.parametrize(("x", "y"), [(0, 0), (1, 0), (-2, 1)])
def test_content_is_found_where_it_has_moved(x, y):
    """A picture shifted by whole cells: the flow points back, the warped past is the picture."""
    torch.manual_seed(3)
    module = MotionAwareMean(8, window=5)
    torch.nn.init.constant_(module.sharpness, 1.0)
    past = torch.nn.functional.normalize(torch.randn(1, 32, 8, 9), dim=1)
    flow = module.flow(moved(past, x, y), past)
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    expected = torch.tensor([-x, -y], dtype=torch.float32).view(1, 2, 1, 1).expand_as(flow)
    torch.testing.assert_close(flow[inner], expected[inner], atol=0.02, rtol=0)
    fine = torch.rand(1, 2, 16, 18)
    back = warp(fine, expected)
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    torch.testing.assert_close(back[inner], moved(fine, 2 * x, 2 * y)[inner], atol=1e-5, rtol=0)


def test_a_frame_without_evidence_changes_nothing():
    """Frame 2 sees nothing (own channel 0 set): the mean of three is the mean of the other two."""
    module = MotionAwareMean(8, window=1)
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
    module = MotionAwareMean(8, window=3)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    probs, found = random_probs(4), appearances(module, 4)
    past = None
    for q, now, expected in zip(probs, found, module.of_clip(probs, found), strict=True):
        mean, past = module(q, now, past)
        torch.testing.assert_close(mean, expected, atol=0, rtol=0)
    assert not torch.allclose(mean, module(probs[-1], found[-1], None)[0], atol=1e-3)


@pytest.mark.parametrize("window", [0, 2])
def test_a_window_without_a_middle_is_refused(window):
    with pytest.raises(ValueError, match=f"expected an odd number of cells, got {window}"):
        MotionAwareMean(8, window)

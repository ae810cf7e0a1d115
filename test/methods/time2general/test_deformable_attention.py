# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Deformable attention against hand-made cases and a loop that follows the definition."""

from __future__ import annotations

import math

import pytest
import torch

from t2g_core.methods.time2general.deformable_attention import DeformableMemoryAttention, sample
from t2g_core.methods.time2general.memory_decoder import SpatioTemporalMemoryDecoder

SIZES = [(4, 6), (2, 3), (1, 2)]
TOKENS = sum(h * w for h, w in SIZES)
NOTHING = torch.zeros(1, 1)  # added to the logits of every frame


def attention() -> DeformableMemoryAttention:
    """d = 8, 2 heads, all weights random."""
    torch.manual_seed(0)
    module = DeformableMemoryAttention(8, 2, len(SIZES))
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


def at(image: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """Bilinear value of image (h, w, d) at x, y in [0, 1]; off the image: its edge."""
    height, width = image.shape[:2]
    x, y = (min(max(v * n - 0.5, 0), n - 1) for v, n in ((x, width), (y, height)))
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    x, y = x - left, y - top
    return (
        (1 - x) * (1 - y) * image[top, left]
        + x * (1 - y) * image[top, right]
        + (1 - x) * y * image[bottom, left]
        + x * y * image[bottom, right]
    )


def slow(module: DeformableMemoryAttention, queries, memory, by_age) -> torch.Tensor:
    """One query (d,) on memory (T, N, d): every token projected first, one point at a time."""
    heads, width = module.heads, len(queries) // module.heads
    reference = module.to_reference(queries).sigmoid()
    found, logits = [], []
    for t, frame in enumerate(memory):
        values = module.to_value(frame + by_age[t])  # W(M + e)
        offsets = module.to_offset(queries + by_age[t]).view(heads, len(SIZES), -1, 2)
        logits.append(module.to_weight(queries + by_age[t]).view(heads, -1))
        for h in range(heads):
            for (height, w), level, at_level in zip(
                SIZES, values.split([a * b for a, b in SIZES]), offsets[h], strict=True
            ):
                image = level.view(height, w, -1)[..., h * width : (h + 1) * width]
                found += [
                    at(image, reference[0] + dx / w, reference[1] + dy / height)
                    for dx, dy in at_level
                ]
    weights = torch.stack(logits, dim=1).flatten(1).softmax(-1)  # (h, T * scales * points)
    found = torch.stack(found).view(len(memory), heads, -1, width).transpose(0, 1).flatten(1, 2)
    return module.out((weights[..., None] * found).sum(1).flatten())


@torch.no_grad()
def test_equals_a_loop_over_heads_frames_scales_and_points():
    module = attention()
    queries, memory = torch.randn(2, 3, 8), torch.randn(2, 2, TOKENS, 8)
    by_age = torch.randn(2, 8)
    read = module(queries, list(memory.unbind(1)), by_age, SIZES, NOTHING)
    for b in range(2):
        for q in range(3):
            expected = slow(module, queries[b, q], memory[b], by_age)
            torch.testing.assert_close(read[b, q], expected, atol=1e-4, rtol=1e-4)


def test_samples_by_hand():
    """A 1x2 picture with values 0 and 8, two frames, two points a head."""
    level = torch.tensor([[[[0.0], [8.0]], [[0.0], [16.0]]]])  # (1, T=2, N=2, 1)
    # frame 0: centre of the left token, middle between both; frame 1: right token, far off right
    x = torch.tensor([[0.25, 0.5], [0.75, 3.0]])
    points = torch.stack([x, torch.full_like(x, 0.5)], dim=-1)[None, None, :, None]
    weights = torch.tensor([[0.1, 0.2], [0.3, 0.4]])[None, None, :, None]
    # 0.1 * 0 + 0.2 * 4 + 0.3 * 16 + 0.4 * 16
    torch.testing.assert_close(sample(level, (1, 2), points, weights).item(), 12.0)


def test_x_runs_along_the_width():
    level = torch.arange(6.0).view(1, 1, 6, 1)  # 2 rows, 3 columns
    corner = torch.tensor([5 / 6, 1 / 4]).view(1, 1, 1, 1, 1, 2)  # last column, first row
    assert sample(level, (2, 3), corner, torch.ones(1, 1, 1, 1, 1)).item() == pytest.approx(2.0)


@torch.no_grad()
def test_untrained_points_lie_in_rings_and_count_alike():
    module = DeformableMemoryAttention(8, 8, 3)
    points, weights = module.points_and_weights(
        torch.randn(1, 2, 8), torch.randn(2, 8), SIZES, NOTHING
    )
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / (2 * 3 * 4)))
    reference = module.to_reference(torch.zeros(8)).sigmoid()
    points, _ = module.points_and_weights(torch.zeros(1, 1, 8), torch.zeros(1, 8), SIZES, NOTHING)
    offset = (points[0, 0, 0] - reference) * torch.tensor([[6, 4], [3, 2], [2, 1]])[:, None]
    torch.testing.assert_close(offset[0, 0], torch.tensor([[p, 0.0] for p in (1, 2, 3, 4)]))
    torch.testing.assert_close(offset[1, 2, 1], torch.tensor([2.0, 2.0]))  # 45 degrees, 2nd point
    assert math.isclose(offset[4, 0, 3, 0].item(), -4.0, rel_tol=1e-5)


def test_gradients_reach_every_weight():
    module = attention()
    queries, memory = torch.randn(1, 3, 8), torch.randn(1, 2, TOKENS, 8, requires_grad=True)
    module(
        queries, list(memory.unbind(1)), torch.randn(2, 8), SIZES, NOTHING
    ).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in module.parameters())
    assert memory.grad.isfinite().all() and memory.grad.abs().sum() > 0


@torch.no_grad()
def test_decoder_keeps_each_token_once_and_age_matters():
    torch.manual_seed(0)
    module = SpatioTemporalMemoryDecoder(8, 2, 16, 2, 4, num_scales=3, attention="deformable")
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    clip = [[torch.randn(1, h * w, 8) for h, w in SIZES] for _ in range(3)]
    memory = [module.to_memory(scales) for scales in clip]
    assert {kept.shape for kept in memory} == {(1, TOKENS, 8)}
    states = module(torch.randn(5, 8), memory, SIZES)
    assert [s.shape for s in states] == [(1, 5, 8)] * 3
    flipped = module(states[0][0], memory[::-1], SIZES)
    assert not torch.allclose(flipped[-1], states[-1])


def test_another_attention_is_named():
    with pytest.raises(ValueError, match="dense or deformable, got 'sparse'"):
        SpatioTemporalMemoryDecoder(8, 2, 16, 2, 4, num_scales=2, attention="sparse")

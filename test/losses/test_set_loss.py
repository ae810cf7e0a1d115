# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The matching and its losses."""

from __future__ import annotations

import math

import pytest
import torch

from t2g_core.losses.set_loss import (
    match,
    near_boundary,
    pairwise_cross_entropy,
    pairwise_dice,
    sample_points,
    set_loss,
    stage_loss,
)


def clip_of_two_frames() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Class logits, mask embeddings, and the pixels of both frames."""
    torch.manual_seed(0)
    classes = torch.randn(1, 2, 5, 4, requires_grad=True)
    embeddings = torch.randn(1, 2, 5, 6, requires_grad=True)
    return classes, embeddings, torch.randn(1, 2, 6, 8, 8, requires_grad=True)


def test_every_output_gets_a_finite_gradient():
    clip = clip_of_two_frames()
    target = torch.zeros(1, 2, 32, 32, dtype=torch.int64)
    target[..., 16:] = 2
    set_loss(*clip, target, points=64).backward()
    for tensor in clip:
        assert torch.isfinite(tensor.grad).all() and tensor.grad.abs().sum() > 0
    assert (clip[2].grad.abs().sum(dim=(0, 2, 3, 4)) > 0).all()  # of both frames


def test_stages_are_averaged_or_added_up():
    """Mask2Former's frameworks add the losses of all ten outputs; a mean weighs a tenth of it."""
    target = torch.zeros(1, 2, 32, 32, dtype=torch.int64)
    target[..., 16:] = 2
    found = {}
    for stages in ("mean", "sum"):
        clip = clip_of_two_frames()
        torch.manual_seed(1)  # the sampled points
        found[stages] = set_loss(*clip, target, 64, stages).item()
    assert found["sum"] == pytest.approx(clip[0].shape[1] * found["mean"])  # two stages


def test_a_clip_without_a_label_costs_zero_with_a_gradient():
    clip = clip_of_two_frames()
    loss = set_loss(*clip, torch.full((1, 2, 32, 32), 255), points=64)
    loss.backward()
    assert loss == 0 and clip[0].grad.abs().sum() == 0


def test_pairwise_costs_by_hand():
    logits = torch.tensor([[0.0, math.log(3)]])  # probabilities 1/2 and 3/4
    masks = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    expected = torch.tensor(
        [[(math.log(2) + math.log(4)) / 2, (math.log(2) + math.log(4 / 3)) / 2]]
    )
    torch.testing.assert_close(pairwise_cross_entropy(logits, masks), expected)
    # dice with one added on both sides: 1 - (2 * overlap + 1) / (5/4 + 1 + 1)
    torch.testing.assert_close(
        pairwise_dice(logits, masks), torch.tensor([[1 - 8 / 13, 1 - 10 / 13]])
    )


def test_pairwise_cross_entropy_equals_torch():
    torch.manual_seed(0)
    logits, masks = torch.randn(4, 50), (torch.rand(3, 50) > 0.5).float()
    expected = torch.stack(
        [
            torch.stack([torch.nn.functional.binary_cross_entropy_with_logits(q, m) for m in masks])
            for q in logits
        ]
    )
    torch.testing.assert_close(pairwise_cross_entropy(logits, masks), expected)


def test_matching_gives_each_class_its_own_best_query():
    masks = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    mask_logits = torch.stack([torch.zeros(4), 10 - 20 * masks[0], 10 - 20 * masks[1]])
    query, which = match(torch.zeros(3, 6), mask_logits, torch.tensor([2, 4]), masks)
    # query 1 draws the complement of mask 0, which is mask 1, and the other way round
    assert dict(zip(query.tolist(), which.tolist(), strict=True)) == {1: 1, 2: 0}


def test_a_perfect_prediction_costs_next_to_nothing_and_a_wrong_class_much():
    target = torch.tensor([2, 2, 4, 4])
    masks = torch.stack([target == 2, target == 4]).float() * 40 - 20
    mask_logits = torch.cat([masks, torch.full((1, 4), -20.0)])
    right, wrong = torch.full((3, 6), -20.0), torch.full((3, 6), -20.0)
    right[0, 2] = right[1, 4] = right[2, 5] = 20.0
    wrong[0, 3] = wrong[1, 3] = wrong[2, 5] = 20.0
    assert stage_loss(right, mask_logits, target).item() == pytest.approx(0.0, abs=1e-4)
    assert stage_loss(wrong, mask_logits, target).item() > 20.0


def test_points_follow_their_pixels_and_leave_void_out():
    torch.manual_seed(0)
    target = torch.randint(0, 3, (2, 8, 12))
    target[0, :, :6] = 255
    pixels = torch.nn.functional.one_hot(target.clamp_max(3), 4).movedim(-1, 1).float()
    samples = sample_points(pixels, target, points=200)
    assert 200 < len(samples.target) < 400  # void points are gone
    assert torch.equal(samples.features.argmax(1), samples.target)


def test_half_the_points_lie_near_boundaries():
    target = torch.zeros(1, 64, 64, dtype=torch.long)
    target[:, :, 32:] = 1
    near = near_boundary(target)
    assert near[0, 0].nonzero().flatten().tolist() == list(range(29, 36))
    torch.manual_seed(0)
    columns = torch.arange(64.0).expand(1, 1, 64, 64)
    drawn = sample_points(columns, target, points=1000).features[:, 0]
    share = ((drawn >= 29) & (drawn < 36)).float().mean().item()
    assert share == pytest.approx(0.5 + 0.5 * 7 / 64, abs=0.05)


def test_an_all_void_clip_has_a_finite_loss_and_gradient():
    torch.manual_seed(0)
    pixels = torch.randn(1, 4, 6, 6, requires_grad=True)
    queries = torch.randn(1, 2, 5, 4), torch.randn(1, 2, 5, 4)
    loss = set_loss(*queries, pixels[:, None], torch.full((1, 1, 24, 24), 255), points=32)
    assert torch.isfinite(loss)

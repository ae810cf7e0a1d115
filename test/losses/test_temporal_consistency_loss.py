# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Eq. 7 to 11 against values worked out by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis.strategies import floats, lists

from t2g_core.losses.temporal_consistency_loss import (
    masked_temporal_consistency_loss,
    stable_differences,
    trimmed_mean,
)


def one_hot(classes: list[list[int]]) -> torch.Tensor:
    """Frames of pixels -> probabilities (1, T, 2, 1, W)."""
    ids = torch.tensor(classes)
    return torch.nn.functional.one_hot(ids, 2).float().movedim(-1, 1)[None, :, :, None]


def test_a_full_flip_costs_two_and_only_on_stable_valid_pixels():
    probs = one_hot([[0, 0, 0, 0], [1, 0, 1, 1]])
    target = torch.tensor([[[[0, 0, 0, 255]], [[0, 0, 1, 255]]]])  # third changes, fourth is void
    torch.testing.assert_close(stable_differences(probs, target, 1), torch.tensor([2.0, 0.0]))


def test_trimming_keeps_the_smallest_share():
    values = torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0])
    assert trimmed_mean(values, 0.2).item() == pytest.approx(2.5)  # 1, 2, 3, 4
    assert trimmed_mean(values, 0.0).item() == pytest.approx(3.0)
    assert trimmed_mean(values, 1.0).item() == pytest.approx(1.0)  # one value is always kept
    assert trimmed_mean(torch.tensor([7.0]), 0.9).item() == pytest.approx(7.0)


def test_scales_are_weighted_and_averaged():
    # One pixel over five frames flips between frames 1 and 2. Distance 1: differences 0 2 0 0;
    # distance 2: 2 2 0; distance 4: 2. Their means 1/2, 4/3 and 2, weighted 1, 1/2 and 1/4.
    probs = one_hot([[0], [0], [1], [1], [1]])
    target = torch.zeros(1, 5, 1, 1, dtype=torch.long)
    loss = masked_temporal_consistency_loss(probs, target, trim=0.0)
    assert loss.item() == pytest.approx((1 / 2 + 4 / 3 / 2 + 2 / 4) / 3)


def test_a_clip_too_short_for_a_scale_leaves_it_out():
    probs, target = one_hot([[0], [1]]), torch.zeros(1, 2, 1, 1, dtype=torch.long)
    assert masked_temporal_consistency_loss(probs, target, trim=0.0).item() == pytest.approx(2.0)


def test_nothing_stable_is_a_zero_with_a_gradient():
    probs = one_hot([[0, 1]]).requires_grad_()
    loss = masked_temporal_consistency_loss(probs, torch.zeros(1, 1, 1, 2, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(probs.grad, torch.zeros_like(probs))


def test_gradients_are_finite_and_pull_frames_together():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, 5, 6, requires_grad=True)
    target = torch.zeros(2, 4, 5, 6, dtype=torch.long)
    before = masked_temporal_consistency_loss(logits.softmax(2), target)
    before.backward()
    assert torch.isfinite(logits.grad).all()
    after = masked_temporal_consistency_loss((logits - 5 * logits.grad).softmax(2), target)
    assert after < before


def test_more_pixels_than_torch_quantile_can_take():
    probs = torch.full((1, 2, 2, 3000, 3000), 0.5)
    target = torch.zeros(1, 2, 3000, 3000, dtype=torch.long)
    assert masked_temporal_consistency_loss(probs, target).item() == 0.0


@pytest.mark.parametrize(
    ("probs", "target", "trim", "message"),
    [
        ((1, 2, 3, 4, 5), (1, 2, 4, 6), 0.2, "target"),
        ((2, 3, 4, 5), (2, 4, 5), 0.2, "probs"),
        ((1, 2, 3, 4, 5), (1, 2, 4, 5), 1.5, "trim"),
    ],
)
def test_wrong_arguments_are_named(probs, target, trim, message):
    with pytest.raises(ValueError, match=message):
        masked_temporal_consistency_loss(torch.rand(probs), torch.zeros(target), trim)


def test_logits_and_bare_scores_are_not_taken_for_probabilities():
    """Raw logits once gave 2.85 where two is the most."""
    torch.manual_seed(0)
    logits, target = torch.randn(1, 3, 4, 5, 6), torch.zeros(1, 3, 5, 6, dtype=torch.long)
    for scores in (logits, logits.sigmoid()):
        with pytest.raises(ValueError, match="sum to one over K, got sums from .*from_logits=True"):
            masked_temporal_consistency_loss(scores, target)
    found = masked_temporal_consistency_loss(logits, target, from_logits=True)
    expected = masked_temporal_consistency_loss(logits.softmax(dim=2), target)
    assert 0 < found == expected <= 2


@given(lists(lists(floats(0, 2, width=32), min_size=10, max_size=10), min_size=2, max_size=6))
def test_the_mean_over_micro_batches_is_close_to_a_pooled_one(differences):
    """Never below it, and above it by at most how far their 80 % quantiles lie from that of all."""
    parts, trim = torch.tensor(differences, dtype=torch.float64), 0.2
    apart = torch.stack([trimmed_mean(values, trim) for values in parts]).mean()
    pooled = trimmed_mean(parts.flatten(), trim)
    kept = [
        values.sort().values[int(0.8 * len(values)) - 1] for values in (*parts, parts.flatten())
    ]
    reach = max(abs(own - kept[-1]) for own in kept[:-1])
    assert -1e-9 <= apart - pooled <= reach + 1e-9

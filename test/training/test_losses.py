# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The direct losses of the output, by hand."""

from __future__ import annotations

import pytest
import torch

from t2g_core.labels import IGNORE_INDEX
from t2g_core.losses.common import jaccard_loss


def output(ids: list[int], classes: int = 3, sure: float = 1.0) -> torch.Tensor:
    """Probabilities (1, 1, K, 1, W) that give these classes `sure` and share out the rest."""
    hot = torch.nn.functional.one_hot(torch.tensor(ids), classes).float()
    probs = sure * hot + (1 - sure) * (1 - hot) / (classes - 1)
    return probs.T[None, None, :, None]


def labels(ids: list[int]) -> torch.Tensor:
    """(1, 1, 4, 4W): each id a block of one cell of stride 4."""
    return torch.tensor(ids).repeat_interleave(4).repeat(4, 1)[None, None]


def test_the_soft_iou_by_hand():
    """Class 0 has two cells, class 1 two; one of class 1 is taken for 0: IoU 2/3 and 1/2."""
    truth = labels([0, 0, 1, 1])
    loss = jaccard_loss(output([0, 0, 0, 1]), truth)
    smooth = 1 - ((2 + 1) / (3 + 1) + (1 + 1) / (2 + 1)) / 2  # one added above and below
    assert loss.item() == pytest.approx(smooth)
    assert jaccard_loss(output([0, 0, 1, 1]), truth).item() == pytest.approx(0.0)


def test_void_and_absent_classes_do_not_count():
    truth = labels([0, 0, IGNORE_INDEX, IGNORE_INDEX])
    assert jaccard_loss(output([0, 0, 2, 1]), truth).item() == pytest.approx(0.0)
    probs = output([0, 0, 2, 1], sure=0.9).requires_grad_()
    nothing = jaccard_loss(probs, labels([IGNORE_INDEX] * 4))
    nothing.backward()
    assert nothing.item() == 0 and not probs.grad.any()


def test_a_class_of_few_pixels_weighs_as_much_as_one_of_many():
    truth = labels([0] * 9 + [1])
    missed = jaccard_loss(output([0] * 10), truth)
    assert missed.item() > 0.25  # of one pixel in ten

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Batch norms of averaged weights: measured over whole batches, on plain frames."""

from __future__ import annotations

from dataclasses import replace

import torch
from small_model import TRAIN, small_method, stages
from torch import nn

from t2g_core.methods.method import ClipBatch
from t2g_core.training.norm_statistics import BATCHES, fit_norms, norm_batches


def batch(seed: int, level: float) -> ClipBatch:
    drawn = torch.Generator().manual_seed(seed)
    maps = torch.randn(4, 1, 2, 4, 6, 192, generator=drawn) + level
    target = torch.zeros(1, 2, 64, 96, dtype=torch.int64)
    seen = torch.zeros(1, 2, 32, 48, dtype=torch.uint8)
    return ClipBatch(tuple(maps), None, target, seen, torch.tensor([0.1]))


def test_statistics_are_the_mean_over_the_batches_and_nothing_else_changes():
    method = small_method()
    weights = {name: p.clone() for name, p in method.named_parameters()}
    batches, (stage,) = [batch(0, 0.0), batch(1, 3.0)], stages(1)
    fit_norms(method, batches, stage, "fp32")
    first = next(m for m in method.modules() if isinstance(m, nn.BatchNorm2d))
    seen = []
    hook = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        for one in batches:
            method.predict_clip(one, stage)
    hook.remove()
    expected = torch.stack([x.mean(dim=(0, 2, 3)) for x in seen]).mean(dim=0)
    torch.testing.assert_close(first.running_mean, expected, atol=1e-5, rtol=1e-4)
    assert first.momentum == 0.1 and not method.training and not first.training
    assert all(torch.equal(weights[name], p) for name, p in method.named_parameters())


def test_batches_are_spread_over_the_stage_of_the_plainest_frames():
    distorted, plain, clips_last = (
        replace(stages(100)[0], plain_share=share) for share in (0.5, 1.0, 0.3)
    )
    config = replace(TRAIN, stages=(distorted, plain, clips_last), accumulate=2)
    numbers = norm_batches(config)
    assert (numbers[0], numbers[-1], len(numbers)) == (200, 399, BATCHES)
    short = replace(TRAIN, stages=stages(3), accumulate=1)
    assert norm_batches(short) == [0, 1, 2]

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How the queries' masks and the pixel classifier are joined."""

from __future__ import annotations

import torch
from small_model import small_config, small_method

IMAGES = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8, generator=torch.manual_seed(3))


@torch.no_grad()
def probs_of(method) -> torch.Tensor:
    features = method.encode(IMAGES)
    return method.step(features, method.start(features), (), 0.0)[0]


@torch.no_grad()
def test_queries_behind_a_gate_say_nothing_at_first_and_something_once_it_opens():
    method = small_method("score_gate")
    frame_path = method.classify_frames(method.encode(IMAGES))
    torch.testing.assert_close(probs_of(method), frame_path)
    method.head.score_gate.weight.fill_(1.0)
    assert (probs_of(method) - frame_path).abs().max() > 1e-3


@torch.no_grad()
def test_an_open_gate_is_no_gate():
    gated, plain = small_method("score_gate"), small_method("time2general")
    state = {n: v for n, v in gated.trained_state().items() if "score_gate" not in n}
    plain.load_state_dict(state, strict=False)
    plain.head.pixel_memory = None
    gated.head.score_gate.weight.fill_(1.0)
    torch.testing.assert_close(probs_of(gated), probs_of(plain))


def test_the_gate_learns_with_the_temporal_modules_at_the_memorys_rate():
    method = small_method("score_gate")
    temporal = next(s for s in small_config().train.stages if s.trains == "temporal")
    method.enter_stage(temporal)
    weight = method.head.score_gate.weight
    groups = method.parameter_groups(temporal)
    (group,) = (g for g in groups if any(p is weight for p in g.parameters))
    assert group.rate == method.config.pixel_memory_rate
    assert len(group.parameters) == 1
    assert not any("score_gate" in name for name in method.frame_path_state())

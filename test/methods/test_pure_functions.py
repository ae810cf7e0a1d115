# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`encode` and `step` are pure functions of tensors: PyTorch's exporter takes both as they are."""

from __future__ import annotations

import pytest
import torch
from small_model import small_method
from torch import nn

from t2g_core.methods.method import Method

STEP_S = torch.tensor([0.2])


class Encode(nn.Module):
    """Images -> features, as a module, which is what the exporter wants."""

    def __init__(self, method: Method):
        super().__init__()
        self.method = method

    def forward(self, images):
        return self.method.encode(images)


class Step(nn.Module):
    """Features, state, motion, step_s -> probabilities, state."""

    def __init__(self, method: Method):
        super().__init__()
        self.method = method

    def forward(self, features, state, motion, step_s):
        return self.method.step(features, state, motion, step_s)


def motion_of(method: Method, now, before) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(x) for x in method.motion(now, before))


def leaves(value) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [x for part in value for x in leaves(part)] if isinstance(value, tuple) else []


@pytest.mark.parametrize("head", ["time2general", "deformable"])
@torch.no_grad()
def test_what_is_exported_streams_as_the_method_does_from_the_first_frame_on(head):
    method = small_method(head)
    torch.manual_seed(4)
    frames = torch.randint(0, 256, (5, 1, 64, 96, 3), dtype=torch.uint8)
    encode = torch.export.export(Encode(method), (frames[0],)).module()
    seen = [method.prepare(frame[0].numpy(), (96, 64)).motion_image for frame in frames]
    state = method.start(method.encode(frames[0]))
    first = (method.encode(frames[0]), state, motion_of(method, seen[0], None), STEP_S)
    step = torch.export.export(Step(method), first).module()
    exported = state
    shapes = [x.shape for x in leaves(state)]
    for images, now, before in zip(frames, seen, [None, *seen], strict=False):
        motion = motion_of(method, now, before)
        features = method.encode(images)
        for one, other in zip(encode(images), features, strict=True):
            torch.testing.assert_close(one, other)
        probs, state = method.step(features, state, motion, STEP_S)
        found, exported = step(features, exported, motion, STEP_S)
        torch.testing.assert_close(found, probs, atol=1e-5, rtol=0)
        assert [x.shape for x in leaves(state)] == shapes  # from the first frame to the last
        assert [x.shape for x in leaves(exported)] == shapes

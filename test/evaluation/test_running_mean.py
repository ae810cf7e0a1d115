# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The running mean: by hand, and around a real frame-by-frame head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_model import small_method, small_segmenter
from torch import nn

from t2g_core.evaluation.modes import MODES
from t2g_core.evaluation.running_mean import RunningMean
from t2g_core.methods.method import Method, MethodConfig
from t2g_core.runtime.runtime import Labelling
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.torch_runtime import TorchRuntime


class Given(Method):
    """A method whose probabilities of two classes are in its images: red and green."""

    def __init__(self):
        super().__init__(MethodConfig(), nn.Identity(), 2)

    def encode(self, images):
        return (images.float()[..., :2].movedim(-1, 1) / 255,)

    def step(self, features, state, motion, step_s):
        assert step_s == 0.1 and motion == ()
        return features[0], state


def frames(*red: float) -> list[np.ndarray]:
    """Images of one colour each, whose red and green sum to one."""
    return [np.full((16, 16, 3), (255 * r, 255 * (1 - r), 0), np.uint8) for r in red]


def segmenter(method: Method) -> StreamingSegmenter:
    labelling = Labelling((16, 16), ("red", "green"), ((255, 0, 0), (0, 255, 0)))
    return StreamingSegmenter(TorchRuntime(method), labelling)


def test_the_mean_by_hand():
    mean = RunningMean(Given(), 0.5)
    state = None
    for frame, wanted in zip(frames(1, 0, 0), (1.0, 0.5, 0.25), strict=True):
        features = mean.encode(torch.from_numpy(frame[None]))
        state = mean.start(features) if state is None else state
        probs, state = mean.step(features, state, (), 0.1)
        assert probs[0, :, 3, 5].tolist() == [wanted, 1 - wanted]


@pytest.mark.parametrize("mode", ["stream", "clip"])
def test_clip_mode_does_not_start_the_mean_anew(mode):
    """Red, then a little green: the mean of 0.7 stays red, a mean that starts anew does not."""
    found = MODES[mode](segmenter(RunningMean(Given(), 0.7)), frames(1, 0.4, 0.4), 0.1)
    assert [int(mask[0, 0]) for mask in found] == [0, 0, 0]


def test_around_a_real_head_it_leaves_the_first_frame_and_changes_the_next():
    alone = small_segmenter("conv")
    smoothed = alone.with_runtime(TorchRuntime(RunningMean(alone.runtime.method, 0.7)))
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (60, 90, 3), dtype=np.uint8) for _ in range(2)]
    results = []
    for one in (alone, smoothed):
        state, out = one.start(), []
        for image in images:
            result, state = one.step(image, state)
            out.append(result.confidence)
        results.append(out)
    assert np.array_equal(results[0][0], results[1][0])
    assert not np.array_equal(results[0][1], results[1][1])


def test_what_it_cannot_be_is_refused():
    with pytest.raises(ValueError, match="from 0 to below 1, got 1"):
        RunningMean(Given(), 1.0)
    for method in (small_method(), RunningMean(Given(), 0.5)):
        with pytest.raises(ValueError, match="a memory of its own"):
            RunningMean(method, 0.5)

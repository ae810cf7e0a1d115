"""The running mean: by hand, and around a real frame-by-frame head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_model import small_segmenter

from t2g_core.methods.running_mean import RunningMean


class Given:
    """A method whose probabilities are its features."""

    clip_length, cacheable = 1, True

    def start(self):
        return ()

    def step(self, features, state, step_s):
        assert step_s == 0.1
        return features, state


def test_the_mean_by_hand():
    mean = RunningMean(Given(), 0.5)
    frames = [torch.tensor(v) for v in ([1.0, 0.0], [0.0, 1.0], [0.0, 1.0])]
    expected = [[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]]
    assert [probs.tolist() for probs in mean.clip(frames, 0.1)] == expected
    state = mean.start()
    for frame, wanted in zip(frames, expected, strict=True):
        probs, state = mean.step(frame, state, 0.1)
        assert probs.tolist() == wanted


def test_around_a_real_head_it_leaves_the_first_frame_and_changes_the_next():
    alone, smoothed = small_segmenter("conv"), small_segmenter("conv").with_running_mean(0.7)
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (60, 90, 3), dtype=np.uint8) for _ in range(2)]
    results = []
    for segmenter in (alone, smoothed):
        state, out = segmenter.start(), []
        for frame in frames:
            result, state = segmenter.step(frame, state)
            out.append(result.confidence)
        results.append(out)
    assert np.array_equal(results[0][0], results[1][0])
    assert not np.array_equal(results[0][1], results[1][1])


def test_what_it_cannot_be_is_refused():
    with pytest.raises(ValueError, match="from 0 to below 1, got 1"):
        RunningMean(Given(), 1.0)
    with pytest.raises(ValueError, match="one that reads 3 frames"):
        small_segmenter().with_running_mean(0.5)

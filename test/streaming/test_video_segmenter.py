# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One camera's video: which frames stay in the clip, and frames of several cameras at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_model import small_segmenter

from t2g_core.streaming.continuity import NS, FrameInfo
from t2g_core.streaming.video_segmenter import ClipStride, VideoSegmenter

SIZES = [(60, 90), (40, 80), (60, 90), (48, 64)]


def images(sizes) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def stays(stamps_s: list[float], stride: ClipStride) -> list[bool]:
    video = VideoSegmenter(small_segmenter())
    segmented = [
        video.segment(image, FrameInfo(round(stamp_s * NS), (60, 90)), 3.0, stride)
        for image, stamp_s in zip(images([(60, 90)] * len(stamps_s)), stamps_s, strict=True)
    ]
    return [frame.stays for frame in segmented]


@pytest.mark.parametrize(
    ("stride", "stamps_s", "expected"),
    [
        (ClipStride(), [0.0, 0.1, 0.2], [1, 1, 1]),
        (ClipStride(frames=2), [0.0, 0.1, 0.2, 0.3, 0.4], [1, 0, 1, 0, 1]),
        # a 30 Hz camera whose stamps waver, for a model trained at 15 Hz
        (ClipStride(seconds=1 / 15), [0.0, 0.034, 0.065, 0.101, 0.133], [1, 0, 1, 0, 1]),
        (ClipStride(seconds=1 / 15), [0.0, 0.2, 0.4], [1, 1, 1]),  # slower than the stride
        (ClipStride(frames=3, seconds=0.2), [0.0, 0.1, 0.2, 0.3, 0.4], [1, 0, 0, 1, 0]),
        (ClipStride(seconds=1.0), [0.0, 0.1, 5.0, 5.1], [1, 0, 1, 0]),  # a gap: a new clip
    ],
)
def test_which_frames_stay(stride, stamps_s, expected):
    assert stays(stamps_s, stride) == [bool(stay) for stay in expected]


def test_a_frame_that_does_not_stay_gets_the_mask_it_would_get_and_leaves_no_trace():
    segmenter = small_segmenter()
    first, passing, last = images([(60, 90)] * 3)
    _, state = segmenter.step(first, segmenter.start())
    expected = [segmenter.step(f, state, s)[0].mask for f, s in ((passing, 1.0), (last, 2.0))]
    video = VideoSegmenter(segmenter)
    found = [
        video.segment(frame, FrameInfo(k * NS, (60, 90)), 3.0, ClipStride(frames=2))
        for k, frame in enumerate((first, passing, last))
    ]
    assert [frame.memory_fill for frame in found] == [1 / 3, 2 / 3, 2 / 3]
    for frame, mask in zip(found[1:], expected, strict=True):
        np.testing.assert_array_equal(frame.result.mask, mask)


def test_the_memory_is_told_how_long_ago_the_frame_was_that_stayed():
    """By a gate that keeps all of one usual step ago and nothing of two."""
    segmenter = small_segmenter()
    gate = segmenter.runtime.method.head.pixel_memory.retention
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.zero_()
        gate[0].weight[0, 5], gate[0].bias[0] = 10.0, -10 * math.log(1.2)
        gate[-1].weight[0, 0], gate[-1].bias[0] = -50.0, 10.0
    first, passing, last = images([(60, 90)] * 3)
    video = VideoSegmenter(segmenter)
    found = [
        video.segment(frame, FrameInfo((k + 5) * NS // 15, (60, 90)), 3.0, ClipStride(frames=2))
        for k, frame in enumerate((first, passing, last))
    ]
    _, state = segmenter.step(first, segmenter.start())
    steps_s = [(found_ns - 5 * NS // 15) / NS for found_ns in (6 * NS // 15, 7 * NS // 15)]
    for result, frame, seconds in zip(found[1:], (passing, last), steps_s, strict=True):
        both = {s: segmenter.step(frame, state, s)[0].confidence for s in steps_s}
        np.testing.assert_array_equal(result.result.confidence, both.pop(seconds))
        assert (both.popitem()[1] != result.result.confidence).mean() > 0.02


@pytest.mark.parametrize("head", ["time2general", "conv"])
def test_frames_encoded_together_are_those_encoded_alone(head):
    segmenter = small_segmenter(head, precision="fp32")
    frames = images(SIZES)
    for image, encoded in zip(frames, segmenter.encode_together(frames), strict=True):
        alone = segmenter.encode(image)
        assert encoded.size == alone.size
        for one, other in zip(encoded.features, alone.features, strict=True):
            assert one.shape == other.shape and (one - other).abs().max() < 1e-4

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Windows of a frame: where they lie, and that every method runs on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_model import VARIANTS, small_method

from t2g_core.images.windows import Window, Windows, places, read_windows
from t2g_core.methods.sliding_windows import SlidingWindows, windowed
from t2g_core.torch_runtime import TorchRuntime


def test_windows_are_read_from_text():
    assert read_windows("512/341") == Windows(512, 341)
    assert read_windows("") is None and read_windows("none") is None
    for text in ("512", "512/0", "500/341", "512/600", "a/b", "512/8", "0/0"):
        with pytest.raises(ValueError, match=r"expected SIZE/STRIDE.*got"):
            read_windows(text)


def test_a_frame_of_1024x512_has_the_published_three_windows():
    found = places((32, 64), Windows(512, 341))
    assert found == [Window(0, left, 32, 32) for left in (0, 21, 32)]


def test_windows_cover_a_frame_and_end_with_it():
    for grid in ((32, 64), (36, 48), (5, 7), (33, 50)):
        for windows in (Windows(512, 341), Windows(64, 48), Windows(16, 16)):
            seen = np.zeros(grid, int)
            for window in places(grid, windows):
                assert seen[window.slices(1)].shape == (window.height, window.width)
                assert (window.height, window.width) == tuple(
                    min(windows.size // 16, side) for side in grid
                )
                seen[window.slices(1)] += 1
            assert seen.min() >= 1


@pytest.mark.parametrize("name", ["conv", "time2general", "rein", "depthforge", *VARIANTS])
def test_one_window_gives_what_the_whole_frame_gives(name):
    method = small_method(name)
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)
    probs = {}
    for windows in (None, Windows(96, 96)):
        runtime = TorchRuntime(windowed(method, windows), precision="fp32")
        state, found, before = None, [], None
        for frame in frames:
            prepared = runtime.prepare(frame, (96, 64))
            (features,) = runtime.encode(prepared.image[None])
            state = runtime.start(features) if state is None else state
            motion = runtime.motion(prepared.motion_image, before)
            one, state = runtime.step(features, state, motion, 0.1)
            before = prepared.motion_image
            found.append(one)
        probs[windows] = found
    for whole, cut in zip(*probs.values(), strict=True):
        torch.testing.assert_close(cut, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["conv", "time2general"])
def test_a_window_sees_what_lies_in_it_and_overlaps_are_averaged(name):
    method = small_method(name)
    runtime = TorchRuntime(SlidingWindows(method, Windows(64, 32)), precision="fp32")
    plain = TorchRuntime(method, precision="fp32")
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, 64, 96, 3), np.uint8)
    now, before = (runtime.prepare(frame, (96, 64)) for frame in (second, first))
    motion = runtime.motion(now.motion_image, before.motion_image)
    images = np.stack([before.image, now.image])
    one, two = runtime.encode(images)
    _, state = runtime.step(one, runtime.start(one), runtime.motion(before.motion_image, None), 0.1)
    probs, _ = runtime.step(two, state, motion, 0.1)
    parts = []
    for left in (0, 32):
        one, two = plain.encode(np.ascontiguousarray(images[:, :, left : left + 64]))
        still = [x[..., left // 8 : left // 8 + 8] for x in motion]
        _, state = plain.step(one, plain.start(one), [0 * x for x in still], 0.1)
        parts.append(plain.step(two, state, still, 0.1)[0])
    torch.testing.assert_close(probs[..., :8], parts[0][..., :8], atol=1e-5, rtol=0)
    torch.testing.assert_close(probs[..., 16:], parts[1][..., 8:], atol=1e-5, rtol=0)
    mean = (parts[0][..., 8:] + parts[1][..., :8]) / 2
    torch.testing.assert_close(probs[..., 8:16], mean, atol=1e-5, rtol=0)


def test_a_batch_of_clips_on_windows_is_that_of_each_clip():
    method = SlidingWindows(small_method("no_pixel_memory"), Windows(64, 32))
    images = torch.randint(0, 256, (2, 3, 64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        frames = [method.encode(images[:, t]) for t in range(3)]
        together = method.clip(frames, [(), (), ()], torch.tensor([0.1, 0.1]))
        alone = method.clip(
            [tuple(x[1:] for x in f) for f in frames], [(), (), ()], torch.tensor([0.1])
        )
    for both, one in zip(together, alone, strict=True):
        torch.testing.assert_close(both[1:], one, atol=1e-5, rtol=0)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Video consistency by hand, and against loops that follow Eq. 12 and 13 word by word."""

from __future__ import annotations

import math

import numpy as np
import pytest

from t2g_core.labels import IGNORE_INDEX
from t2g_core.metrics.sparse_consistency import sparse_consistency, static_pixels
from t2g_core.metrics.video_consistency import (
    WindowCounter,
    WindowCounts,
    count_windows,
    video_consistency,
)

VOID = IGNORE_INDEX


def strip(*frames) -> np.ndarray:
    """A video one pixel high: (T, 1, W)."""
    return np.array(frames, dtype=np.uint8)[:, None, :]


# One video of 4 frames, 5 pixels. Pixel 0 right throughout; 1 constant but wrong; 2 flickers at the
# last frame; 3 has a label that changes after the second frame; 4 is void in the first frame.
TARGET = strip([0, 1, 2, 3, VOID], [0, 1, 2, 3, 4], [0, 1, 2, 5, 4], [0, 1, 2, 5, 4])
PREDS = strip([0, 6, 2, 3, 4], [0, 6, 2, 3, 4], [0, 6, 2, 5, 4], [0, 6, 1, 5, 4])


def test_windows_of_two_by_hand():
    assert count_windows(PREDS, TARGET, 2) == [
        WindowCounts(stable=4, constant=4, correct=3),  # pixels 0 1 2 3, void out
        WindowCounts(stable=4, constant=4, correct=3),  # pixels 0 1 2 4
        WindowCounts(stable=5, constant=4, correct=3),  # pixel 2 flickers
    ]


def test_windows_of_three_by_hand():
    assert count_windows(PREDS, TARGET, 3) == [
        WindowCounts(stable=3, constant=3, correct=2),
        WindowCounts(stable=4, constant=3, correct=2),
    ]


def test_readings_of_one_video_by_hand():
    score = video_consistency([count_windows(PREDS, TARGET, 2)])
    assert score.stable == pytest.approx((1 + 1 + 4 / 5) / 3)
    assert score.correct == pytest.approx((3 / 4 + 3 / 4 + 3 / 5) / 3)
    assert score.vspw == pytest.approx(1.0)  # the window with the flicker is the last one
    assert (score.windows, score.skipped_windows, score.short_videos) == (3, 0, 0)


def test_a_constant_wrong_prediction_is_stable_and_not_correct():
    target = np.zeros((5, 2, 2), np.uint8)
    score = video_consistency([count_windows(target + 1, target, 3)])
    assert (score.stable, score.correct, score.vspw) == (1.0, 0.0, 1.0)


def test_a_right_prediction_of_a_changing_label_is_not_asked():
    target = strip([0, 1], [0, 2], [0, 1])
    assert count_windows(target, target, 3) == [WindowCounts(1, 1, 1)]


def test_macro_means_videos_and_vspw_pools_windows():
    perfect = [WindowCounts(10, 10, 10)] * 2
    poor = [WindowCounts(10, 0, 0)] * 8
    score = video_consistency([perfect, poor])
    assert score.stable == score.correct == pytest.approx(0.5)
    assert score.vspw == pytest.approx(1 / 8)  # 1 window of the first video, 7 of the second
    assert score.windows == 10


def test_windows_without_a_stable_pixel_are_skipped_and_counted():
    nothing = WindowCounts(0, 0, 0)
    score = video_consistency([[nothing, WindowCounts(4, 2, 1), nothing], [nothing], []])
    assert (score.stable, score.correct, score.vspw) == (0.5, 0.25, 0.5)
    assert (score.windows, score.skipped_windows, score.short_videos) == (1, 3, 1)


@pytest.mark.parametrize("videos", [[], [[]], [[WindowCounts(0, 0, 0)]]])
def test_nothing_to_score_is_nan_without_a_warning(videos, recwarn):
    score = video_consistency(videos)
    assert math.isnan(score.stable) and math.isnan(score.correct) and math.isnan(score.vspw)
    assert not recwarn.list


def test_a_video_of_exactly_n_frames_has_one_window_and_none_for_vspw():
    score = video_consistency([count_windows(PREDS, TARGET, 4)])
    assert score.windows == 1 and score.stable == pytest.approx(2 / 3)
    assert math.isnan(score.vspw)


def test_an_all_void_video_has_only_skipped_windows():
    target = np.full((4, 2, 2), VOID, np.uint8)
    assert count_windows(np.zeros_like(target), target, 2) == [WindowCounts(0, 0, 0)] * 3


def test_windows_never_cross_videos():
    """Two videos that disagree: each is steady in itself, together they are not."""
    first, second = np.zeros((4, 1, 3), np.uint8), np.ones((4, 1, 3), np.uint8)
    label = np.zeros((4, 1, 3), np.uint8)
    apart = video_consistency([count_windows(first, label, 3), count_windows(second, label, 3)])
    joined = np.concatenate([first, second])
    together = video_consistency([count_windows(joined, np.concatenate([label, label]), 3)])
    assert apart.stable == 1.0 and apart.windows == 4
    assert together.stable < 1.0 and together.windows == 6


def test_counters_of_eight_and_sixteen_share_nothing():
    rng = np.random.default_rng(1)
    target = np.zeros((40, 3, 4), np.uint8)
    preds = (rng.random(target.shape) < 0.02).astype(np.uint8)  # right, but for a few flickers
    alone = {n: count_windows(preds, target, n) for n in (8, 16)}
    counters = {n: WindowCounter(n) for n in (8, 16)}
    for pair in zip(preds, target, strict=True):
        for counter in counters.values():
            counter.update(*pair)
    assert {n: counter.counts for n, counter in counters.items()} == alone
    assert len(alone[8]) == 33 and len(alone[16]) == 25
    assert video_consistency([alone[8]]) != video_consistency([alone[16]])


def test_the_counter_keeps_its_own_copy_of_the_masks():
    buffer, target = np.zeros((1, 2), np.uint8), np.zeros((1, 2), np.uint8)
    counter = WindowCounter(2)
    counter.update(buffer, target)
    buffer[:] = 1  # a caller may reuse its buffer
    counter.update(buffer, target)
    assert counter.counts == [WindowCounts(2, 0, 0)]


def slow_windows(preds, target, n) -> list[WindowCounts]:
    """Eq. 12's sets, pixel by pixel: M and O as sets of positions, no arrays."""
    frames, height, width = preds.shape
    windows = []
    for start in range(frames - n + 1):
        stable, constant, correct = set(), set(), set()
        for y in range(height):
            for x in range(width):
                labels = [int(v) for v in target[start : start + n, y, x]]
                answers = [int(v) for v in preds[start : start + n, y, x]]
                if len(set(labels)) == 1 and VOID not in labels:
                    stable.add((y, x))
                if len(set(answers)) == 1:
                    constant.add((y, x))
                if answers == labels:
                    correct.add((y, x))
        windows.append(WindowCounts(len(stable), len(stable & constant), len(stable & correct)))
    return windows


def slow_score(videos: list[list[WindowCounts]]) -> tuple[float, float, float]:
    """The three readings in plain Python."""
    stable_by_video, correct_by_video, pooled = [], [], []
    for windows in videos:
        scored = [w for w in windows if w.stable > 0]
        if scored:
            stable_by_video.append(sum(w.constant / w.stable for w in scored) / len(scored))
            correct_by_video.append(sum(w.correct / w.stable for w in scored) / len(scored))
        for i in range(len(windows) - 1):
            if windows[i].stable > 0:
                pooled.append(windows[i].constant / windows[i].stable)
    return tuple(sum(v) / len(v) for v in (stable_by_video, correct_by_video, pooled))


def random_video(rng, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A label that mostly stands still, some void, and a prediction that sometimes fails."""
    target = np.repeat(rng.integers(0, 3, (1, 4, 5)), frames, axis=0)
    for t in range(1, frames):
        changes = rng.random((4, 5)) < 0.05
        target[t:, changes] = rng.integers(0, 3, int(changes.sum()))
    preds = np.where(rng.random(target.shape) < 0.1, rng.integers(0, 3, target.shape), target)
    preds[:, 0] = 2  # a row of constant predictions, mostly wrong
    target = np.where(rng.random(target.shape) < 0.03, VOID, target)
    return preds.astype(np.uint8), target.astype(np.uint8)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_vc_equals_the_slow_implementation(n):
    rng = np.random.default_rng(n)
    videos = [random_video(rng, frames) for frames in (12, 20, 9)]
    fast = [count_windows(preds, target, n) for preds, target in videos]
    slow = [slow_windows(preds, target, n) for preds, target in videos]
    assert fast == slow
    np.testing.assert_allclose(video_consistency(fast)[:3], slow_score(slow), rtol=1e-12)


@pytest.mark.parametrize("window", [0, -1, 256])
def test_a_window_that_cannot_be_is_refused(window):
    with pytest.raises(ValueError, match=f"got {window}"):
        WindowCounter(window)


def test_frames_of_another_size_are_refused():
    counter = WindowCounter(2)
    counter.update(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match=r"\(2, 2\), got \(2, 3\)"):
        counter.update(np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8))


def grey_video(*levels) -> np.ndarray:
    """A video one pixel high from rows of grey levels: (T, 1, W, 3)."""
    return np.repeat(np.array(levels, dtype=np.uint8)[:, None, :, None], 3, axis=3)


def test_static_pixels_allow_a_difference_of_ten():
    frames = grey_video([100, 100, 100, 250], [110, 90, 111, 240], [100, 100, 100, 255])
    assert static_pixels(frames, frames[0]).tolist() == [[True, True, False, True]]
    assert static_pixels(frames, frames[0], threshold=11).all()


def test_static_pixels_weigh_the_colours_as_luma():
    reference = np.zeros((1, 3, 3), np.uint8)
    frame = np.array([[[0, 0, 87], [0, 0, 88], [33, 0, 0]]], np.uint8)  # luma 9.918 10.032 9.867
    assert static_pixels(frame[None], reference).tolist() == [[True, False, True]]


def test_sparse_consistency_by_hand():
    # 4 frames, the label on frame 1, n = 2: frames 1 and 2. Pixel 0 right; 1 constant and wrong;
    # 2 changes; 3 is not static; 4 is void; frame 3 is outside the window.
    label = np.array([[0, 1, 2, 3, VOID]], np.uint8)
    preds = strip([9, 9, 9, 9, 9], [0, 5, 2, 3, 4], [0, 5, 1, 3, 4], [8, 8, 8, 8, 8])
    clean = grey_video([0] * 5, [50] * 5, [50, 55, 60, 90, 50], [0] * 5)
    score = sparse_consistency(preds, clean, label, labelled=1, window=2)
    assert score.start == 1
    assert score.stable == pytest.approx(2 / 3)
    assert score.correct == pytest.approx(1 / 3)
    assert score.coverage == pytest.approx(3 / 4)


def test_the_window_shifts_to_fit_and_still_holds_the_label():
    """The Cityscapes case: frame 19 of 30 and n = 16 give a window that starts at 14."""
    preds = np.zeros((30, 1, 2), np.uint8)
    preds[13] = 7  # just before the window
    clean, label = np.zeros((30, 1, 2, 3), np.uint8), np.zeros((1, 2), np.uint8)
    score = sparse_consistency(preds, clean, label, labelled=19, window=16)
    assert score.start == 14 and score.stable == score.correct == score.coverage == 1.0
    preds[14] = 7  # its first frame
    assert sparse_consistency(preds, clean, label, labelled=19, window=16).stable == 0.0
    assert sparse_consistency(preds, clean, label, labelled=19, window=8).start == 19


def test_without_a_static_pixel_the_sparse_score_is_nan():
    preds, label = np.zeros((2, 1, 1), np.uint8), np.zeros((1, 1), np.uint8)
    score = sparse_consistency(preds, grey_video([0], [200]), label, labelled=0, window=2)
    assert math.isnan(score.stable) and score.coverage == 0.0


def slow_sparse(preds, clean, label, r, n) -> tuple[float, float, float]:
    """Eq. 13 pixel by pixel."""
    start = r if r + n <= len(preds) else len(preds) - n
    valid = static = constant = correct = 0
    for y in range(label.shape[0]):
        for x in range(label.shape[1]):
            if label[y, x] == VOID:
                continue
            valid += 1
            grey = [sum(int(c) * w for c, w in zip(clean[i, y, x], (299, 587, 114), strict=True))
                    for i in range(len(preds))]  # fmt: skip
            if any(abs(grey[i] - grey[r]) > 10_000 for i in range(start, start + n)):
                continue
            static += 1
            answers = {int(preds[i, y, x]) for i in range(start, start + n)}
            constant += len(answers) == 1
            correct += answers == {int(label[y, x])}
    return constant / static, correct / static, static / valid


@pytest.mark.parametrize(("r", "n"), [(0, 4), (5, 4), (9, 4), (11, 8)])
def test_sparse_consistency_equals_the_slow_implementation(r, n):
    rng = np.random.default_rng(r)
    preds, target = random_video(rng, 12)
    clean = (128 + rng.integers(-6, 7, (12, 4, 5, 3))).astype(np.uint8)
    score = sparse_consistency(preds, clean, target[r], r, n)
    np.testing.assert_allclose(score[:3], slow_sparse(preds, clean, target[r], r, n), rtol=1e-12)


@pytest.mark.parametrize(
    ("labelled", "window", "frames"), [(4, 2, 4), (-1, 2, 4), (0, 5, 4), (0, 2, 3)]
)
def test_a_sparse_window_that_does_not_fit_is_refused(labelled, window, frames):
    preds, label = np.zeros((4, 1, 1), np.uint8), np.zeros((1, 1), np.uint8)
    with pytest.raises(ValueError, match="got|fit"):
        sparse_consistency(preds, np.zeros((frames, 1, 1, 3), np.uint8), label, labelled, window)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Label-free stability of masks, worked out by hand on masks of a few pixels."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from t2g_core.images.motion import Motion
from t2g_core.metrics import mask_stability
from t2g_core.metrics.mask_stability import MaskStability

VOID = 255


def mask_of(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.uint8)


def test_the_first_mask_has_nothing_to_compare_with():
    report = MaskStability(num_classes=3, window=4).update(mask_of([0, 1]), stamp_ns=5_000_000_000)
    assert math.isnan(report.interval_s)
    assert math.isnan(report.agreement)
    assert math.isnan(report.stable_share)
    assert np.isnan(report.flicker).all()
    assert (report.fill, report.window) == (1, 4)


def test_the_same_mask_again_is_perfectly_steady():
    stability = MaskStability(num_classes=3)
    stability.update(mask_of([0, 0], [1, 1]), stamp_ns=1_000_000_000)
    report = stability.update(mask_of([0, 0], [1, 1]), stamp_ns=1_250_000_000)
    assert report.interval_s == 0.25
    assert report.agreement == 1.0
    assert report.stable_share == 1.0
    np.testing.assert_array_equal(report.flicker, [0.0, 0.0, np.nan])  # class 2 never appeared


def test_one_pixel_that_changes():
    stability = MaskStability(num_classes=2)
    stability.update(mask_of([0, 0], [1, 1]), stamp_ns=0)
    report = stability.update(mask_of([0, 0], [0, 1]), stamp_ns=100_000_000)
    assert report.agreement == 3 / 4
    assert report.stable_share == 3 / 4
    # class 0: 2 pixels in both, 3 in either; class 1: 1 in both, 2 in either
    np.testing.assert_allclose(report.flicker, [1 - 2 / 3, 1 - 1 / 2])


def test_stable_share_looks_at_the_window_and_agreement_at_the_last_pair():
    stability = MaskStability(num_classes=2, window=3)
    masks = [[0, 0, 1, 1], [0, 1, 1, 1], [0, 1, 1, 0]]
    reports = [stability.update(mask_of(row), stamp_ns=i) for i, row in enumerate(masks)]
    assert reports[2].agreement == 3 / 4
    assert reports[2].stable_share == 2 / 4  # pixels 0 and 2
    assert [report.fill for report in reports] == [1, 2, 3]
    # class 0: pairs hold 1 of 2 and 1 of 2 pixels; class 1: 2 of 3 and 2 of 3
    np.testing.assert_allclose(reports[2].flicker, [1 - 2 / 4, 1 - 4 / 6])


def test_what_leaves_the_window_is_forgotten():
    stability = MaskStability(num_classes=2, window=2)
    for row in ([0, 1], [1, 0], [1, 0]):
        report = stability.update(mask_of(row), stamp_ns=0)
    assert report.fill == 2
    assert report.agreement == report.stable_share == 1.0
    np.testing.assert_array_equal(report.flicker, [0.0, 0.0])


def test_unlabelled_pixels_are_left_out():
    stability = MaskStability(num_classes=2)
    stability.update(mask_of([0, 0, VOID, VOID]), stamp_ns=0)
    report = stability.update(mask_of([0, VOID, 1, VOID]), stamp_ns=100_000_000)
    assert report.agreement == 1.0  # only the first pixel is labelled in both
    assert report.stable_share == 1 / 2  # two labelled now, the second of them new
    np.testing.assert_array_equal(report.flicker, [0.0, np.nan])


def test_a_mask_without_any_label_has_no_agreement():
    stability = MaskStability(num_classes=2)
    stability.update(mask_of([0, 1]), stamp_ns=0)
    report = stability.update(mask_of([VOID, VOID]), stamp_ns=100_000_000)
    assert math.isnan(report.agreement)
    assert math.isnan(report.stable_share)


def test_the_longest_window_counts_to_its_end():
    stability = MaskStability(num_classes=2, window=255)
    stability.update(mask_of([0, 1]), stamp_ns=0)
    for i in range(300):
        report = stability.update(mask_of([0, 0]), stamp_ns=i)
        assert report.stable_share == (1 / 2 if i < 254 else 1.0)


def test_reset_starts_a_new_video_of_another_size():
    stability = MaskStability(num_classes=2)
    stability.update(mask_of([0, 1]), stamp_ns=9_000_000_000)
    stability.reset()
    report = stability.update(mask_of([0, 1, 1]), stamp_ns=1_000_000_000)
    assert math.isnan(report.interval_s)
    assert report.fill == 1


def test_the_caller_may_write_into_its_mask_afterwards():
    stability = MaskStability(num_classes=2)
    mask = mask_of([0, 1])
    stability.update(mask, stamp_ns=0)
    mask[:] = 0
    assert stability.update(mask, stamp_ns=100_000_000).agreement == 1 / 2


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((2, 2), np.int64), "uint8"),
        (np.zeros((2, 2, 1), np.uint8), r"\(H, W\)"),
        (np.zeros((0, 2), np.uint8), r"\(0, 2\)"),
        (np.full((2, 2), 2, np.uint8), "below 2 or 255, got 2"),
    ],
)
def test_a_wrong_mask_is_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        MaskStability(num_classes=2).update(mask, stamp_ns=0)


def test_another_size_without_reset_is_refused():
    stability = MaskStability(num_classes=2)
    stability.update(mask_of([0, 1]), stamp_ns=0)
    with pytest.raises(ValueError, match="image size changes"):
        stability.update(mask_of([0, 1, 1]), stamp_ns=100_000_000)


@pytest.mark.parametrize("arguments", [(0, 8), (256, 8), (2, 1), (2, 256)])
def test_a_wrong_number_of_classes_or_window_is_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        MaskStability(*arguments)


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(mask_stability).failed == 0


def shifted(pixels: int, height: int, width: int, found: float = 0.0) -> Motion:
    """Content that lay so many pixels further left in the mask before."""
    flow = np.zeros((1, 2, height // 8, width // 8), np.float32)
    flow[:, 0] = -pixels / 8
    return Motion(flow, np.full((1, 1, height // 8, width // 8), found, np.float32))


def test_a_mask_that_moves_with_the_scene_is_steady():
    stability = MaskStability(num_classes=3, window=4)
    columns = np.arange(96) // 8 % 3
    for number in range(5):
        mask = np.tile(np.roll(columns, 4 * number).astype(np.uint8), (64, 1))
        motion = shifted(4, 64, 96) if number else None
        report = stability.update(mask, number * 100_000_000, motion)
    assert report.agreement == report.stable_share == 1.0
    np.testing.assert_array_equal(report.flicker, 0.0)
    assert report.compared_share == pytest.approx(92 / 96)  # four columns have come into view
    in_place = stability.update(np.roll(mask, 4, axis=1), 500_000_000)
    assert in_place.agreement < 0.6 and in_place.compared_share == 1.0


def test_what_was_not_found_again_is_not_compared():
    stability = MaskStability(num_classes=2, window=3)
    mask = np.zeros((64, 96), np.uint8)
    stability.update(mask, 0)
    motion = shifted(0, 64, 96)
    motion.residual[..., :6] = 2.0  # the left half
    other = mask.copy()
    other[:, :32] = 1
    report = stability.update(other, 100_000_000, motion)
    assert report.agreement == 1.0
    assert report.compared_share == pytest.approx(0.5, abs=0.05)
    report = stability.update(other, 200_000_000, shifted(0, 64, 96))
    assert report.stable_share == 1.0  # of what was followed through all three


def test_nothing_found_again_is_no_agreement():
    stability = MaskStability(num_classes=2)
    mask = np.zeros((64, 96), np.uint8)
    stability.update(mask, 0)
    report = stability.update(mask, 100_000_000, shifted(0, 64, 96, found=3.0))
    assert report.compared_share == 0.0
    assert math.isnan(report.agreement) and math.isnan(report.stable_share)

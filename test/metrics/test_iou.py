# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""IoU by hand, and against an implementation that walks pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from t2g_core.labels import IGNORE_INDEX
from t2g_core.metrics.iou import confusion_matrix, iou, miou, miou_with_absent


def mask(rows) -> np.ndarray:
    return np.array(rows, dtype=np.uint8)


def test_confusion_matrix_by_hand():
    target = mask([[0, 0, 1], [1, 2, IGNORE_INDEX]])
    preds = mask([[0, 1, 1], [1, 0, 2]])
    assert confusion_matrix(preds, target, 3).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_iou_by_hand():
    confmat = np.array([[1, 1, 0], [0, 2, 0], [1, 0, 0]])
    # class 0: 1 / (1 + 1 + 1); class 1: 2 / (2 + 0 + 1); class 2: never hit
    np.testing.assert_allclose(iou(confmat), [1 / 3, 2 / 3, 0.0])
    assert miou(confmat) == pytest.approx(1 / 3)


def test_a_class_without_ground_truth_is_left_out_even_when_predicted():
    target, preds = mask([[0, 0, 0, 1]]), mask([[0, 0, 2, 1]])
    values = iou(confusion_matrix(preds, target, 4))
    np.testing.assert_allclose(values, [2 / 3, 1.0, np.nan, np.nan])
    assert miou(confusion_matrix(preds, target, 4)) == pytest.approx((2 / 3 + 1) / 2)


def test_other_code_counts_a_predicted_class_without_ground_truth_as_zero():
    confmat = np.array([[3, 1, 0], [0, 0, 0], [0, 0, 0]])
    assert miou(confmat) == 0.75
    assert miou_with_absent(confmat) == 0.375  # the third class was not predicted either
    assert np.isnan(miou_with_absent(np.zeros((2, 2), int)))


def test_an_all_void_frame_adds_nothing():
    void = np.full((2, 2), IGNORE_INDEX, np.uint8)
    confmat = confusion_matrix(np.zeros((2, 2), np.uint8), void, 3)
    assert not confmat.any() and np.isnan(iou(confmat)).all() and np.isnan(miou(confmat))


def test_the_matrix_of_a_split_is_not_the_mean_of_images():
    one = confusion_matrix(mask([[0, 0, 0, 0]]), mask([[0, 0, 0, 0]]), 2)
    other = confusion_matrix(mask([[0, 1, 1, 1]]), mask([[1, 1, 1, 1]]), 2)
    np.testing.assert_allclose(iou(one + other), [4 / 5, 3 / 4])


def slow_iou(preds: np.ndarray, target: np.ndarray, num_classes: int) -> list[float]:
    """IoU by sets of pixel positions: another road to the same number."""
    pixels = list(zip(preds.ravel().tolist(), target.ravel().tolist(), strict=True))
    values = []
    for k in range(num_classes):
        hits = {i for i, (p, t) in enumerate(pixels) if t == k and t != IGNORE_INDEX}
        found = {i for i, (p, t) in enumerate(pixels) if p == k and t != IGNORE_INDEX}
        values.append(len(hits & found) / len(hits | found) if hits else float("nan"))
    return values


@pytest.mark.parametrize("seed", range(5))
def test_iou_equals_the_slow_implementation(seed):
    rng = np.random.default_rng(seed)
    preds = rng.integers(0, 7, (3, 9, 11), dtype=np.uint8)
    target = np.where(rng.random(preds.shape) < 0.6, preds, rng.integers(0, 5, preds.shape))
    target[rng.random(preds.shape) < 0.1] = IGNORE_INDEX
    target = target.astype(np.uint8)
    confmat = sum(confusion_matrix(p, t, 7) for p, t in zip(preds, target, strict=True))
    np.testing.assert_allclose(iou(confmat), slow_iou(preds, target, 7), rtol=1e-12)


@pytest.mark.parametrize(
    ("preds", "target", "message"),
    [
        (mask([[0, 3]]), mask([[0, 1]]), "preds must be below 3, got id 3"),
        (mask([[0, 255]]), mask([[0, 255]]), "preds must be below 3, got id 255"),
        (mask([[0, 1]]), mask([[0, 4]]), "target must be below 3 or 255, got id 4"),
        (mask([[0, 1]]), mask([[0], [1]]), "one shape"),
        (np.array([[0, 1]]), mask([[0, 1]]), "uint8, got int64"),
    ],
)
def test_confusion_matrix_names_what_is_wrong(preds, target, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(preds, target, 3)

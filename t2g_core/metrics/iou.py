# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Segmentation accuracy: confusion matrix, IoU and mIoU, as fractions from 0 to 1.

Masks are uint8 class ids; ``IGNORE_INDEX`` in a ground truth is void and counts nowhere. The
consistency over time has its own file, ``video_consistency.py``.
"""

from __future__ import annotations

import numpy as np

from t2g_core.labels import IGNORE_INDEX


def confusion_matrix(preds: np.ndarray, target: np.ndarray, num_classes: int) -> np.ndarray:
    """Count pixels by class: row = ground truth, column = prediction; ``(K, K)`` int64.

    ``preds`` and ``target`` are uint8 and of one shape. Add the matrices of all frames of a split
    before taking the IoU: the paper's mIoU is not a mean of values per image.

    Raises ``ValueError`` for other shapes or dtypes, for a predicted id outside ``0..K-1`` (also
    where the ground truth is void) and for a ground-truth id that is neither there nor void.
    """
    check_masks(preds, target)
    if preds.size and preds.max() >= num_classes:
        raise ValueError(f"preds must be below {num_classes}, got id {preds.max()}")
    labelled = target != IGNORE_INDEX
    truth = target[labelled].astype(np.int64)
    if truth.size and truth.max() >= num_classes:
        raise ValueError(
            f"target must be below {num_classes} or {IGNORE_INDEX}, got id {truth.max()}"
        )
    pairs = num_classes * truth + preds[labelled]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def iou(confmat: np.ndarray) -> np.ndarray:
    """Return the IoU of each class, ``(K,)`` float64: TP / (TP + FP + FN).

    A class without a ground-truth pixel is NaN, whether it was predicted or not (appendix B of the
    paper leaves it out); the pixels it took are still missing from the classes they belong to.
    """
    true_positives = np.diag(confmat).astype(np.float64)
    truth = confmat.sum(axis=1)
    union = truth + confmat.sum(axis=0) - true_positives
    return np.where(truth > 0, true_positives / np.maximum(union, 1), np.nan)


def miou(confmat: np.ndarray) -> float:
    """Return the mean IoU over the classes that have ground truth; NaN when none has."""
    values = iou(confmat)
    present = ~np.isnan(values)
    return float(values[present].mean()) if present.any() else float("nan")


def miou_with_absent(confmat: np.ndarray) -> float:
    """As ``miou``, but a class without ground truth that was predicted counts as zero.

    So do scripts that leave out a class only where neither has a pixel; NaN without any.
    """
    involved = (confmat.sum(axis=0) + confmat.sum(axis=1)) > 0
    values = np.nan_to_num(iou(confmat))[involved]
    return float(values.mean()) if involved.any() else float("nan")


def check_masks(preds: np.ndarray, target: np.ndarray) -> None:
    """Raise ``ValueError`` unless both are uint8 arrays of one shape."""
    if preds.dtype != np.uint8 or target.dtype != np.uint8:
        raise ValueError(f"preds and target must be uint8, got {preds.dtype} and {target.dtype}")
    if preds.shape != target.shape:
        raise ValueError(
            f"preds and target must have one shape, got {preds.shape} and {target.shape}"
        )

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The size and the sampling that a frame is resized with."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from t2g_core.encoders.normalise import normalise
from t2g_core.images.model_input import fit_size, resize

BUDGET = (768, 576)


@pytest.mark.parametrize(
    ("frame", "size"),
    [
        ((480, 360), (768, 576)),  # 4:3 gets the budget itself
        ((3384, 2710), (736, 592)),
        ((1920, 1080), (880, 496)),
        ((1408, 376), (1280, 336)),
        ((360, 480), (576, 768)),
        ((1, 1), (672, 672)),
    ],
)
def test_a_frame_keeps_its_aspect_ratio_within_the_budget(frame, size):
    assert fit_size(frame, BUDGET) == size
    assert size[0] * size[1] == pytest.approx(768 * 576, rel=0.05)


def test_a_line_of_pixels_does_not_break_the_budget():
    width, height = fit_size((100_000, 1), BUDGET)
    assert width % 16 == height % 16 == 0 and width * height <= 1.1 * 768 * 576


def test_shrinking_averages_so_that_a_small_move_changes_little():
    """Stripes two pixels wide: bilinear sampling at a third shows them as something that moves."""
    stripes = np.tile(np.array([0, 0, 255, 255], np.uint8), (64, 48))[..., None].repeat(3, 2)
    moved = np.roll(stripes, 1, axis=1)
    size = (64, 21)
    ours = np.abs(resize(stripes, size).astype(int) - resize(moved, size)).mean()
    bilinear = [
        cv2.resize(x, size, interpolation=cv2.INTER_LINEAR).astype(int) for x in (stripes, moved)
    ]
    assert ours < 0.7 * np.abs(bilinear[0] - bilinear[1]).mean()


def test_growing_is_bilinear():
    image = np.array([[[0, 0, 0], [200, 200, 200]]], np.uint8)
    assert resize(image, (4, 1))[0, :, 0].tolist() == [0, 50, 150, 200]


def test_normalise_by_hand():
    out = normalise(torch.tensor([[[124, 116, 104]]], dtype=torch.uint8))
    assert out.shape == (3, 1, 1)
    expected = [
        (124 / 255 - 0.485) / 0.229,
        (116 / 255 - 0.456) / 0.224,
        (104 / 255 - 0.406) / 0.225,
    ]
    torch.testing.assert_close(out.flatten(), torch.tensor(expected))

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Class names, palette and the painting of masks."""

from __future__ import annotations

import numpy as np
import pytest

from t2g_core.labels import CAMVID_CLASSES, IGNORE_INDEX, PALETTE, colorize, colour_of, palette_of


def test_every_class_has_its_own_colour():
    assert len(CAMVID_CLASSES) == 11
    assert set(CAMVID_CLASSES) <= set(PALETTE)
    assert len(set(PALETTE.values())) == len(PALETTE) == 15


def test_palette_follows_the_order_of_the_names():
    assert palette_of(("road", "sky")).tolist() == [[128, 64, 128], [70, 130, 180]]
    assert palette_of(("sky",)).dtype == np.uint8


def test_palette_names_the_class_without_a_colour():
    with pytest.raises(ValueError, match="dragon"):
        palette_of(("road", "dragon"))


def test_colorize_paints_ids_and_leaves_void_black():
    palette = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)
    mask = np.array([[0, 1], [IGNORE_INDEX, 0]], dtype=np.uint8)
    painted = colorize(mask, palette)
    assert painted.dtype == np.uint8
    assert painted.tolist() == [[[1, 2, 3], [4, 5, 6]], [[0, 0, 0], [1, 2, 3]]]


def test_colorize_of_an_all_void_mask_is_black():
    mask = np.full((2, 3), IGNORE_INDEX, dtype=np.uint8)
    assert not colorize(mask, palette_of(CAMVID_CLASSES)).any()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((2, 2), 11, np.uint8), "id 11"),
        (np.zeros((2, 2), np.int64), "int64"),
        (np.zeros((1, 2, 2), np.uint8), r"\(1, 2, 2\)"),
    ],
)
def test_colorize_refuses_what_is_no_mask_of_the_palette(mask, message):
    with pytest.raises(ValueError, match=message):
        colorize(mask, palette_of(CAMVID_CLASSES))


def test_colorize_refuses_a_palette_of_another_shape():
    with pytest.raises(ValueError, match="palette"):
        colorize(np.zeros((2, 2), np.uint8), np.zeros((11, 4), np.uint8))


def test_own_classes_get_a_colour_of_their_name():
    assert colour_of("car") == PALETTE["car"]
    assert colour_of("shelf") == colour_of("shelf") != colour_of("floor")
    assert (
        all(0 <= channel <= 255 for channel in colour_of("shelf")) and max(colour_of("shelf")) > 200
    )

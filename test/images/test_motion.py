# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Motion between images: shifts that are known, under a haze that changes, at every size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from t2g_core.images.motion import motion, motion_of_batch, structure

HEIGHT, WIDTH = 128, 192


def scene(seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 with structure at several scales, larger than a frame."""
    rng = np.random.default_rng(seed)
    image = np.zeros((HEIGHT + 64, WIDTH + 64, 3), np.float32)
    for cells in (6, 20, 60):
        coarse = rng.random((cells, cells, 3), np.float32)
        image += cv2.resize(coarse, (WIDTH + 64, HEIGHT + 64), interpolation=cv2.INTER_CUBIC)
    return np.clip(image * 85, 0, 255).astype(np.uint8)


def cut(image: np.ndarray, x: int, y: int) -> np.ndarray:
    """A frame whose corner is (x, y), (H, W, 3)."""
    return np.ascontiguousarray(image[y : y + HEIGHT, x : x + WIDTH])


def haze(image: np.ndarray, seed: int) -> np.ndarray:
    """A thick, smooth layer of light that hides three quarters of the contrast."""
    coarse = np.random.default_rng(seed).random((3, 4, 1), np.float32)
    layer = cv2.resize(coarse, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)[..., None]
    return np.clip(image * 0.25 + 150 * layer + 30, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shift", [(0, 0), (8, 0), (-12, 6), (3, -5)])
@pytest.mark.parametrize("hazy", [False, True])
def test_a_shift_of_the_camera_is_found(shift, hazy):
    """The camera moves by (x, y) pixels: content was that much further right and down before."""
    now, past = scene(), scene()
    if hazy:
        now, past = haze(now, 1), haze(past, 2)
    x, y = shift
    found = motion(structure(cut(now, 32 + x, 32 + y)), structure(cut(past, 32, 32)))
    assert found.flow.shape == (1, 2, HEIGHT // 8, WIDTH // 8)
    assert found.residual.shape == (1, 1, HEIGHT // 8, WIDTH // 8)
    inner = found.flow[0, :, 3:-3, 3:-3]
    np.testing.assert_allclose(inner.mean(axis=(1, 2)), (x / 8, y / 8), atol=0.06)
    assert found.residual[0, 0, 3:-3, 3:-3].mean() < (0.5 if hazy else 0.2)


def test_what_came_into_view_has_a_large_residual():
    now, past = cut(scene(), 32, 32), cut(scene(), 32, 32)
    now[40:88, 64:128] = cut(scene(1), 0, 0)[40:88, 64:128]
    residual = motion(structure(now), structure(past)).residual[0, 0]
    inside, outside = residual[6:10, 9:15].mean(), residual[:, :5].mean()
    assert inside > 5 * outside


def test_frames_of_a_batch_are_found_each_by_itself():
    pairs = [(cut(scene(s), 32 + s, 32), cut(scene(s), 32, 32)) for s in range(3)]
    now, past = (np.stack([structure(f) for f in frames]) for frames in zip(*pairs, strict=True))
    together = motion_of_batch(now, past)
    for i in range(3):
        alone = motion(now[i], past[i])
        assert np.array_equal(together.flow[i], alone.flow[0])
        assert np.array_equal(together.residual[i], alone.residual[0])


def test_before_the_first_frame_nothing_has_moved():
    found = motion(structure(cut(scene(), 0, 0)), None)
    assert found.flow.shape == (1, 2, HEIGHT // 8, WIDTH // 8) and not found.flow.any()
    assert found.residual.shape == (1, 1, HEIGHT // 8, WIDTH // 8) and not found.residual.any()


@pytest.mark.parametrize("size", [(16, 16), (16, 160), (32, 16), (64, 96)])
def test_small_and_narrow_images_have_a_motion_too(size):
    seen = structure(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
    found = motion(seen, seen)
    assert found.flow.shape == (1, 2, size[0] // 8, size[1] // 8)
    assert np.abs(found.flow).max() < 0.1


def test_a_flat_image_has_no_structure_and_no_motion():
    flat = structure(np.full((64, 96, 3), 90, np.uint8))
    assert (flat == 128).all()
    assert np.abs(motion(flat, flat).flow).max() == 0

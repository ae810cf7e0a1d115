# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Images that are not what they seem, on the rendered street."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from t2g_core.faults.image_faults import blackout, blur, dirt, overexposure
from t2g_core.health.findings import BLACKOUT, BLURRED, FROZEN, LOW_CONTRAST, OVEREXPOSED
from t2g_core.health.image_watch import ImageWatch, signs_of
from t2g_core.health.limits import HealthLimits
from t2g_core.street.scene import StreetScene

LIMITS = HealthLimits()


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    """One rendered picture that moves, with a sensor's noise."""
    picture, _ = StreetScene(frames=1, width=240, height=180).frame(0)
    rng, found = np.random.default_rng(0), []
    for number in range(32):
        noisy = np.roll(picture, 2 * number, axis=1) + rng.normal(0, 1, picture.shape)
        found.append(noisy.clip(0, 255).astype(np.uint8))
    return found


def kinds_of(watch: ImageWatch, images, limits=LIMITS) -> list[str]:
    found = [watch.update(signs_of(image), limits) for image in images]
    assert all(len(findings) <= 1 for findings in found)
    return [findings[0].kind if findings else "" for findings in found]


@pytest.fixture
def watch(images):
    watch = ImageWatch()
    assert not any(kinds_of(watch, images[:20]))
    return watch


def painted(paint, images, seed=1):
    return [paint(image, n, np.random.default_rng(seed)) for n, image in enumerate(images)]


def steamed_up(image, lasted, rng):
    return (0.3 * image + 130).astype(np.uint8)


@pytest.mark.parametrize(
    ("paint", "kind", "delay"),
    [
        (blackout, BLACKOUT, 0),
        (overexposure, OVEREXPOSED, 0),
        (blur, BLURRED, 4),
        (dirt, BLURRED, 4),
        (steamed_up, LOW_CONTRAST, 4),
    ],
)
def test_each_is_found_named_and_over_when_it_is_over(watch, images, paint, kind, delay):
    found = kinds_of(watch, painted(paint, images[20:28]))
    assert set(found[delay:]) == {kind} and set(found[:delay]) <= {"", kind}
    assert not kinds_of(watch, images[20:28])[-1]


def test_an_image_that_comes_again_and_again(watch, images):
    found = kinds_of(watch, [images[19]] * 8)
    assert found == [""] * 3 + [FROZEN] * 5
    assert kinds_of(ImageWatch(), [images[0]] * 5)[-1] == FROZEN
    noise = [images[0] + np.random.default_rng(n).integers(0, 2, images[0].shape) for n in range(9)]
    assert not any(kinds_of(ImageWatch(), [n.astype(np.uint8) for n in noise]))


def test_what_lasts_does_not_become_usual(watch, images):
    assert set(kinds_of(watch, painted(blur, [images[20]] * 4 + images[20:] * 10))[5:]) == {BLURRED}


def test_limits_of_zero_switch_each_off(watch, images):
    off = replace(
        LIMITS,
        overexposed_error=0,
        blur_warning=0,
        contrast_warning=0,
        dirt_warning=0,
        frozen_images=0,
    )
    for paint in (overexposure, blur, dirt, steamed_up):
        assert not any(kinds_of(watch, painted(paint, images[20:26]), off))
    assert not any(kinds_of(watch, [images[19]] * 8, off))


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (900, 2), (33, 17)])
def test_any_size_has_figures(shape):
    watch = ImageWatch()
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for _ in range(25)]
    assert len(kinds_of(watch, images)) == 25


def test_another_size_is_not_the_same_image():
    watch = ImageWatch()
    grey = np.full((60, 80, 3), 90, np.uint8)
    found = kinds_of(watch, [grey] * 4 + [np.full((90, 80, 3), 90, np.uint8)] * 2)
    assert not any(found)

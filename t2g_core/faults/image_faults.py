# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in front of a sensor and in it, painted into images (H, W, 3) uint8 RGB.

Each function takes the image, how many frames the fault has lasted (0 for its first) and a
generator that is seeded alike for all frames of one fault: what clings to a lens stays there.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from t2g_core.data.corruptions import load_library

ROLLING_IN = 10  # frames until weather is fully there

ImageFault = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def blackout(image: np.ndarray, lasted: int, rng: np.random.Generator) -> np.ndarray:
    """A covered lens or a dead sensor: its noise is left."""
    noise = np.random.default_rng(lasted).normal(3, 1.5, image.shape)
    return noise.clip(0, 255).astype(np.uint8)


def overexposure(image: np.ndarray, lasted: int, rng: np.random.Generator) -> np.ndarray:
    """An exposure that has run away: three to eight times the light."""
    return (image * rng.uniform(3, 8)).clip(0, 255).astype(np.uint8)


def blur(image: np.ndarray, lasted: int, rng: np.random.Generator) -> np.ndarray:
    """A lens out of focus or fogged: Gaussian, 0.5 to 1.5 % of the width."""
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.005, 0.015) * image.shape[1])


def dirt(image: np.ndarray, lasted: int, rng: np.random.Generator) -> np.ndarray:
    """A splash on the lens: soft dark blots over a fifth to two fifths of the picture."""
    height, width = image.shape[:2]
    cover = np.zeros((height, width), np.float32)
    wanted = rng.uniform(0.2, 0.4)
    while cover.mean() < wanted:
        centre = int(rng.uniform(0, width)), int(rng.uniform(0.25, 1) * height)
        axes = tuple(int(rng.uniform(0.06, 0.14) * width) for _ in range(2))
        cv2.ellipse(cover, centre, axes, rng.uniform(0, 180), 0, 360, 1.0, -1)
    cover = 0.92 * cv2.GaussianBlur(cover, (0, 0), 0.012 * width)[..., None]
    mud = np.float32([96, 84, 70])
    return (image * (1 - cover) + mud * cover).astype(np.uint8)


def fog(image: np.ndarray, lasted: int, rng: np.random.Generator) -> np.ndarray:
    """The fog of ImageNet-C, severity 5, that grows over ten frames and then stays as it is."""
    seed = int(rng.integers(2**31))
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        foggy = load_library().corrupt(image, severity=5, corruption_name="fog")
    finally:
        np.random.set_state(state)  # noqa: NPY002
    share = min(1.0, (lasted + 1) / ROLLING_IN)
    return cv2.addWeighted(foggy, share, image, 1 - share, 0)


IMAGE_FAULTS: dict[str, ImageFault] = {
    "blackout": blackout,
    "overexposure": overexposure,
    "blur": blur,
    "dirt": dirt,
    "fog rolling in": fog,
}

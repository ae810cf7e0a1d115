# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A driving clip that needs no data: a rendered street with an exact label for every pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from t2g_core.labels import CAMVID_CLASSES, IGNORE_INDEX
from t2g_core.street.ground import draw_ground
from t2g_core.street.layout import CAMERA_X_M, Street, build_street
from t2g_core.street.raster import Camera, Canvas
from t2g_core.street.weather import WEATHERS, draw_sky, draw_weather

CAMERA_HEIGHT_M = 1.4
SPEED_M_S = 7.5
FOCAL_WIDTHS = 0.95  # focal length in image widths: 56 degrees across, a dashboard camera
OVERSAMPLING = 2


@dataclass(frozen=True)
class StreetScene:
    """A drive along a rendered street; equal fields give equal pictures, bit for bit.

    ``width`` and ``height`` are in pixels, ``weather`` is one of ``WEATHERS``. Raises
    ``ValueError`` for another weather, or where a number is not positive.
    """

    seed: int = 7
    frames: int = 60
    width: int = 480
    height: int = 360
    rate_hz: float = 15.0
    weather: str = "clear"

    def __post_init__(self) -> None:
        if self.weather not in WEATHERS:
            raise ValueError(f"weather must be one of {WEATHERS}, got {self.weather!r}")
        if min(self.frames, self.width, self.height, self.rate_hz) <= 0:
            raise ValueError(
                "frames, width, height and rate_hz must be positive, got "
                f"{self.frames}, {self.width}, {self.height}, {self.rate_hz}"
            )

    @cached_property
    def street(self) -> Street:
        """The street of this seed, built at the first use (about two seconds)."""
        return build_street(self.seed, self.frames / self.rate_hz * SPEED_M_S)

    def camera(self, index: int) -> Camera:
        """Return the camera of frame ``index``: steady speed, the small motions of a car."""
        time_s = index / self.rate_hz
        bounce = 0.012 * np.sin(7.1 * time_s) + 0.008 * np.sin(11.3 * time_s + 1)
        position = (
            CAMERA_X_M + 0.08 * np.sin(0.9 * time_s),
            CAMERA_HEIGHT_M + bounce,
            SPEED_M_S * time_s,
        )
        scale = OVERSAMPLING
        focal = FOCAL_WIDTHS * self.width * scale
        pitch = 0.012 + 0.15 * bounce
        yaw = 0.006 * np.sin(0.7 * time_s + 0.5)
        return Camera(position, pitch, yaw, focal, self.width * scale, self.height * scale)

    def frame(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the image (H, W, 3) uint8 RGB and the labels (H, W) uint8 of frame ``index``.

        Labels are ids in the order of ``CAMVID_CLASSES``. Raises ``ValueError`` for an index
        outside the clip.
        """
        if not 0 <= index < self.frames:
            raise ValueError(f"frame must be in 0..{self.frames - 1}, got {index}")
        canvas = self.paint(index)
        rng = np.random.default_rng([self.seed, index])
        lit = draw_weather(canvas, self.weather, rng)
        size = (self.width, self.height)
        image = cv2.resize(lit, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        return expose(image, rng), majority(canvas.labels, OVERSAMPLING)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the image and labels of each frame in turn."""
        return (self.frame(index) for index in range(self.frames))

    def paint(self, index: int) -> Canvas:
        """Return frame ``index`` at the oversampled size, before weather and lens."""
        camera = self.camera(index)
        shape = (camera.height, camera.width)
        canvas = Canvas(
            camera,
            np.zeros((*shape, 3), np.uint8),
            np.full(shape, IGNORE_INDEX, np.uint8),
            np.full(shape, 1e4, np.float32),
        )
        draw_sky(canvas, self.street.clouds, self.weather)
        draw_ground(canvas, self.street.ground)
        for surface in self.street.behind + self.street.houses:
            canvas.draw(surface)
        for surface in self.in_front(index, camera):
            canvas.draw(surface)
        return canvas

    def in_front(self, index: int, camera: Camera) -> list:
        """Return the surfaces between the two rows of houses, farthest first."""
        time_s, viewer = index / self.rate_hz, np.array(camera.position)
        things = [mover.surfaces(time_s, viewer) for mover in self.street.moving]
        things += self.street.standing
        things.sort(key=lambda thing: -thing[0])
        return [surface for _, surfaces in things for surface in surfaces]


def majority(labels: np.ndarray, factor: int) -> np.ndarray:
    """Return the most frequent id of each ``factor`` x ``factor`` block, the lower id in a tie."""
    height, width = labels.shape[0] // factor, labels.shape[1] // factor
    blocks = labels.reshape(height, factor, width, factor)
    votes = [(blocks == k).sum(axis=(1, 3)) for k in range(len(CAMVID_CLASSES))]
    return np.argmax(votes, axis=0).astype(np.uint8)


def expose(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bloom of bright sky, a slightly soft lens, vignetting and sensor noise; returns uint8."""
    height, width = image.shape[:2]
    bright = np.clip(image - 200, 0, None)
    image = image + 0.5 * (cv2.GaussianBlur(bright, (0, 0), width / 60) - bright * 0.5)
    image = cv2.GaussianBlur(image, (0, 0), 0.45)
    x, y = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    image = image * (1.02 - 0.07 * (x**2 + y**2))[..., None]
    noise = rng.normal(0, 1.7, (height, width, 1)) + rng.normal(0, 0.9, (height, width, 3))
    return np.clip(image + noise + 0.5, 0, 255).astype(np.uint8)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Sky and weather of the rendered street: clouds, haze, fog, rain and falling snow."""

from __future__ import annotations

import cv2
import numpy as np

from t2g_core.labels import CAMVID_CLASSES
from t2g_core.street.raster import Canvas
from t2g_core.street.textures import fractal_noise

WEATHERS = ("clear", "fog", "rain", "snow")
# How much light is lost to haze in each metre, and the haze's colour.
HAZE_PER_M = {"clear": 0.0012, "fog": 0.022, "rain": 0.006, "snow": 0.008}
HAZE_RGB = {"clear": (214, 222, 230), "fog": (190, 193, 196), "rain": (150, 154, 160),
            "snow": (196, 199, 204)}  # fmt: skip
SKY = CAMVID_CLASSES.index("sky")
ROAD = CAMVID_CLASSES.index("road")


def paint_clouds(rng: np.random.Generator) -> np.ndarray:
    """Return a panorama of cloud density, (512, 2048) float32, mean 0, standard deviation 1."""
    return fractal_noise(rng, 512, 2048, 190, 6)


def draw_sky(canvas: Canvas, clouds: np.ndarray, weather: str) -> None:
    """Fill the canvas with sky: blue overhead, white at the horizon, clouds at infinity."""
    rays = canvas.camera.rays()
    steep = np.clip(rays[..., 1], 0, 1)[..., None]
    clear = np.array((236, 240, 243)) * (1 - steep) + np.array((118, 164, 216)) * steep
    column = (rays[..., 0] * 700 + 1024).astype(np.float32)
    row = (500 - np.clip(rays[..., 1], 0, None) * 650).astype(np.float32)
    cloud = cv2.remap(clouds, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    cover = np.clip(0.5 + 0.45 * cloud, 0, 1)[..., None]
    white = np.array((240, 242, 244)) - 12 * np.clip(cloud, -1, 1.5)[..., None]
    sky = clear * (1 - cover) + white * cover
    if weather != "clear":
        grey = np.array(HAZE_RGB[weather])
        sky = grey + 0.12 * (sky - sky.mean())
    canvas.rgb[:] = np.clip(sky, 0, 255).astype(np.uint8)
    canvas.labels[:] = SKY


def draw_weather(canvas: Canvas, weather: str, rng: np.random.Generator) -> np.ndarray:
    """Return the canvas's picture, (H, W, 3) float32, as seen through the air of ``weather``."""
    image = canvas.rgb.astype(np.float32)
    if weather == "rain":
        image = wet_road(canvas, image * 0.8)
    elif weather == "snow":
        image = image * 0.85 + 18
    kept = np.exp(-HAZE_PER_M[weather] * canvas.depth)
    kept[canvas.labels == SKY] = 1
    image = image * kept[..., None] + np.array(HAZE_RGB[weather]) * (1 - kept[..., None])
    if weather == "rain":
        image = streaks(image, rng)
    elif weather == "snow":
        image = flakes(image, rng)
    return image.astype(np.float32)


def wet_road(canvas: Canvas, image: np.ndarray) -> np.ndarray:
    """Darken the road and mirror in it, softly, what stands above it."""
    road = canvas.labels == ROAD
    if not road.any():
        return image
    horizon = int(np.nonzero(road.any(axis=1))[0][0])
    rows = np.clip(2 * horizon - np.arange(image.shape[0]), 0, horizon)
    mirrored = cv2.GaussianBlur(image[rows], (0, 0), 3, sigmaY=14)
    blended = 0.62 * image + 0.28 * mirrored
    return np.where(road[..., None], blended, image)


def streaks(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw falling rain as short, faint, slanted lines."""
    height, width = image.shape[:2]
    layer = np.zeros((height, width), np.float32)
    for x, y, share in rng.random((height * width // 1400, 3)):
        start = (int(x * width), int(y * height))
        stop = (start[0] + int(2 + 3 * share), start[1] + int(height * (0.015 + 0.035 * share)))
        cv2.line(layer, start, stop, 0.12 + 0.2 * share, 1, cv2.LINE_AA)
    layer = cv2.GaussianBlur(layer, (0, 0), 0.8)[..., None]
    return image * (1 - layer) + 205 * layer


def flakes(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw falling snow: many small flakes far away, a few large blurred ones close by."""
    height, width = image.shape[:2]
    for count, radius, strength in (
        (height * width // 900, 1, 0.5),
        (height * width // 7000, 3, 0.6),
    ):
        layer = np.zeros((height, width), np.float32)
        for x, y in rng.random((count, 2)):
            cv2.circle(layer, (int(x * width), int(y * height)), radius, 1.0, -1, cv2.LINE_AA)
        layer = strength * cv2.GaussianBlur(layer, (0, 0), 0.7 * radius)[..., None]
        image = image * (1 - layer) + 236 * layer
    return image

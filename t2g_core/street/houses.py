# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Houses of the rendered street: facade, roof, gable end and chimney as flat surfaces."""

from __future__ import annotations

import cv2
import numpy as np

from t2g_core.labels import CAMVID_CLASSES
from t2g_core.street.ground import HALF_PAVED_M
from t2g_core.street.raster import Surface, cut_out, opaque, upright
from t2g_core.street.textures import PIXELS_PER_M, brick, facade, modulate, roof, weathered

LIGHT_ON = {-1: 0.6, 1: 0.98}  # the sun stands behind the left row of houses
BUILDING = CAMVID_CLASSES.index("building")


def house(
    rng: np.random.Generator, side: int, z: float, width: float, height: float
) -> list[Surface]:
    """Return roof, gable end, chimney and facade of one house, in drawing order."""
    x, depth = side * (HALF_PAVED_M + rng.uniform(0, 0.5)), 8.0
    rise = rng.uniform(2.0, 3.2)
    light = LIGHT_ON[side]
    slope = modulate(roof(rng, width, 5.0), 0.75 + 0.25 * light)
    inner = x + side * depth / 2
    ridge, eaves = height + rise, x - 0.2 * side
    eaves_to_ridge = np.array(
        [
            [inner, ridge, z],
            [inner, ridge, z + width],
            [eaves, height, z + width],
            [eaves, height, z],
        ]
    )
    chimney = modulate(brick(rng, 2 * PIXELS_PER_M, PIXELS_PER_M), 0.7)
    stack = upright(inner, height + rise - 0.9, z + width * 0.8, 0.9, 2.2)
    parts = [Surface(stack, opaque(chimney), BUILDING)]
    parts.append(Surface(eaves_to_ridge, opaque(slope), BUILDING))
    parts.append(gable(rng, (x, x + side * depth), z, height, rise))
    front = modulate(facade(rng, width, height, shop=rng.random() < 0.45), light)
    return parts + front_slices(front, side, x, z, width, height)


def gable(
    rng: np.random.Generator, ends: tuple[float, float], z: float, height: float, rise: float
) -> Surface:
    """Return the end wall that faces the camera, pitched like the roof behind it."""
    left, right = min(ends), max(ends)
    rows, columns = int((height + rise) * 40), int((right - left) * 40)
    wall = modulate(weathered(rng, brick(rng, rows, columns)), 0.72)
    alpha = np.zeros((rows, columns), np.uint8)
    eaves = int(rise * 40)
    outline = [[0, rows], [0, eaves], [columns // 2, 0], [columns, eaves], [columns, rows]]
    cv2.fillPoly(alpha, [np.array(outline, np.int32)], 255, cv2.LINE_AA)
    corners = upright((left + right) / 2, 0, z, right - left, height + rise)
    return Surface(corners, cut_out(wall, alpha), BUILDING)


def front_slices(
    front: np.ndarray, side: int, x: float, z: float, width: float, height: float
) -> list[Surface]:
    """Cut a facade into pieces about 3 m long: each is shrunk to its own size on screen."""
    count = max(1, round(width / 3))
    edges = np.linspace(0, 1, count + 1)
    slices = []
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        part = front[:, int(start * front.shape[1]) : int(np.ceil(stop * front.shape[1]))]
        near, far = (start, stop) if side < 0 else (1 - start, 1 - stop)
        first, last = z + near * width, z + far * width
        corners = [[x, height, first], [x, height, last], [x, 0, last], [x, 0, first]]
        slices.append(Surface(np.array(corners), opaque(part), BUILDING))
    return sorted(slices, key=lambda surface: -surface.corners[:, 2].max())

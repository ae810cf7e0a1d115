# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The ground of the rendered street: one painted map, seen by casting each pixel's ray onto it.

The map covers the street between ``-HALF_MAP_M`` and ``HALF_MAP_M`` across and its whole length;
asphalt, lane markings, paving, grass and standing shadows are painted into it once. The sidewalks
lie ``KERB_M`` higher than the road, with the kerb's face between.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from t2g_core.labels import CAMVID_CLASSES
from t2g_core.street.raster import Camera, Canvas
from t2g_core.street.textures import fractal_noise, modulate

HALF_ROAD_M = 4.6
HALF_PAVED_M = 8.2
HALF_MAP_M = 13.0
KERB_M = 0.12
TEXEL_M = 0.03
GRAIN_TEXEL_M = 0.008

ROAD = CAMVID_CLASSES.index("road")
SIDEWALK = CAMVID_CLASSES.index("sidewalk")
VEGETATION = CAMVID_CLASSES.index("vegetation")

ASPHALT = np.array((76, 78, 83), np.float32)
PAVING = np.array((96, 93, 90), np.float32)
GRASS = np.array((78, 88, 52), np.float32)
PAINT = np.array((182, 182, 178), np.float32)
YELLOW = np.array((160, 138, 62), np.float32)


@dataclass(frozen=True)
class Ground:
    """Mip levels of the painted map, each half as long as the one before, and a fine grain.

    ``levels`` are ``(length, across, 3)`` uint8 (row 0 at z = 0); ``grain`` is ``(N, N)`` float32,
    mean 0, repeated over the ground.
    """

    levels: tuple[np.ndarray, ...]
    grain: np.ndarray
    length_m: float


def columns(left_m: float, right_m: float) -> slice:
    """Return the map's columns between two positions across the street."""
    return slice(round((left_m + HALF_MAP_M) / TEXEL_M), round((right_m + HALF_MAP_M) / TEXEL_M))


def rows(start_m: float, stop_m: float) -> slice:
    """Return the map's rows between two positions along the street."""
    return slice(max(round(start_m / TEXEL_M), 0), max(round(stop_m / TEXEL_M), 0))


def paint_ground(rng: np.random.Generator, length_m: float, shade: np.ndarray) -> Ground:
    """Paint a street of ``length_m``; ``shade`` is a coarse gain map that is stretched over it."""
    height, width = int(length_m / TEXEL_M), int(2 * HALF_MAP_M / TEXEL_M)
    picture = np.empty((height, width, 3), np.uint8)
    base = np.tile(GRASS, (width, 1))
    base[columns(-HALF_PAVED_M, HALF_PAVED_M)] = PAVING
    base[columns(-HALF_ROAD_M, HALF_ROAD_M)] = ASPHALT
    picture[:] = base.astype(np.uint8)
    paint_slabs(rng, picture)
    paint_wear(rng, picture)
    paint_markings(rng, picture, length_m)
    broad = cv2.resize(fractal_noise(rng, height // 8, width // 8, 40, 5), (width, height))
    fine = np.tile(fractal_noise(rng, 1024, width, 5, 2), (height // 1024 + 1, 1))[:height]
    gain = cv2.resize(shade.astype(np.float32), (width, height)) * (1 + 0.045 * broad + 0.05 * fine)
    levels = [modulate(picture, gain)]
    while levels[-1].shape[0] > 400 and len(levels) < 6:
        rows_left, columns_left = levels[-1].shape[0] // 2, int(levels[-1].shape[1] / 1.3)
        levels.append(
            cv2.resize(levels[-1], (columns_left, rows_left), interpolation=cv2.INTER_AREA)
        )
    grain = fractal_noise(rng, 512, 512, 3, 2)
    return Ground(tuple(levels), grain, length_m)


def paint_slabs(rng: np.random.Generator, picture: np.ndarray) -> None:
    """Paving slabs of 90 x 60 cm with joints, and the light kerb stones at the road's edge."""
    slab_rows = round(0.9 / TEXEL_M)
    for side in (-1, 1):
        edges = np.arange(HALF_ROAD_M + 0.15, HALF_PAVED_M, 0.6) * side
        for edge in edges:
            strip = picture[:, columns(min(edge, edge + 0.6 * side), max(edge, edge + 0.6 * side))]
            tones = rng.normal(1, 0.05, strip.shape[0] // slab_rows + 1).repeat(slab_rows)
            tones[::slab_rows] *= 0.8
            strip[:] = np.clip(strip * tones[: len(strip), None, None], 0, 255).astype(np.uint8)
            strip[:, 0] = (strip[:, 0] * 0.8).astype(np.uint8)
        kerb = columns(*sorted((side * HALF_ROAD_M, side * (HALF_ROAD_M + 0.15))))
        picture[:, kerb] = (128, 125, 120)
        gutter = columns(*sorted((side * HALF_ROAD_M, side * (HALF_ROAD_M - 0.25))))
        picture[:, gutter] = (picture[:, gutter] * 0.86).astype(np.uint8)


def paint_wear(rng: np.random.Generator, picture: np.ndarray) -> None:
    """Wheel tracks, oil, repaired patches, cracks and manhole covers on the asphalt."""
    across = (np.arange(picture.shape[1]) + 0.5) * TEXEL_M - HALF_MAP_M
    on_road = np.abs(across) < HALF_ROAD_M
    lane = np.abs(across) - 1.9
    tracks = (
        1
        + 0.06 * np.exp(-(((np.abs(lane) - 0.75) / 0.28) ** 2))
        - 0.05 * np.exp(-((lane / 0.3) ** 2))
    )
    gain = np.where(on_road, tracks, 1.0)[None, :, None]
    picture[:] = np.clip(picture * gain, 0, 255).astype(np.uint8)
    left, right = columns(-HALF_ROAD_M + 0.3, HALF_ROAD_M - 0.3).indices(picture.shape[1])[:2]
    for _ in range(picture.shape[0] // 260):
        x, y = int(rng.integers(left, right)), int(rng.integers(picture.shape[0]))
        kind = rng.random()
        if kind < 0.35:  # a patch
            w, h = min(int(rng.integers(20, 70)), right - x), int(rng.integers(40, 260))
            patch = picture[y : y + h, x : x + w]
            patch[:] = (patch * rng.uniform(0.82, 0.95)).astype(np.uint8)
        elif kind < 0.85:  # a crack along the road
            steps = np.cumsum(rng.normal(0, [4, 3], (60, 2)) + [0, 10], axis=0)
            points = (steps + [x, y]).astype(np.int32)
            cv2.polylines(
                picture, [points[points[:, 0] < right]], False, (58, 59, 62), 1, cv2.LINE_AA
            )
        else:
            cv2.ellipse(picture, (x, y), (10, 11), 0, 0, 360, (52, 52, 54), -1, cv2.LINE_AA)


def paint_markings(rng: np.random.Generator, picture: np.ndarray, length_m: float) -> None:
    """A dashed centre line, double yellow lines at one kerb, a worn zebra crossing far ahead."""
    paint = np.zeros(picture.shape[:2], np.float32)
    for start in np.arange(1.0, length_m, 6.0):
        paint[rows(start, start + 4.0), columns(-0.06, 0.06)] = 1
    crossing = length_m * 0.55
    for x in np.arange(-HALF_ROAD_M + 0.3, HALF_ROAD_M - 0.5, 1.1):
        paint[rows(crossing, crossing + 2.8), columns(x, x + 0.55)] = 1
    for distance in (3.2, 5.2):  # the give-way lines before the crossing
        paint[rows(crossing - distance, crossing - distance + 0.2), columns(-HALF_ROAD_M, 0)] = 1
    wear = cv2.resize(
        fractal_noise(rng, picture.shape[0] // 4, picture.shape[1] // 4, 6, 4), paint.shape[::-1]
    )
    worn = (paint * np.clip(0.9 - 0.16 * wear, 0.2, 1))[..., None]
    picture[:] = (picture * (1 - worn) + PAINT * worn).astype(np.uint8)
    for offset in (0.3, 0.5):
        line = columns(-HALF_ROAD_M + offset, -HALF_ROAD_M + offset + 0.075)
        picture[:, line] = (0.3 * picture[:, line] + 0.7 * YELLOW).astype(np.uint8)


def sample(ground: Ground, x: np.ndarray, z: np.ndarray, footprint_m: np.ndarray) -> np.ndarray:
    """Look the map up at ``(H, W)`` positions; ``footprint_m`` ``(H, 1)`` picks the mip level."""
    level = np.clip(np.log2(np.maximum(footprint_m / TEXEL_M, 1e-3)), 0, len(ground.levels) - 1)
    colour = np.zeros((*x.shape, 3), np.float32)
    for number, picture in enumerate(ground.levels):
        weight = np.clip(1 - np.abs(level - number), 0, 1)
        used = np.nonzero(weight[:, 0])[0]
        if not len(used):
            continue
        band = slice(used[0], used[-1] + 1)
        height, width = picture.shape[:2]
        column = (x[band] + HALF_MAP_M) / (2 * HALF_MAP_M) * width - 0.5
        row = z[band] / ground.length_m * height - 0.5
        looked_up = cv2.remap(
            picture, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        colour[band] += weight[band, :, None] * looked_up
    size = len(ground.grain)
    near = np.clip(1.2 - footprint_m / 0.06, 0, 1)
    column, row = (x / GRAIN_TEXEL_M) % size, (z / GRAIN_TEXEL_M) % size
    grain = cv2.remap(ground.grain, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return colour * (1 + 0.09 * near * grain)[..., None]


def draw_ground(canvas: Canvas, ground: Ground) -> None:
    """Paint every pixel whose ray meets the ground: road, kerb face, sidewalk or grass."""
    camera = canvas.camera
    rays = camera.rays()
    start = int(np.argmax((rays[..., 1] < -1e-3).all(axis=1)))
    rays = rays[start:]
    at_road = meet(camera, rays, 0.0)
    at_kerb = meet(camera, rays, KERB_M)
    raised = np.abs(at_kerb[0]) >= HALF_ROAD_M
    face = ~raised & (np.abs(at_road[0]) >= HALF_ROAD_M)
    x, z, depth = (np.where(raised, high, low) for high, low in zip(at_kerb, at_road, strict=True))
    x = np.where(face, np.sign(x) * (HALF_ROAD_M + 0.08), x).astype(np.float32)
    footprint = depth.mean(axis=1, keepdims=True) ** 2 / (camera.focal * camera.position[1])
    colour = sample(ground, x, z.astype(np.float32), footprint)
    colour[face] *= 0.68
    canvas.rgb[start:] = np.clip(colour, 0, 255).astype(np.uint8)
    distance = np.abs(x)
    labels = np.where(distance < HALF_ROAD_M, ROAD, SIDEWALK)
    labels = np.where(distance > HALF_PAVED_M, VEGETATION, labels)
    canvas.labels[start:] = np.where(raised | face, labels, ROAD).astype(np.uint8)
    canvas.depth[start:] = depth


def meet(camera: Camera, rays: np.ndarray, y: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, z and depth (each ``(H, W)``) where rays meet the level plane at height ``y``."""
    depth = (y - camera.position[1]) / rays[..., 1]
    return (
        camera.position[0] + depth * rays[..., 0],
        camera.position[2] + depth * rays[..., 2],
        depth,
    )

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Noise, walls and facades for the rendered street: everything flat that is not a sprite.

Textures are RGB ``(H, W, 3)`` uint8, row 0 at the top; ``PIXELS_PER_M`` texels are one metre.
All randomness comes from the generator that is passed in.
"""

from __future__ import annotations

import cv2
import numpy as np

PIXELS_PER_M = 56

BRICK_TONES = ((124, 92, 72), (138, 112, 82), (104, 74, 62), (150, 132, 100), (92, 78, 70))
PLASTER_TONES = (
    (196, 190, 176),
    (178, 166, 140),
    (206, 202, 196),
    (160, 150, 140),
    (186, 176, 150),
)
FASCIA_TONES = (
    (24, 44, 88),
    (96, 24, 28),
    (28, 62, 44),
    (40, 40, 44),
    (170, 140, 60),
    (190, 190, 186),
)
SHOP_WORDS = ("BAKERY", "BOOKS", "CAFE", "FLORIST", "CYCLES", "PHARMACY", "TAILOR", "PRINTS", "TEA")


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 4
) -> np.ndarray:
    """Return ``(height, width)`` float32 noise, mean 0 and standard deviation 1.

    ``cell`` is the size in pixels of its largest blobs; each octave halves it and weighs 0.6 of the
    one before.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        grid = rng.standard_normal((int(height / size) + 3, int(width / size) + 3), np.float32)
        full = cv2.resize(grid, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)
        offset = int(size)
        total += 0.6**octave * full[offset : offset + height, offset : offset + width]
    return (total - total.mean()) / (total.std() + 1e-6)


def modulate(image: np.ndarray, gain: np.ndarray | float) -> np.ndarray:
    """Multiply an ``(H, W, 3)`` uint8 image by a gain, scalar or ``(H, W)``, clipped to 0..255."""
    gain = np.asarray(gain, np.float32)
    return np.clip(image * (gain[..., None] if gain.ndim else gain), 0, 255).astype(np.uint8)


def brick(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Bricks of 22.5 x 7.5 cm in running bond, each with its own tone, light mortar between."""
    tone = np.array(BRICK_TONES[rng.integers(len(BRICK_TONES))], np.float32)
    brick_w, brick_h = 0.225 * PIXELS_PER_M, 0.075 * PIXELS_PER_M
    row = (np.arange(height) / brick_h).astype(int)[:, None]
    column = ((np.arange(width)[None] / brick_w) + 0.5 * (row % 2)).astype(int)
    tones = rng.normal(1.0, 0.13, (row.max() + 1, column.max() + 1)).astype(np.float32)
    wall = tone * tones[row, column][..., None]
    joint_rows = (np.arange(height) % brick_h < 1.0)[:, None]
    joint_columns = ((np.arange(width)[None] + 0.5 * brick_w * (row % 2)) % brick_w) < 1.0
    wall = np.where((joint_rows | joint_columns)[..., None], 0.55 * wall + 0.45 * 140, wall)
    return np.clip(wall, 0, 255).astype(np.uint8)


def plaster(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A painted wall with a fine grain."""
    tone = np.array(PLASTER_TONES[rng.integers(len(PLASTER_TONES))], np.float32)
    grain = 1 + 0.025 * fractal_noise(rng, height, width, 6, 3)
    return np.clip(tone * grain[..., None], 0, 255).astype(np.uint8)


def weathered(rng: np.random.Generator, wall: np.ndarray) -> np.ndarray:
    """Stain a wall: large blotches, streaks that run down, dirt and shade near the ground."""
    height, width = wall.shape[:2]
    blotches = fractal_noise(rng, height, width, 2.5 * PIXELS_PER_M, 5)
    streaks = cv2.resize(fractal_noise(rng, 4, width, 10, 3), (width, height))
    above_m = (height - np.arange(height)[:, None]) / PIXELS_PER_M
    dirt = 1 - 0.22 * np.exp(-above_m / 0.8)
    return modulate(wall, (1 + 0.07 * blotches + 0.035 * streaks) * dirt)


def glass(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A pane from outside: a dim room, the sky mirrored in its upper part, at times a blind."""
    dark = rng.uniform(18, 46)
    sky = np.clip(np.linspace(rng.uniform(0.1, 0.9), -0.1, height), 0, 1)[:, None]
    room = fractal_noise(rng, height, width, max(height, width) / 3, 4) * 9
    value = dark + room + 120 * sky * rng.uniform(0.2, 0.9)
    pane = np.clip(value[..., None] * np.array([0.9, 0.98, 1.08]), 5, 225)
    if rng.random() < 0.35:
        drop = int(height * rng.uniform(0.15, 0.6))
        pane[:drop] = 0.35 * pane[:drop] + 0.65 * rng.uniform(120, 190)
    return pane.astype(np.uint8)


def paint_window(
    rng: np.random.Generator, wall: np.ndarray, box: tuple[int, int, int, int]
) -> None:
    """Paint one sash window into ``wall`` at ``box`` = (x, y, width, height), in texels."""
    x, y, w, h = box
    frame = max(2, int(0.05 * PIXELS_PER_M))
    white = tuple(int(v) for v in rng.choice([(214, 212, 206), (190, 188, 182), (90, 84, 76)]))
    lintel = int(0.16 * PIXELS_PER_M)
    cv2.rectangle(wall, (x - frame, y - lintel), (x + w + frame, y), (168, 158, 140), -1)
    cv2.rectangle(wall, (x, y), (x + w, y + h), white, -1)
    wall[y + frame : y + h - frame, x + frame : x + w - frame] = glass(
        rng, h - 2 * frame, w - 2 * frame
    )
    cv2.line(wall, (x, y + h // 2), (x + w, y + h // 2), white, frame)
    cv2.line(wall, (x + w // 2, y), (x + w // 2, y + h), white, max(1, frame // 2))
    reveal = wall[y : y + 2 * frame, x : x + w]  # the shade of the wall above the pane
    reveal[:] = (reveal * 0.45).astype(np.uint8)
    left = wall[y : y + h, x : x + frame]
    left[:] = (left * 0.6).astype(np.uint8)
    sill = int(0.09 * PIXELS_PER_M)
    cv2.rectangle(wall, (x - sill, y + h), (x + w + sill, y + h + sill), (186, 180, 168), -1)
    below = wall[y + h + sill : y + h + 3 * sill, x - sill : x + w + sill]
    below[:] = (below * 0.7).astype(np.uint8)


def paint_shop(rng: np.random.Generator, wall: np.ndarray, top: int) -> None:
    """Paint a shop over the whole width of ``wall`` from row ``top`` down to the ground."""
    height, width = wall.shape[:2]
    colour = np.array(FASCIA_TONES[rng.integers(len(FASCIA_TONES))])
    fascia = int(0.6 * PIXELS_PER_M)
    base = height - int(0.45 * PIXELS_PER_M)
    wall[top:] = colour * 0.8
    wall[top : top + fascia] = colour
    word = SHOP_WORDS[rng.integers(len(SHOP_WORDS))]
    ink = (225, 222, 210) if colour.mean() < 130 else (40, 38, 36)
    scale = fascia / 40
    cv2.putText(
        wall, word, (int(width * rng.uniform(0.1, 0.4)), top + int(fascia * 0.75)),
        cv2.FONT_HERSHEY_DUPLEX, scale, ink, max(1, int(2 * scale)), cv2.LINE_AA,
    )  # fmt: skip
    posts = np.linspace(0.03, 0.97, max(3, int(width / PIXELS_PER_M / 1.8)) + 1) * width
    for x0, x1 in zip(posts[:-1].astype(int) + 5, posts[1:].astype(int) - 5, strict=True):
        bottom = height - 4 if rng.random() < 0.25 else base
        wall[top + fascia + 8 : bottom, x0:x1] = glass(rng, bottom - top - fascia - 8, x1 - x0)
        for _ in range(4):  # goods behind the glass
            tint = (rng.uniform(30, 120) * rng.uniform(0.75, 1.25, 3)).astype(int).tolist()
            x, y = rng.integers(x0, x1), rng.integers(top + 2 * fascia, base)
            size = int(rng.integers(6, 22))
            cv2.rectangle(wall, (int(x), int(y)), (min(int(x) + size, x1), int(y) + size), tint, -1)
    shade = wall[top + fascia : top + fascia + 14]
    shade[:] = (shade * 0.5).astype(np.uint8)
    wall[top + fascia :] = cv2.GaussianBlur(wall[top + fascia :], (0, 0), 0.8)


def facade(
    rng: np.random.Generator, width_m: float, height_m: float, shop: bool = False
) -> np.ndarray:
    """A whole street front: wall, rows of windows, a ground floor, eaves, drainpipes, stains."""
    height, width = int(height_m * PIXELS_PER_M), int(width_m * PIXELS_PER_M)
    material = brick if rng.random() < 0.6 else plaster
    wall = weathered(rng, material(rng, height, width))
    ground = int(3.2 * PIXELS_PER_M)
    floors = max(1, int((height_m - 3.2) / 2.9))
    columns = max(2, int(width_m / rng.uniform(2.0, 2.9)))
    w, h = int(rng.uniform(0.85, 1.15) * PIXELS_PER_M), int(rng.uniform(1.4, 1.75) * PIXELS_PER_M)
    pitch_y = (height - ground - int(0.5 * PIXELS_PER_M)) / floors
    for floor in range(floors + (0 if shop else 1)):
        y = int(height - ground - (floor + 0.5) * pitch_y - h / 2 + 10)
        if floor == floors:
            y = height - ground + int(0.7 * PIXELS_PER_M)
        for column in range(columns):
            x = int((column + 0.5) * width / columns - w / 2)
            if floor == floors and column == columns // 2:
                paint_door(rng, wall, x)
            else:
                paint_window(rng, wall, (x, max(y, 14), w, h))
    if shop:
        paint_shop(rng, wall, height - ground)
    paint_eaves(wall)
    pipe = int(rng.uniform(0.02, 0.06) * width)
    cv2.line(wall, (pipe, 0), (pipe, height), (52, 50, 50), max(2, PIXELS_PER_M // 14))
    return wall


def paint_door(rng: np.random.Generator, wall: np.ndarray, x: int) -> None:
    """Paint a house door at column ``x``, standing on the ground."""
    height = wall.shape[0]
    w, h = int(1.0 * PIXELS_PER_M), int(2.2 * PIXELS_PER_M)
    colour = rng.integers(20, 110, 3).tolist()
    cv2.rectangle(wall, (x - 6, height - h - 6), (x + w + 6, height), (180, 176, 168), -1)
    cv2.rectangle(wall, (x, height - h), (x + w, height), colour, -1)
    cv2.rectangle(
        wall, (x + 8, height - h + 8), (x + w - 8, height - h // 2), [c // 2 for c in colour], 2
    )
    wall[height - h : height - h + 8, x : x + w] //= 2


def paint_eaves(wall: np.ndarray) -> None:
    """Paint a light cornice at the top of the wall and its shadow below."""
    depth = int(0.28 * PIXELS_PER_M)
    wall[:depth] = (0.45 * wall[:depth] + 0.55 * np.array([176, 172, 162])).astype(np.uint8)
    wall[depth : depth + 3] = wall[depth : depth + 3] // 2
    fade = np.linspace(0.55, 1.0, 2 * depth)[:, None, None]
    band = wall[depth + 3 : depth + 3 + len(fade)]
    band[:] = (band * fade[: len(band)]).astype(np.uint8)


def roof(rng: np.random.Generator, width_m: float, depth_m: float) -> np.ndarray:
    """Slates in rows, seen from above the eaves."""
    height, width = int(depth_m * PIXELS_PER_M), int(width_m * PIXELS_PER_M)
    tone = np.array([(92, 90, 94), (112, 84, 72), (84, 84, 90)][rng.integers(3)], np.float32)
    rows = 1 - 0.22 * ((np.arange(height) % 11) < 2)[:, None]
    gain = rows * (1 + 0.08 * fractal_noise(rng, height, width, 40, 5))
    return np.clip(tone * gain[..., None], 0, 255).astype(np.uint8)


def leaves(
    rng: np.random.Generator, height: int, width: int, tone: tuple[int, int, int]
) -> np.ndarray:
    """Dense foliage that fills the whole texture: clumps lit from above, dark gaps between."""
    clumps = fractal_noise(rng, height, width, 34, 5)
    fine = fractal_noise(rng, height, width, 5, 2)
    value = 0.85 + 0.26 * clumps + 0.26 * fine
    value = value + 0.5 * (clumps - np.roll(clumps, -4, axis=0))  # light comes from above
    warm = 1 + 0.06 * fractal_noise(rng, height, width, 60, 2)
    colour = np.array(tone, np.float32) * np.clip(value, 0.2, 1.9)[..., None]
    colour[..., 0] *= warm
    return np.clip(colour, 0, 255).astype(np.uint8)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Cut-out pictures of the rendered street: trees, people, a rider, signs, railings.

Each function returns a ``Texture`` whose height in texels stands for the height in metres that its
docstring names.
"""

from __future__ import annotations

import cv2
import numpy as np

from t2g_core.street.raster import Texture, cut_out
from t2g_core.street.textures import fractal_noise, leaves, modulate

SKIN = (176, 138, 116)
CLOTHES = (
    (34, 36, 44),
    (40, 40, 42),
    (42, 50, 78),
    (112, 34, 38),
    (84, 74, 58),
    (116, 114, 112),
    (36, 66, 92),
)


def tree(rng: np.random.Generator, size: int = 420) -> Texture:
    """A broad tree as high as wide: trunk and boughs, a crown of leaf clumps with gaps."""
    rgb = np.zeros((size, size, 3), np.uint8)
    wood = np.zeros((size, size), np.uint8)
    foot = np.array([size / 2, size], float)
    fork = foot - [rng.normal(0, 6), size * 0.42]
    cv2.line(wood, *(tuple(p.astype(int)) for p in (foot, fork)), 255, size // 26, cv2.LINE_AA)
    for angle in rng.uniform(-1.0, 1.0, 9):
        tip = fork + size * rng.uniform(0.25, 0.42) * np.array([np.sin(angle), -np.cos(angle)])
        cv2.line(wood, *(tuple(p.astype(int)) for p in (fork, tip)), 255, size // 70, cv2.LINE_AA)
    crown = np.zeros((size, size), np.float32)
    for _ in range(46):
        angle, radius = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random()) * 0.36
        x, y = 0.5 + radius * np.cos(angle), 0.38 + 0.86 * radius * np.sin(angle)
        reach = int(size * rng.uniform(0.06, 0.12))
        cv2.circle(crown, (int(x * size), int(y * size)), reach, 1.0, -1)
    crown = cv2.GaussianBlur(crown, (0, 0), size / 50)
    ragged = crown + 0.16 * fractal_noise(rng, size, size, size / 14, 5)
    alpha = largest_piece(np.clip((ragged - 0.42) * 9, 0, 1))
    tone = tuple(np.array([(76, 84, 48), (88, 90, 56), (62, 76, 46)][rng.integers(3)]))
    foliage = leaves(rng, size, size, tone)
    light = np.linspace(1.25, 0.6, size)[:, None] * np.linspace(1.12, 0.85, size)[None]
    foliage = modulate(foliage, light)
    bark = np.clip(1 + 0.25 * fractal_noise(rng, size, size, 12, 3), 0.4, 1.6)[..., None]
    rgb[:] = np.clip(np.array((74, 66, 58)) * bark, 0, 255).astype(np.uint8)
    rgb = (foliage * alpha[..., None] + rgb * (1 - alpha[..., None])).astype(np.uint8)
    outline = np.maximum((alpha * 255).astype(np.uint8), wood)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size // 32, size // 32))
    return cut_out(rgb, outline, cv2.morphologyEx(outline, cv2.MORPH_CLOSE, kernel))


def largest_piece(alpha: np.ndarray) -> np.ndarray:
    """Remove from an alpha map, 0..1, what does not hang together with its largest piece."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats((alpha > 0).astype(np.uint8))
    largest = 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    return np.where(pieces == largest, alpha, 0)


def limb(rgb: np.ndarray, alpha: np.ndarray, points: np.ndarray, width: float, colour) -> None:
    """Draw a bent limb through ``points`` (N, 2) in shares of the sprite's height."""
    height = rgb.shape[0]
    path = [(points * height).astype(np.int32)]
    thickness = max(1, int(width * height))
    cv2.polylines(rgb, path, False, tuple(int(c) for c in colour), thickness, cv2.LINE_AA)
    cv2.polylines(alpha, path, False, 255, thickness, cv2.LINE_AA)


def finish(rng: np.random.Generator, rgb: np.ndarray, alpha: np.ndarray) -> Texture:
    """Give a drawn figure folds, light from the left and soft edges."""
    height, width = alpha.shape
    folds = 1 + 0.16 * fractal_noise(rng, height, width, height / 9, 4)
    light = np.linspace(1.2, 0.78, width)[None]
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.8)
    return cut_out(modulate(cv2.GaussianBlur(rgb, (0, 0), 1.2), folds * light), alpha)


def pedestrian(seed: int, phase: float, from_behind: bool, height: int = 260) -> Texture:
    """A walking person, 1.78 m high and half as wide.

    ``phase`` is the step cycle in radians; the same ``seed`` is the same person.
    """
    rng = np.random.default_rng(seed)
    rgb, alpha = (
        np.zeros((height, height // 2, 3), np.uint8),
        np.zeros((height, height // 2), np.uint8),
    )
    coat, trousers = (np.array(CLOTHES[i]) for i in rng.choice(len(CLOTHES), 2, replace=False))
    swing = 0.5 * np.sin(phase)
    for side in (-1, 1):
        angle = side * swing
        hip = np.array([0.25 + 0.035 * side, 0.5])
        knee = hip + 0.23 * np.array([0.5 * np.sin(angle), np.cos(angle)])
        foot = knee + [0.04 * np.sin(angle), 0.23 - 0.05 * max(0.0, -angle)]
        limb(rgb, alpha, np.array([hip, knee, foot]), 0.072, trousers * (1.0 if side > 0 else 0.75))
        limb(rgb, alpha, np.array([foot, foot + [0.03, 0.012]]), 0.04, (28, 26, 26))
    for side in (-1, 1):
        shoulder = np.array([0.25 + 0.1 * side, 0.2])
        elbow = shoulder + 0.16 * np.array([0.3 * side * 0.4 - 0.3 * np.sin(side * swing), 1])
        hand = elbow + [0.02 - 0.04 * np.sin(side * swing), 0.14]
        limb(rgb, alpha, np.array([shoulder, elbow, hand]), 0.05, coat * 0.85)
        limb(rgb, alpha, np.array([hand, hand + [0, 0.012]]), 0.035, SKIN)
    torso = np.array(
        [[0.13, 0.19], [0.37, 0.19], [0.35, 0.4], [0.36, 0.56], [0.14, 0.56], [0.15, 0.4]]
    )
    for picture, colour in ((rgb, coat.tolist()), (alpha, 255)):
        cv2.fillPoly(picture, [(torso * height).astype(np.int32)], colour, cv2.LINE_AA)
    draw_head(rng, rgb, alpha, (0.25, 0.09), 0.062, from_behind)
    return finish(rng, rgb, alpha)


def draw_head(
    rng: np.random.Generator,
    rgb: np.ndarray,
    alpha: np.ndarray,
    centre: tuple[float, float],
    radius: float,
    from_behind: bool,
) -> None:
    """Draw neck, face and hair at ``centre`` (x, y), in shares of the sprite's height."""
    height = rgb.shape[0]
    x, y = int(centre[0] * height), int(centre[1] * height)
    axes = (int(0.8 * radius * height), int(radius * height * 1.2))
    cv2.rectangle(rgb, (x - axes[0] // 2, y), (x + axes[0] // 2, y + 2 * axes[1]), SKIN, -1)
    cv2.rectangle(alpha, (x - axes[0] // 2, y), (x + axes[0] // 2, y + 2 * axes[1]), 255, -1)
    hair = [(40, 32, 26), (70, 52, 36), (110, 96, 80)][rng.integers(3)]
    cv2.ellipse(rgb, (x, y), axes, 0, 0, 360, SKIN, -1, cv2.LINE_AA)
    cv2.ellipse(alpha, (x, y), axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    if from_behind:
        cv2.ellipse(rgb, (x, y - axes[1] // 8), axes, 0, 0, 360, hair, -1, cv2.LINE_AA)
    else:
        cv2.ellipse(rgb, (x, y - axes[1] // 3), axes, 0, 180, 360, hair, -1, cv2.LINE_AA)


def rider(seed: int, phase: float, height: int = 260) -> Texture:
    """A cyclist from behind, 1.85 m high and half as wide, wheel and bars included."""
    rng = np.random.default_rng(seed)
    rgb, alpha = (
        np.zeros((height, height // 2, 3), np.uint8),
        np.zeros((height, height // 2), np.uint8),
    )
    limb(rgb, alpha, np.array([[0.25, 0.62], [0.25, 0.975]]), 0.05, (22, 22, 24))
    limb(rgb, alpha, np.array([[0.19, 0.56], [0.31, 0.56]]), 0.03, (30, 28, 28))
    limb(rgb, alpha, np.array([[0.11, 0.44], [0.39, 0.44]]), 0.02, (40, 40, 42))
    jacket, trousers = np.array(CLOTHES[2 + rng.integers(5)]), np.array((36, 38, 46))
    for side in (-1, 1):
        lift = 0.06 * np.sin(phase) * side
        hip, knee = (
            np.array([0.25 + 0.05 * side, 0.52]),
            np.array([0.25 + 0.085 * side, 0.68 - lift]),
        )
        foot = np.array([0.25 + 0.08 * side, 0.84 - lift])
        limb(rgb, alpha, np.array([hip, knee, foot]), 0.07, trousers)
        limb(rgb, alpha, np.array([foot, foot + [0, 0.02]]), 0.05, (24, 24, 24))
        arm = np.array(
            [[0.25 + 0.1 * side, 0.22], [0.25 + 0.15 * side, 0.34], [0.25 + 0.13 * side, 0.44]]
        )
        limb(rgb, alpha, arm, 0.05, jacket * 0.85)
    back = np.array(
        [[0.14, 0.2], [0.36, 0.2], [0.35, 0.42], [0.33, 0.58], [0.17, 0.58], [0.15, 0.42]]
    )
    for picture, colour in ((rgb, jacket.tolist()), (alpha, 255)):
        cv2.fillPoly(picture, [(back * height).astype(np.int32)], colour, cv2.LINE_AA)
    draw_head(rng, rgb, alpha, (0.25, 0.1), 0.058, from_behind=True)
    helmet = (int(0.25 * height), int(0.075 * height))
    for picture, colour in ((rgb, (60, 62, 68)), (alpha, 255)):
        cv2.ellipse(
            picture, helmet, (height // 18, height // 16), 0, 160, 380, colour, -1, cv2.LINE_AA
        )
    return finish(rng, rgb, alpha)


def round_sign(rng: np.random.Generator, size: int = 96) -> Texture:
    """A round road sign, 0.7 m high: red ring on white, or white figure on blue."""
    rgb, alpha = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
    middle = (size // 2, size // 2)
    cv2.circle(alpha, middle, size // 2 - 1, 255, -1, cv2.LINE_AA)
    if rng.random() < 0.6:
        rgb[:] = (170, 28, 34)
        cv2.circle(rgb, middle, int(size * 0.36), (214, 212, 208), -1, cv2.LINE_AA)
        number = ("20", "30")[rng.integers(2)]
        place = (size // 4 - 2, int(size * 0.63))
        cv2.putText(rgb, number, place, cv2.FONT_HERSHEY_DUPLEX, size / 72, (26, 26, 28),
                    size // 28, cv2.LINE_AA)  # fmt: skip
    else:
        rgb[:] = (30, 62, 140)
        cv2.arrowedLine(rgb, (size // 3, size // 4), (int(size * 0.7), int(size * 0.7)),
                        (220, 220, 218), size // 10, cv2.LINE_AA)  # fmt: skip
    return cut_out(
        modulate(rgb, np.linspace(1.05, 0.85, size)[:, None] * np.ones((1, size))), alpha
    )


def board_sign(rng: np.random.Generator, height: int = 90, width: int = 150) -> Texture:
    """A direction board, 5:3: light lettering on green or blue with a white rim."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:] = ((20, 84, 58), (28, 58, 132))[rng.integers(2)]
    cv2.rectangle(rgb, (3, 3), (width - 4, height - 4), (214, 214, 210), 3)
    for line, word in enumerate(("City centre", "Station")):
        cv2.putText(rgb, word, (12, 38 + 34 * line), cv2.FONT_HERSHEY_DUPLEX, 0.62,
                    (222, 222, 216), 1, cv2.LINE_AA)  # fmt: skip
    return cut_out(rgb, np.full((height, width), 255, np.uint8))


def traffic_light(height: int = 120) -> Texture:
    """A signal head, 1.0 m high and 0.4 wide: three lamps in a black case, the green one lit."""
    width = int(height * 0.4)
    rgb = np.full((height, width, 3), 24, np.uint8)
    lamps = ((60, 22, 18), (62, 46, 16), (70, 250, 180))
    for row, colour in enumerate(lamps):
        centre = (width // 2, int(height * (0.2 + 0.3 * row)))
        cv2.circle(rgb, centre, int(width * 0.3), colour, -1, cv2.LINE_AA)
    return cut_out(rgb, np.full((height, width), 255, np.uint8))


def cylinder(tone: tuple[int, int, int], height: int = 64, width: int = 12) -> Texture:
    """A round post: lighter at the left, dark at the right."""
    round_light = 0.45 + 0.75 * np.sin(np.linspace(0.5, np.pi, width)) ** 1.2
    rgb = np.clip(np.array(tone) * round_light[None, :, None], 0, 255).astype(np.uint8)
    rgb = np.tile(rgb, (height, 1, 1))
    return cut_out(rgb, np.full((height, width), 255, np.uint8))


def railing(length_m: float, height: int = 96) -> Texture:
    """Iron bars 12 cm apart, 1.2 m high; the label covers the gaps, as people annotate a fence."""
    texels_per_m = height / 1.2
    width = int(length_m * texels_per_m)
    alpha = np.zeros((height, width), np.uint8)
    for x in np.arange(0, width, 0.12 * texels_per_m):
        cv2.line(alpha, (int(x), 4), (int(x), height), 255, 3)
    for x in np.arange(0, width, 2.0 * texels_per_m):
        cv2.line(alpha, (int(x), 0), (int(x), height), 255, 8)
    for y in (10, height - 12):
        cv2.line(alpha, (0, y), (width, y), 255, 4)
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:] = (38, 40, 40)
    cover = np.full((height, width), 255, np.uint8)
    cover[:4] = 0
    return cut_out(rgb, alpha, cover)

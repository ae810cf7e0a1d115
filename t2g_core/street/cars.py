# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Cars of the rendered street: a body and a glasshouse of flat panels with painted details."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from t2g_core.labels import CAMVID_CLASSES
from t2g_core.street.raster import Surface, Texture, cut_out, opaque, soft_shadow
from t2g_core.street.textures import modulate

CAR = CAMVID_CLASSES.index("car")
TEXELS_PER_M = 70
PAINTS = ((150, 152, 156), (38, 40, 44), (38, 48, 82), (120, 26, 30), (186, 186, 184), (54, 70, 62),
          (92, 98, 106), (28, 60, 110))  # fmt: skip


@dataclass(frozen=True)
class CarShape:
    """Outlines in metres: ``body`` and ``glasshouse`` as (along, up) from the rear bumper."""

    length: float
    half_width: float
    body: tuple[tuple[float, float], ...]
    glasshouse: tuple[tuple[float, float], ...]
    half_roof: float


HATCHBACK = CarShape(
    4.1, 0.86,
    ((0.0, 0.32), (0.04, 0.9), (0.3, 0.94), (3.0, 0.94), (3.95, 0.74), (4.1, 0.6), (4.1, 0.3)),
    ((0.12, 0.92), (0.62, 1.44), (2.15, 1.46), (3.1, 0.93)), 0.62,
)  # fmt: skip
SALOON = CarShape(
    4.6, 0.87,
    ((0.0, 0.34), (0.02, 0.86), (0.15, 0.95), (3.3, 0.93), (4.4, 0.74), (4.6, 0.58), (4.6, 0.28)),
    ((0.75, 0.93), (1.4, 1.4), (2.5, 1.42), (3.4, 0.92)), 0.6,
)  # fmt: skip
VAN = CarShape(
    5.0, 0.97,
    ((0.0, 0.38), (0.0, 1.1), (0.05, 1.15), (3.9, 1.15), (4.8, 1.0), (5.0, 0.8), (5.0, 0.34)),
    ((0.02, 1.12), (0.12, 2.2), (3.3, 2.2), (4.2, 1.12)), 0.86,
)  # fmt: skip
SHAPES = (HATCHBACK, SALOON, HATCHBACK, VAN)


@dataclass(frozen=True)
class Panel:
    """One panel of a car: corners (4, 3) as (across, up, along) in the car's own axes."""

    corners: np.ndarray
    texture: Texture


def build_car(rng: np.random.Generator) -> tuple[CarShape, list[Panel]]:
    """Return a shape and its panels, in an order in which later ones cover earlier ones."""
    shape = SHAPES[rng.integers(len(SHAPES))]
    paint = np.array(PAINTS[rng.integers(len(PAINTS))], np.float32)
    panels = [Panel(flank(shape, side), flank_texture(shape, paint)) for side in (-1, 1)]
    body, half = shape.body, shape.half_width
    rubber = opaque(np.full((8, 8, 3), 17, np.uint8))
    for along in (0.45, shape.length - 0.45):
        for side in (-1, 1):
            near, far = sorted((side * 0.55, side * 0.82))
            tyre = [(near, 0.5, along), (far, 0.5, along), (far, 0, along), (near, 0, along)]
            panels.append(Panel(np.array(tyre), rubber))
    for first, second in zip(body[1:-2], body[2:-1], strict=True):
        panels.append(Panel(strip(first, second, half, half), opaque(sheet(paint, first, second))))
    panels.append(Panel(strip(body[0], body[1], half, half), rear_texture(paint)))
    panels.append(Panel(strip(body[-1], body[-2], half, half), front_texture(paint)))
    base, top = half - 0.06, shape.half_roof
    rear_low, rear_high, front_high, front_low = shape.glasshouse
    for side in (-1, 1):
        corners = [
            (side * top, rear_high[1], rear_high[0]),
            (side * top, front_high[1], front_high[0]),
            (side * base, front_low[1], front_low[0]),
            (side * base, rear_low[1], rear_low[0]),
        ]
        panels.append(Panel(np.array(corners), side_glass(paint, shape is VAN)))
    panels.append(
        Panel(strip(front_high, rear_high, top, top), opaque(sheet(paint * 1.25, (0, 1), (1, 1))))
    )
    panels.append(Panel(strip(rear_low, rear_high, base, top), screen(paint, 40.0)))
    panels.append(Panel(strip(front_low, front_high, base, top), screen(paint, 70.0)))
    return shape, panels


def strip(low, high, half_low: float, half_high: float) -> np.ndarray:
    """Return the panel across the car between two points (along, up) of its outline."""
    return np.array([
        (-half_high, high[1], high[0]), (half_high, high[1], high[0]),
        (half_low, low[1], low[0]), (-half_low, low[1], low[0]),
    ])  # fmt: skip


def flank(shape: CarShape, side: int) -> np.ndarray:
    """Return the upright panel along one side, from the ground to the belt line."""
    x, top = side * shape.half_width, max(up for _, up in shape.body)
    return np.array([(x, top, 0), (x, top, shape.length), (x, 0, shape.length), (x, 0, 0)], float)


def sheet(paint: np.ndarray, first, second) -> np.ndarray:
    """Painted metal that mirrors more sky the flatter it lies."""
    slope = np.arctan2(abs(second[1] - first[1]), abs(second[0] - first[0]) + 1e-6)
    sky = 0.5 * np.cos(slope)
    across = 1 - 0.25 * np.abs(np.linspace(-1, 1, 40)) ** 3
    colour = paint * (0.7 + 0.5 * np.cos(slope)) * (1 - 0.4 * sky) + 0.4 * sky * np.array(
        (205, 212, 218)
    )
    return np.clip(np.tile(colour, (16, 40, 1)) * across[None, :, None], 0, 255).astype(np.uint8)


def flank_texture(shape: CarShape, paint: np.ndarray) -> Texture:
    """One side of the body: doors, sill, wheels in their arches."""
    top = max(up for _, up in shape.body)
    height, width = int(top * TEXELS_PER_M), int(shape.length * TEXELS_PER_M)
    alpha = np.zeros((height, width), np.uint8)
    outline = [(along * TEXELS_PER_M, (top - up) * TEXELS_PER_M) for along, up in shape.body]
    cv2.fillPoly(alpha, [np.array(outline).astype(np.int32)], 255, cv2.LINE_AA)
    shine = np.interp(
        np.linspace(0, 1, height), [0, 0.12, 0.3, 0.45, 1], [1.35, 1.1, 1.15, 0.75, 0.4]
    )
    rgb = np.clip(paint * shine[:, None, None] * np.ones((1, width, 1)), 0, 255).astype(np.uint8)
    for share in (0.3, 0.5, 0.7):
        cv2.line(
            rgb, (int(share * width), 4), (int(share * width), int(height * 0.75)), (20, 20, 22), 1
        )
    for share in (0.33, 0.53):
        handle = (int(share * width), int(height * 0.2))
        cv2.rectangle(rgb, handle, (handle[0] + 12, handle[1] + 3), (26, 26, 28), -1)
    cv2.rectangle(
        rgb, (width - 22, int(height * 0.25)), (width, int(height * 0.42)), (210, 208, 196), -1
    )
    cv2.rectangle(rgb, (0, int(height * 0.1)), (14, int(height * 0.4)), (130, 18, 20), -1)
    for along in (0.19 * shape.length, 0.8 * shape.length):
        wheel = (int(along * TEXELS_PER_M), int(height - 0.31 * TEXELS_PER_M))
        for radius, tone in ((0.37, 16), (0.31, 30), (0.2, 118), (0.08, 60)):
            cv2.circle(rgb, wheel, int(radius * TEXELS_PER_M), (tone,) * 3, -1, cv2.LINE_AA)
        cv2.circle(alpha, wheel, int(0.31 * TEXELS_PER_M), 255, -1, cv2.LINE_AA)
    return cut_out(rgb, alpha)


def panel_base(paint: np.ndarray, shine: list[float]) -> np.ndarray:
    """An upright painted panel, 1.7 x 0.6 m, shaded by height and darker at its edges."""
    height, width = 56, 150
    profile = np.interp(np.linspace(0, 1, height), np.linspace(0, 1, len(shine)), shine)
    edges = 1 - 0.45 * np.abs(np.linspace(-1, 1, width)) ** 6
    rgb = np.full((height, width, 3), paint, np.float32)
    return modulate(np.clip(rgb, 0, 255), profile[:, None] * edges[None])


def rear_texture(paint: np.ndarray) -> Texture:
    """Tail lamps, number plate, bumper."""
    rgb = panel_base(paint, [1.1, 0.9, 0.85, 0.7, 0.35])
    for x in (4, 124):
        cv2.rectangle(rgb, (x, 6), (x + 22, 26), (142, 20, 22), -1)
        cv2.rectangle(rgb, (x + 3, 19), (x + 18, 24), (196, 120, 60), -1)
    cv2.rectangle(rgb, (52, 16), (98, 26), (196, 170, 60), -1)
    cv2.putText(rgb, "T2 GEN", (55, 25), cv2.FONT_HERSHEY_PLAIN, 0.7, (30, 28, 26), 1, cv2.LINE_AA)
    cv2.line(rgb, (2, 32), (148, 32), (24, 24, 26), 1)
    cv2.rectangle(rgb, (0, 48), (150, 56), (22, 22, 24), -1)
    return opaque(rgb)


def front_texture(paint: np.ndarray) -> Texture:
    """Head lamps, grille, number plate."""
    rgb = panel_base(paint, [1.2, 1.0, 0.8, 0.6, 0.35])
    for x in (4, 116):
        cv2.rectangle(rgb, (x, 2), (x + 30, 18), (216, 214, 206), -1)
        cv2.rectangle(rgb, (x, 2), (x + 30, 18), (70, 70, 72), 1)
    cv2.rectangle(rgb, (42, 4), (108, 18), (24, 24, 26), -1)
    for y in (8, 13):
        cv2.line(rgb, (42, y), (108, y), (110, 110, 112), 1)
    cv2.rectangle(rgb, (50, 28), (100, 38), (214, 214, 208), -1)
    cv2.rectangle(rgb, (10, 42), (140, 54), (26, 26, 28), -1)
    return opaque(rgb)


def screen(paint: np.ndarray, mirrored: float) -> Texture:
    """A wind or rear screen in its painted frame, the sky mirrored at the top, seats behind."""
    rgb = np.full((48, 120, 3), np.clip(paint * 0.95, 0, 255), np.uint8)
    sky = np.linspace(mirrored + 30, 8, 40)[:, None, None] * np.array((0.92, 1.0, 1.06))
    rgb[4:44, 7:113] = np.clip(18 + sky * np.ones((1, 106, 1)), 0, 255).astype(np.uint8)
    for x in (32, 84):
        cv2.ellipse(rgb, (x, 42), (12, 20), 0, 180, 360, (16, 16, 18), -1, cv2.LINE_AA)
    return opaque(rgb)


def side_glass(paint: np.ndarray, blind: bool) -> Texture:
    """Two side windows in a painted frame; a van's side is ``blind`` but for the cab."""
    rgb = np.full((40, 120, 3), np.clip(paint * 0.9, 0, 255), np.uint8)
    sky = np.linspace(96, 30, 32)[:, None, None] * np.array((0.9, 1.0, 1.06))
    for x0, x1 in ((8, 56), (62, 112)):
        if not blind or x0 > 60:
            rgb[5:37, x0:x1] = sky.astype(np.uint8)
    return opaque(rgb)


def place_car(
    car: tuple[CarShape, list[Panel]], x: float, z: float, heading: int, viewer: np.ndarray
) -> list[Surface]:
    """Return a car's surfaces, its shadow first: those that face ``viewer`` (3,), in drawing order.

    ``x`` is the car's middle, ``z`` that of its end that is nearer to the origin; ``heading`` is 1
    when it drives along +z and -1 when it comes towards the viewer.
    """
    shape, panels = car
    origin = np.array([x, 0.0, z if heading > 0 else z + shape.length])
    axes = np.array([heading, 1, heading], float)
    surfaces = [
        soft_shadow((x, 0.0, z + shape.length / 2), shape.half_width + 0.2, shape.length / 2 + 0.3)
    ]
    for panel in panels:
        corners = panel.corners * axes + origin
        centre = np.array([x, 0.7, z + shape.length / 2])
        normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
        outward = normal * np.sign(normal @ (corners.mean(axis=0) - centre))
        if outward @ (viewer - corners.mean(axis=0)) > 0:
            surfaces.append(Surface(corners, panel.texture, CAR))
    return surfaces

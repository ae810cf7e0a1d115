# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What stands where along the rendered street, and what moves on it.

The street runs along +z with its middle at x = 0; traffic keeps left. ``build_street`` draws every
choice from one seeded generator, so a seed is a street.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from t2g_core.labels import CAMVID_CLASSES
from t2g_core.street import sprites
from t2g_core.street.cars import CarShape, Panel, build_car, place_car
from t2g_core.street.ground import HALF_PAVED_M, KERB_M, Ground, paint_ground
from t2g_core.street.houses import house
from t2g_core.street.raster import Surface, Texture, opaque, soft_shadow, upright
from t2g_core.street.textures import (
    facade,
    leaves,
    modulate,
)
from t2g_core.street.weather import paint_clouds

VIEW_M = 150.0
CAMERA_X_M = -1.7

BUILDING, POLE, VEGETATION, SIGN, FENCE, PERSON, RIDER = (
    CAMVID_CLASSES.index(name)
    for name in ("building", "pole", "vegetation", "traffic sign", "fence", "person", "rider")
)


@dataclass(frozen=True)
class MovingCar:
    """A car ``z_m`` along the street at time 0; ``speed`` in m/s along +z, 0 for a parked one."""

    car: tuple[CarShape, list[Panel]]
    x_m: float
    z_m: float
    speed: float
    heading: int

    def surfaces(self, time_s: float, viewer: np.ndarray) -> tuple[float, list[Surface]]:
        """Return where the car is at ``time_s`` and its surfaces."""
        z = self.z_m + self.speed * time_s
        return z, place_car(self.car, self.x_m, z, self.heading, viewer)


@dataclass(frozen=True)
class Walker:
    """A pedestrian or a rider; its steps follow from its speed."""

    seed: int
    x_m: float
    z_m: float
    speed: float
    rides: bool

    def surfaces(self, time_s: float, viewer: np.ndarray) -> tuple[float, list[Surface]]:
        """Return where the figure is at ``time_s`` and its surface; ``viewer`` is not needed."""
        z = self.z_m + self.speed * time_s
        phase = 0.3 * self.seed + 5.0 * time_s
        if self.rides:
            corners = upright(self.x_m, 0.0, z, 0.95, 1.9)
            shadow = soft_shadow((self.x_m, 0.0, z), 0.25, 0.7)
            return z, [shadow, Surface(corners, sprites.rider(self.seed, phase), RIDER)]
        corners = upright(self.x_m, KERB_M, z, 0.89, 1.78)
        figure = sprites.pedestrian(self.seed, phase, from_behind=self.speed > 0)
        shadow = soft_shadow((self.x_m, KERB_M, z), 0.3, 0.25)
        return z, [shadow, Surface(corners, figure, PERSON)]


@dataclass(frozen=True)
class Street:
    """A street ready to be drawn: far things first, houses next, then what stands before them.

    ``behind`` and ``houses`` are in drawing order. ``standing`` holds (z, surfaces) of everything
    that stands still on the sidewalks; it is sorted together with ``moving`` at each frame.
    """

    clouds: np.ndarray
    ground: Ground
    behind: list[Surface]
    houses: list[Surface]
    standing: list[tuple[float, list[Surface]]]
    moving: list[MovingCar | Walker]


def build_street(seed: int, travel_m: float) -> Street:
    """Return the street for a drive of ``travel_m`` metres that starts at z = 0."""
    rng = np.random.default_rng(seed)
    length = travel_m + VIEW_M
    trees = [sprites.tree(rng) for _ in range(5)]
    behind = close_street(rng, length, trees)
    groups, gaps = [], []
    shade = np.ones((int(length), 26), np.float32)
    for side in (-1, 1):
        z = -12.0
        while z < length:
            width = rng.uniform(7, 12)
            if rng.random() < 0.2 and z > 18:
                gaps.append((side, z, z + width))
            else:
                height = rng.uniform(6.2, 10.8)
                groups.append((z, house(rng, side, z, width, height)))
                if side < 0:
                    cast_shade(shade, z, width, height)
            z += width
    groups.sort(key=lambda group: -group[0])
    standing = furnish(rng, length, trees)
    for side, start, stop in gaps:
        behind += [tree_at(rng, trees, side * rng.uniform(12, 19), z, rng.uniform(7, 11))
                   for z in np.arange(stop + 4, start - 4, -4.0)]  # fmt: skip
        standing.append((stop + 20, garden(rng, side, start, stop)))
    behind.sort(key=lambda surface: -surface.corners[0, 2])
    ground = paint_ground(rng, length, cv2.GaussianBlur(shade, (0, 0), 0.7))
    houses = [surface for _, group in groups for surface in group]
    clouds = paint_clouds(rng)
    return Street(clouds, ground, behind, houses, standing, traffic(rng, travel_m))


def cast_shade(shade: np.ndarray, z: float, width: float, height: float) -> None:
    """Darken the metres of ground that a house of the left row keeps from the sun."""
    reach = int(13 - HALF_PAVED_M + 0.62 * height)
    shade[max(int(z), 0) : max(int(z + width), 0), :reach] = 0.7


def tree_at(
    rng: np.random.Generator, trees: list[Texture], x: float, z: float, height: float
) -> Surface:
    """Return one of the trees, standing at (x, z)."""
    corners = upright(x, 0, z, height * rng.uniform(0.85, 1.0), height)
    return Surface(corners, trees[rng.integers(len(trees))], VEGETATION)


def close_street(rng: np.random.Generator, length: float, trees: list[Texture]) -> list[Surface]:
    """Return the row of houses and trees across the far end, where the street bends away."""
    surfaces = []
    for x in np.arange(-48, 48, 9.0):
        height = rng.uniform(6, 10)
        front = modulate(facade(rng, 9, height), 0.8)
        surfaces.append(Surface(upright(x, 0, length + 30, 9, height), opaque(front), BUILDING))
    for x in np.arange(-60, 60, 6.0):
        place = (x + rng.uniform(-2, 2), length + rng.uniform(14, 24))
        surfaces.append(tree_at(rng, trees, *place, rng.uniform(6, 9)))
    return surfaces


def garden(rng: np.random.Generator, side: int, start: float, stop: float) -> list[Surface]:
    """Return what closes a gap between houses: a hedge behind iron railings."""
    surfaces = []
    count = max(1, int((stop - start) / 2.5))
    edges = np.linspace(start, stop, count + 1)
    for near, far in zip(edges[-2::-1], edges[:0:-1], strict=True):
        ends = (near, far) if side < 0 else (far, near)
        for x, texture, height, label in (
            (side * (HALF_PAVED_M + 0.6), hedge(rng, far - near), 1.9, VEGETATION),
            (side * HALF_PAVED_M, sprites.railing(far - near), 1.2, FENCE),
        ):
            corners = [[x, height, ends[0]], [x, height, ends[1]], [x, 0, ends[1]], [x, 0, ends[0]]]
            surfaces.append(Surface(np.array(corners), texture, label))
    return surfaces


def hedge(rng: np.random.Generator, length: float) -> Texture:
    """A clipped hedge, 1.9 m high."""
    height, width = 110, int(length * 58)
    green = leaves(rng, height, width, (58, 68, 40))
    return opaque(modulate(green, np.linspace(1.15, 0.6, height)[:, None] * np.ones((1, width))))


def furnish(
    rng: np.random.Generator, length: float, trees: list[Texture]
) -> list[tuple[float, list[Surface]]]:
    """Return trees, lamps, signs and signals along both sidewalks, each with its z."""
    things = []
    grey, dark = sprites.cylinder((128, 130, 130)), sprites.cylinder((58, 62, 60))
    for side in (-1, 1):
        for z in np.arange(rng.uniform(8, 20), length, 17.0):
            place = z + rng.uniform(-3, 3)
            if rng.random() < 0.75:
                things.append(
                    (place, [tree_at(rng, trees, side * 6.6, place, rng.uniform(5.5, 7.5))])
                )
        for z in np.arange(rng.uniform(10, 30), length, 27.0):
            things.append((z, lamp(side, z, dark)))
        for z in np.arange(rng.uniform(6, 25), length, 21.0):
            things.append((z, sign(rng, side, z, grey)))
        z = length * 0.55 - 1
        head = Surface(upright(side * 5.0, 2.3, z, 0.4, 1.0), sprites.traffic_light(), SIGN)
        things.append((z, [Surface(upright(side * 5.0, 0, z, 0.12, 2.4), dark, POLE), head]))
    return things


def lamp(side: int, z: float, post: Texture) -> list[Surface]:
    """Return a street lamp: post, arm over the road, head."""
    x = side * 5.0
    lamp_head = opaque(np.full((8, 16, 3), 96, np.uint8))
    return [
        Surface(upright(x, 0, z, 0.17, 6.6), post, POLE),
        Surface(upright(x - side * 0.6, 6.5, z, 1.3, 0.09), post, POLE),
        Surface(upright(x - side * 1.3, 6.42, z, 0.6, 0.17), lamp_head, POLE),
    ]


def sign(rng: np.random.Generator, side: int, z: float, post: Texture) -> list[Surface]:
    """Return a post with a round road sign or a direction board."""
    x = side * 5.3
    if rng.random() < 0.6:
        plate = Surface(upright(x, 2.2, z, 0.75, 0.75), sprites.round_sign(rng), SIGN)
    else:
        plate = Surface(upright(x + 0.3 * side, 2.0, z, 1.6, 0.96), sprites.board_sign(rng), SIGN)
    return [Surface(upright(x, 0, z, 0.1, 2.9), post, POLE), plate]


def traffic(rng: np.random.Generator, travel_m: float) -> list[MovingCar | Walker]:
    """Return the car ahead, oncoming and parked cars, a rider, and people on both sidewalks."""
    movers: list[MovingCar | Walker] = [
        MovingCar(build_car(rng), CAMERA_X_M - 0.1, 15.0, 7.4, 1),
        Walker(int(rng.integers(1000)), -2.5, 12.5, 7.0, True),
        Walker(int(rng.integers(1000)), -5.8, 19.0, 1.2, False),
        Walker(int(rng.integers(1000)), -6.4, 34.0, -1.1, False),
    ]
    for z in np.arange(34, travel_m + VIEW_M, 31.0):
        movers.append(MovingCar(build_car(rng), 1.5, z + rng.uniform(-5, 5), -7.0, -1))
    for z in np.arange(9, travel_m + VIEW_M, 6.4):
        if rng.random() < 0.6:
            movers.append(MovingCar(build_car(rng), 3.62, z, 0.0, -1))
    for z in np.arange(46, travel_m + VIEW_M, 6.4):
        if rng.random() < 0.25:
            movers.append(MovingCar(build_car(rng), -3.7, z, 0.0, 1))
    for z in np.arange(6, travel_m + VIEW_M, 5.5):
        side = -1 if rng.random() < 0.5 else 1
        speed = rng.uniform(0.9, 1.5) * (1 if rng.random() < 0.5 else -1)
        x = side * rng.uniform(5.2, 7.4)
        movers.append(Walker(int(rng.integers(1000)), x, z + rng.uniform(-2, 2), speed, False))
    return movers

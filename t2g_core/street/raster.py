# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A painter's-algorithm rasteriser: textured flat surfaces, drawn back to front.

World axes: x right, y up, z along the street, in metres. Every surface writes colour, class id and
exact depth; what is drawn later covers what was drawn before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

NEAR_M = 0.4


@dataclass(frozen=True)
class Texture:
    """A picture with an outline.

    ``rgba`` is ``(H, W, 4)`` uint8 with colour premultiplied by alpha. ``cover`` is ``(H, W)``
    uint8: where it is 128 or more a pixel takes the surface's label. It differs from alpha for
    railings and foliage, which labels show as a whole.
    """

    rgba: np.ndarray
    cover: np.ndarray

    @cached_property
    def half(self) -> Texture:
        """The texture at half its size, kept: most surfaces are far away."""
        height, width = self.cover.shape
        size = (max(width // 2, 1), max(height // 2, 1))
        return Texture(
            cv2.resize(self.rgba, size, interpolation=cv2.INTER_AREA),
            cv2.resize(self.cover, size, interpolation=cv2.INTER_AREA),
        )


def opaque(rgb: np.ndarray) -> Texture:
    """Return a texture without holes from an ``(H, W, 3)`` uint8 picture."""
    cover = np.full(rgb.shape[:2], 255, np.uint8)
    return Texture(np.dstack([rgb, cover]), cover)


def cut_out(rgb: np.ndarray, alpha: np.ndarray, cover: np.ndarray | None = None) -> Texture:
    """Return a texture from a picture and its ``(H, W)`` uint8 alpha; labels follow ``cover``."""
    premultiplied = (rgb.astype(np.uint16) * alpha[..., None] // 255).astype(np.uint8)
    return Texture(np.dstack([premultiplied, alpha]), alpha if cover is None else cover)


@dataclass(frozen=True)
class Surface:
    """A flat four-sided piece of the world.

    ``corners`` is ``(4, 3)`` float: top left, top right, bottom right, bottom left of the texture.
    ``label`` is a class id, or None for a shadow that changes colour only.
    """

    corners: np.ndarray
    texture: Texture
    label: int | None


def upright(x: float, y: float, z: float, width: float, height: float) -> np.ndarray:
    """Return the corners of an upright rectangle that faces the camera, centred on x, base at y."""
    left, right, top = x - width / 2, x + width / 2, y + height
    return np.array([[left, top, z], [right, top, z], [right, y, z], [left, y, z]], float)


def soft_shadow(
    place: tuple[float, float, float], half_width: float, half_length: float
) -> Surface:
    """Return the dark, soft-edged patch under something that stands at ``place`` (x, y, z)."""
    dark = np.zeros((64, 32), np.uint8)
    cv2.rectangle(dark, (5, 4), (26, 59), 215, -1)
    dark = cv2.GaussianBlur(dark, (0, 0), 2.2)
    x, y, z = place[0], place[1] + 0.005, place[2]
    near, far, left, right = z - half_length, z + half_length, x - half_width, x + half_width
    corners = np.array([[left, y, far], [right, y, far], [right, y, near], [left, y, near]])
    return Surface(corners, cut_out(np.zeros((64, 32, 3), np.uint8), dark), None)


@dataclass(frozen=True)
class Camera:
    """A pinhole at ``position`` (x, y, z) that looks along +z.

    ``pitch`` (down) and ``yaw`` (right) are in radians, ``focal`` is in pixels; the optical axis
    meets the image at its centre.
    """

    position: tuple[float, float, float]
    pitch: float
    yaw: float
    focal: float
    width: int
    height: int

    def rotation(self) -> np.ndarray:
        """Return the ``(3, 3)`` matrix from world axes to image axes (right, down, forward)."""
        cp, sp, cy, sy = np.cos(self.pitch), np.sin(self.pitch), np.cos(self.yaw), np.sin(self.yaw)
        turn = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
        tilt = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        return np.diag([1.0, -1.0, 1.0]) @ tilt @ turn

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """Return world points ``(N, 3)`` in image axes, metres."""
        return (points - np.array(self.position)) @ self.rotation().T

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return ``(N, 2)`` pixel positions of points given in image axes."""
        centre = np.array([self.width / 2 - 0.5, self.height / 2 - 0.5])
        return points[:, :2] / points[:, 2:] * self.focal + centre

    def rays(self) -> np.ndarray:
        """Return ``(H, W, 3)`` float32 view rays in world axes, with depth 1 in image axes."""
        x = (np.arange(self.width) - self.width / 2 + 0.5) / self.focal
        y = (np.arange(self.height) - self.height / 2 + 0.5) / self.focal
        grid = np.dstack([*np.meshgrid(x, y), np.ones((self.height, self.width))])
        return (grid @ self.rotation()).astype(np.float32)


@dataclass(frozen=True)
class Canvas:
    """The picture being painted; ``draw`` writes into its arrays.

    ``rgb`` is ``(H, W, 3)`` uint8, ``labels`` ``(H, W)`` uint8, ``depth`` ``(H, W)`` float32 in
    metres.
    """

    camera: Camera
    rgb: np.ndarray
    labels: np.ndarray
    depth: np.ndarray

    def draw(self, surface: Surface) -> None:
        """Paint ``surface`` over what is there, cut at the near plane."""
        clipped = clip_near(surface.corners, self.camera)
        if clipped is None:
            return
        corners, span = clipped
        points = self.camera.to_camera(corners)
        outline = self.camera.project(points)
        box = bounding_box(outline, self.camera.width, self.camera.height)
        if box is None:
            return
        texture = crop_columns(surface.texture, span)
        rgba, cover = warp(texture, outline, box)
        x0, y0, x1, y1 = box
        region = self.rgb[y0:y1, x0:x1]
        under = region.astype(np.uint16) * (255 - rgba[..., 3:].astype(np.uint16))
        region[:] = rgba[..., :3] + ((under + 127) // 255).astype(np.uint8)
        if surface.label is None:
            return
        covered = cover >= 128
        self.labels[y0:y1, x0:x1][covered] = surface.label
        self.depth[y0:y1, x0:x1][covered] = plane_depth(points, self.camera, box)[covered]


def clip_near(corners: np.ndarray, camera: Camera) -> tuple[np.ndarray, tuple[float, float]] | None:
    """Cut the left or right end of a surface that reaches behind the near plane.

    Returns the corners that remain and the part of the texture's width (from, to) they show, or
    None where nothing remains. A surface that crosses the plane along its height is dropped: in
    this scene only car panels do, beside the camera and out of view.
    """
    depth = camera.to_camera(corners)[:, 2]
    left, right = min(depth[0], depth[3]), min(depth[1], depth[2])
    if max(left, right) <= NEAR_M:
        return None
    if min(left, right) > NEAR_M:
        return corners, (0.0, 1.0)
    if abs(right - left) < 1e-3:
        return None
    share = (NEAR_M - left) / (right - left) + 1e-6 * np.sign(right - left)
    top = corners[0] + share * (corners[1] - corners[0])
    bottom = corners[3] + share * (corners[2] - corners[3])
    if left < right:
        kept, span = np.array([top, corners[1], corners[2], bottom]), (share, 1.0)
    else:
        kept, span = np.array([corners[0], top, bottom, corners[3]]), (0.0, share)
    return (kept, span) if camera.to_camera(kept)[:, 2].min() > 0.5 * NEAR_M else None


def crop_columns(texture: Texture, span: tuple[float, float]) -> Texture:
    """Return the columns of a texture between two shares of its width."""
    if span == (0.0, 1.0):
        return texture
    width = texture.cover.shape[1]
    start = min(int(span[0] * width), width - 1)
    stop = max(int(np.ceil(span[1] * width)), start + 1)
    return Texture(texture.rgba[:, start:stop], texture.cover[:, start:stop])


def bounding_box(outline: np.ndarray, width: int, height: int) -> tuple[int, int, int, int] | None:
    """Return the part of the image (x0, y0, x1, y1) that an outline can touch, None if none."""
    low, high = np.floor(outline.min(axis=0)) - 1, np.ceil(outline.max(axis=0)) + 2
    x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
    x1, y1 = min(int(high[0]), width), min(int(high[1]), height)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def warp(
    texture: Texture, outline: np.ndarray, box: tuple[int, int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a texture into the corners ``outline`` (4, 2); returns rgba and cover of ``box``.

    The texture is first shrunk to the size it has on screen: sampling a larger one would alias.
    """
    on_screen_w = max(
        np.linalg.norm(outline[1] - outline[0]), np.linalg.norm(outline[2] - outline[3])
    )
    on_screen_h = max(
        np.linalg.norm(outline[3] - outline[0]), np.linalg.norm(outline[2] - outline[1])
    )
    while texture.cover.shape[1] >= 2 * on_screen_w and texture.cover.shape[0] >= 2 * on_screen_h:
        if max(texture.cover.shape) == 1:
            break
        texture = texture.half
    height, width = texture.cover.shape
    size = (int(np.clip(on_screen_w, 1, width)), int(np.clip(on_screen_h, 1, height)))
    rgba = cv2.resize(texture.rgba, size, interpolation=cv2.INTER_AREA)
    cover = cv2.resize(texture.cover, size, interpolation=cv2.INTER_AREA)
    edge = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], np.float32) - 0.5
    target = (outline - np.array(box[:2])).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(edge, target)
    extent = (box[2] - box[0], box[3] - box[1])
    return cv2.warpPerspective(rgba, matrix, extent), cv2.warpPerspective(cover, matrix, extent)


def plane_depth(points: np.ndarray, camera: Camera, box: tuple[int, int, int, int]) -> np.ndarray:
    """Return the depth in metres of the plane through ``points`` at every pixel of ``box``."""
    normal = np.cross(points[1] - points[0], points[3] - points[0])
    x0, y0, x1, y1 = box
    x = (np.arange(x0, x1) - camera.width / 2 + 0.5) / camera.focal
    y = (np.arange(y0, y1) - camera.height / 2 + 0.5) / camera.focal
    slope = normal[0] * x[None] + normal[1] * y[:, None] + normal[2]
    slope = np.where(np.abs(slope) < 1e-9, 1e-9, slope)
    low, high = points[:, 2].min(), points[:, 2].max()
    return np.clip(normal @ points[0] / slope, low, high).astype(np.float32)

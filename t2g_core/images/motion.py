# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Where the content of a frame was in the frame before: dense optical flow of what fog leaves."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from t2g_core.images.model_input import PIXEL_MEAN, PIXEL_STD

USUAL_STEP_S = 1 / 15  # between two frames, where nobody knows

CELL = 4  # pixels of half the frame
SMALLEST = 12  # pixels that a side of an image must have to be searched
BOX = 17  # pixels of half the frame over which contrast is made alike
NOISE = 2.0  # grey values; what varies less is no structure
SPREAD = 40.0  # grey values of one standard deviation afterwards
FOUND = 0.5  # standard deviations; content that differs less is taken for the same
LUMA = np.float32([0.299, 0.587, 0.114])

# What each value of a channel adds to a grey value, up to a constant. In the steps of the encoder's
# normalisation and back: rounded so, a mask is what it was when the model was trained, to the bit.
MEAN, STD = np.float32(PIXEL_MEAN), np.float32(PIXEL_STD)
GREY = (np.arange(256, dtype=np.float32)[:, None] - MEAN * 255) / (STD * 255) * (STD * LUMA * 255)
GREY = GREY[None]  # (1, 256, 3), as OpenCV takes a table


class Motion(NamedTuple):
    """Of B frames against the frames before them, in cells of 8 pixels.

    flow (B, 2, h, w): (x, y) offsets in cells to where a cell's content was.
    residual (B, 1, h, w): mean difference of the two there, in standard deviations; large where
    something came into view and where the flow is wrong. Arrays here, tensors in a method.
    """

    flow: Any
    residual: Any


def structure(image: np.ndarray) -> np.ndarray:
    """image (H, W, 3) uint8 RGB -> (H/2, W/2) uint8: grey, its local mean and contrast taken out.

    Haze, glare and shade change mean and contrast over long distances and from frame to frame; what
    is left of a scene under them moves as the scene does.
    """
    red, green, blue = cv2.split(cv2.LUT(image, GREY))
    grey = red + green + blue
    grey = (grey[::2, ::2] + grey[::2, 1::2] + grey[1::2, ::2] + grey[1::2, 1::2]) / 4
    detail = grey - cv2.blur(grey, (BOX, BOX))
    variance = cv2.blur(detail * detail, (BOX, BOX))
    spread = np.sqrt(np.maximum(variance, 0)) + NOISE  # running sums are rounded below zero
    return np.clip(128 + SPREAD * detail / spread, 0, 255).astype(np.uint8)


def motion(now: np.ndarray, before: np.ndarray | None) -> Motion:
    """now, before: (H/2, W/2) uint8, the `structure` of a frame and of the one before it.

    Dense Inverse Search (Kroeger et al., ECCV 2016) as OpenCV has it. Without a frame before,
    nothing has moved. Returns float32 arrays with B = 1.
    """
    if before is None:
        height, width = now.shape[0] // CELL, now.shape[1] // CELL
        shapes = (1, 2, height, width), (1, 1, height, width)
        return Motion(*(np.zeros(shape, np.float32) for shape in shapes))
    flow, residual = _motion_of_pair(now, before)
    return Motion(np.moveaxis(flow, -1, 0)[None], residual[None])


class Origin(NamedTuple):
    """Where the pixels of a map were in the map of the frame before, (H, W) each.

    x, y: float32 places in pixels; found: whether the content was found again there.
    """

    x: np.ndarray
    y: np.ndarray
    found: np.ndarray


def origin(motion: Motion, height: int, width: int) -> Origin:
    """`motion` of one pair (B = 1) for every pixel of a map of this size over the whole frame."""
    size, (rows, columns) = (width, height), motion.flow.shape[-2:]
    x, y = (cv2.resize(offsets, size) for offsets in motion.flow[0])
    x = x * (width / columns) + np.arange(width, dtype=np.float32)
    y = y * (height / rows) + np.arange(height, dtype=np.float32)[:, None]
    found = cv2.resize(motion.residual[0, 0], size) < FOUND
    return Origin(x, y, found & (x > -0.5) & (y > -0.5) & (x < width - 0.5) & (y < height - 0.5))


def moved(pixels: np.ndarray, origin: Origin, elsewhere: int) -> np.ndarray:
    """A map (H, W) uint8 of the frame before as it would lie in this one: the nearest pixel of
    where each one was, `elsewhere` where that was not found.
    """
    there = cv2.remap(pixels, origin.x, origin.y, cv2.INTER_NEAREST)
    return np.where(origin.found, there, np.uint8(elsewhere))


def motion_of_batch(now: np.ndarray, before: np.ndarray) -> Motion:
    """`motion` of B pairs, (B, H/2, W/2) each."""
    pairs = [motion(*pair) for pair in zip(now, before, strict=True)]
    return Motion(*(np.concatenate(parts) for parts in zip(*pairs, strict=True)))


def _motion_of_pair(now: np.ndarray, past: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) uint8 twice -> flow (H/4, W/4, 2) in cells and residual (1, H/4, W/4), float32."""
    height, width = now.shape
    cells = width // CELL, height // CELL
    if min(now.shape) < SMALLEST:  # nothing moves that could be seen to
        flow = np.zeros((height, width, 2), np.float32)
    else:
        search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow = search.calc(now, past, None)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    there = cv2.remap(
        past, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    residual = cv2.resize(cv2.absdiff(now, there), cells, interpolation=cv2.INTER_AREA)
    flow = cv2.resize(flow, cells, interpolation=cv2.INTER_AREA) / CELL
    return flow, residual[None].astype(np.float32) / SPREAD

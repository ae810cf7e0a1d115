# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Augmentation of a training clip: geometry drawn once a clip, and how its colours are distorted.

Images are (H, W, 3) float32 RGB in [0, 1]. None of the distortions imitates weather (no haze over
depth, no fractal fog, no flakes, streaks, drops or frost pictures): fog, frost, snow and spatter
stay unseen for the evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch

from t2g_core.images.model_input import resize
from t2g_core.labels import IGNORE_INDEX
from t2g_core.schedule import HARSH, PHOTOMETRIC

Rng = np.random.Generator

MOVE_STEP_S = 1 / 15  # between the frames of a virtual drive: a usual camera's


@dataclass(frozen=True)
class Crop:
    """A box of the frame in shares of its width and height, and a horizontal flip.

    It may reach beyond the frame.
    """

    left: float
    top: float
    width: float
    height: float
    flip: bool


def draw_crop(
    rng: Rng,
    zoom: tuple[float, float],
    size: tuple[int, int],
    frame: tuple[int, int],
    input_size: tuple[int, int],
    around: tuple[float, float] | None = None,
) -> Crop:
    """A box of a `frame` (width, height in pixels) that becomes `size` when it is resized.

    zoom: the smallest and the largest factor by which things are larger then than at inference,
    where the frame has the area of `input_size`; drawn evenly between the two. A box larger than
    the frame holds all of it along that side. around: a point (x, y) that it holds, in shares of
    the frame; None: it lies anywhere.
    """
    at_inference = math.sqrt(input_size[0] * input_size[1] / (frame[0] * frame[1]))
    scale = rng.uniform(*zoom) * at_inference  # pixels of the crop, of a pixel of the frame
    width, height = (s / (scale * f) for s, f in zip(size, frame, strict=True))
    left, top = (
        rng.uniform(*between(side)) if around is None else place_around(rng, around[axis], side)
        for axis, side in enumerate((width, height))
    )
    return Crop(left, top, width, height, bool(rng.random() < 0.5))


def place_around(rng: Rng, point: float, side: float) -> float:
    """Where a box of this side begins that holds the point: evenly, inside the frame."""
    return float(np.clip(point - rng.random() * side, *between(side)))


def between(side: float) -> tuple[float, float]:
    """Where a box of this side may begin: inside the frame, or so that the frame is inside it."""
    return min(0.0, 1 - side), max(0.0, 1 - side)


def camera_move(rng: Rng, crop: Crop, frames: int, pace: int = 1) -> list[Crop]:
    """The boxes of a slow virtual drive: the view narrows a little and drifts, frame by frame.

    pace: `MOVE_STEP_S` between two of them.
    """
    step = 1 - (1 - rng.uniform(0.0, 0.025)) ** pace
    drift = pace * rng.uniform(-0.015, 0.015, size=2) * (crop.width, crop.height)
    boxes = []
    for t in range(frames):
        width, height = crop.width * (1 - step) ** t, crop.height * (1 - step) ** t
        left = crop.left + (crop.width - width) / 2 + drift[0] * t
        top = crop.top + (crop.height - height) / 2 + drift[1] * t
        left, top = np.clip(left, *between(width)), np.clip(top, *between(height))
        boxes.append(Crop(left, top, width, height, crop.flip))
    return boxes


def apply_crop(image: np.ndarray, crop: Crop, size: tuple[int, int], label: bool) -> np.ndarray:
    """Cut the box and resize it to (width, height): as `resize`, or nearest for a label map.

    Beyond the frame an image is black and a label void.
    """
    height, width = image.shape[:2]
    shrink = min(1.0, size[0] / (crop.width * width), size[1] / (crop.height * height))
    if shrink < 1 and not label:
        image = resize(image, (max(1, round(width * shrink)), max(1, round(height * shrink))))
        height, width = image.shape[:2]
    scale_x, scale_y = size[0] / (crop.width * width), size[1] / (crop.height * height)
    matrix = np.array(
        [
            [scale_x, 0, (0.5 - crop.left * width) * scale_x - 0.5],
            [0, scale_y, (0.5 - crop.top * height) * scale_y - 0.5],
        ]
    )
    beyond = max(crop.width, crop.height) > 1 + 1e-6
    cut = cv2.warpAffine(
        image,
        matrix,
        size,
        flags=cv2.INTER_NEAREST if label else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT if label or beyond else cv2.BORDER_REPLICATE,
        borderValue=IGNORE_INDEX if label else (0, 0, 0),
    )
    return np.ascontiguousarray(cut[:, ::-1]) if crop.flip else cut


def distort_clip(images: list[np.ndarray], rng: Rng, distortion: str) -> list[np.ndarray]:
    """Change what the images of a clip look like; `distortion`: one of DISTORTION_KINDS."""
    return DISTORTION_KINDS[distortion](images, rng)


class Photometric(NamedTuple):
    """The field's photometric distortion, as it is drawn once a clip.

    Brightness by up to 32 of 255 (added), contrast and saturation by 0.5 to 1.5, hue by up to 36°,
    each with probability one half, contrast before or after the colours, as SSD (Liu et al., 2016)
    and the segmentation frameworks since have it. (Their hue of 18 is in OpenCV's steps of two
    degrees.)
    """

    brightness: float
    contrast: float
    contrast_first: bool
    saturation: float
    hue: float


def draw_photometric(rng: Rng) -> Photometric:
    """One for a clip, from the generator of its crops."""
    rng = np.random.default_rng(int(rng.integers(2**32)))
    brightness = rng.uniform(-32, 32) / 255 if rng.random() < 0.5 else 0.0
    contrast = rng.uniform(0.5, 1.5) if rng.random() < 0.5 else 1.0
    contrast_first = bool(rng.random() < 0.5)
    saturation = rng.uniform(0.5, 1.5) if rng.random() < 0.5 else 1.0
    hue = rng.uniform(-36, 36) if rng.random() < 0.5 else 0.0
    return Photometric(brightness, contrast, contrast_first, saturation, hue)


def photometric_clip(images: list[np.ndarray], rng: Rng) -> list[np.ndarray]:
    """`Photometric`, drawn once a clip."""
    drawn = draw_photometric(rng)
    return [photometric(image, drawn) for image in images]


def photometric(image: np.ndarray, drawn: Photometric) -> np.ndarray:
    """The image with its colours changed."""
    image = np.clip(image + drawn.brightness, 0, 1)
    if drawn.contrast_first:
        image = np.clip(image * drawn.contrast, 0, 1)
    hue, saturation, value = cv2.split(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2HSV))
    saturation = np.clip(saturation * drawn.saturation, 0, 1)
    hue = (hue + drawn.hue) % 360
    colours = cv2.merge([x.astype(np.float32) for x in (hue, saturation, value)])
    image = cv2.cvtColor(colours, cv2.COLOR_HSV2RGB)
    if not drawn.contrast_first:
        image = image * drawn.contrast
    return np.clip(image, 0, 1).astype(np.float32)


def photometric_tensor(images: torch.Tensor, drawn: Photometric) -> torch.Tensor:
    """`photometric` on the device of images (T, H, W, 3) uint8, all at once; uint8 again.

    The same to one grey level.
    """
    from kornia.color import hsv_to_rgb, rgb_to_hsv

    image = (images.movedim(-1, 1).float() / 255 + drawn.brightness).clamp(0, 1)
    if drawn.contrast_first:
        image = (image * drawn.contrast).clamp(0, 1)
    hue, saturation, value = rgb_to_hsv(image).unbind(1)
    saturation = (saturation * drawn.saturation).clamp(0, 1)
    hue = (hue + math.radians(drawn.hue)) % (2 * math.pi)
    image = hsv_to_rgb(torch.stack([hue, saturation, value], dim=1))
    if not drawn.contrast_first:
        image = image * drawn.contrast
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).movedim(1, -1).contiguous()


def harsh_clip(images: list[np.ndarray], rng: Rng) -> list[np.ndarray]:
    """Distortion beyond the field's, so that a memory learns which frames to trust.

    Every fourth clip has one change of colour, as a clean video has; every fourth one distortion
    for all its frames, as one weather has; the others another one each frame.
    """
    kind = rng.choice(["colour", "one", "each"], p=[0.25, 0.25, 0.5])
    seeds = rng.integers(2**32, size=len(images))
    seeds = seeds if kind == "each" else np.full_like(seeds, seeds[0])
    harsh = 0.0 if kind == "colour" else 0.67
    return [
        distort(image, np.random.default_rng(seed), harsh)
        for image, seed in zip(images, seeds, strict=True)
    ]


DISTORTION_KINDS = {PHOTOMETRIC: photometric_clip, HARSH: harsh_clip}


def distort(image: np.ndarray, rng: Rng, harsh: float = 0.67) -> np.ndarray:
    """Photometric distortion: colour always, with probability `harsh` some of the harsher ones."""
    image = colour_jitter(image, rng)
    if rng.random() < harsh:
        for distortion, probability in DISTORTIONS.items():
            if rng.random() < probability:
                image = np.clip(distortion(image, rng), 0, 1)
    return np.clip(image, 0, 1).astype(np.float32)


def colour_jitter(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Brightness, contrast, saturation and white balance."""
    image = image * rng.uniform(0.7, 1.3)
    image = (image - image.mean()) * rng.uniform(0.6, 1.4) + image.mean()
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * rng.uniform(0.3, 1.5)
    return np.clip(image * rng.uniform(0.85, 1.15, size=3), 0, 1).astype(np.float32)


def gamma(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Darker or lighter midtones."""
    return image ** np.exp(rng.uniform(-0.7, 0.7))


def low_contrast(image: np.ndarray, rng: Rng) -> np.ndarray:
    """The whole image squeezed towards one random grey."""
    share = rng.uniform(0.25, 0.9)
    return image * share + rng.uniform(0.0, 1.0) * (1 - share)


def uneven_light(image: np.ndarray, rng: Rng) -> np.ndarray:
    """A smooth gain over the image, as from shade or a vignette."""
    coarse = rng.normal(0, 0.4, size=(4, 5)).astype(np.float32)
    field = cv2.resize(coarse, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return image * np.exp(field)[..., None]


def blur(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Gaussian blur, or motion blur along a random line."""
    if rng.random() < 0.6:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.5))
    length = int(rng.integers(3, 14))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    middle, reach = (length - 1) / 2, length / 2
    ends = [
        (middle + s * reach * np.cos(angle), middle + s * reach * np.sin(angle)) for s in (-1, 1)
    ]
    points = [tuple(int(round(v)) for v in end) for end in ends]
    cv2.line(kernel, *points, 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def noise(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Gaussian, speckle or impulse noise, fine or coarse-grained."""
    height, width = image.shape[:2]
    grain = int(rng.integers(1, 4))
    shape = (height // grain + 1, width // grain + 1, 3 if rng.random() < 0.5 else 1)
    if rng.random() < 0.3:
        hit = _enlarge((rng.random(shape) < rng.uniform(0.005, 0.08)).astype(np.float32), image)
        return image * (1 - hit) + hit * rng.random()
    field = _enlarge(rng.normal(0, rng.uniform(0.02, 0.15), shape).astype(np.float32), image)
    return image + field * (image if rng.random() < 0.4 else 1.0)


def _enlarge(field: np.ndarray, image: np.ndarray) -> np.ndarray:
    field = cv2.resize(field, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return field if field.ndim == 3 else field[..., None]


def coarse_pixels(image: np.ndarray, rng: Rng) -> np.ndarray:
    """A low resolution, enlarged again."""
    share = rng.uniform(0.25, 0.7)
    small = cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def jpeg(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Strong JPEG compression."""
    quality = int(rng.integers(8, 50))
    encoded = cv2.imencode(
        ".jpg", (image * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return cv2.imdecode(encoded[1], cv2.IMREAD_COLOR).astype(np.float32) / 255


def random_texture(image: np.ndarray, rng: Rng) -> np.ndarray:
    """A random 3x3 filter that mixes channels, blended in: shapes stay, textures change."""
    kernels = rng.normal(0, 1 / 3, size=(3, 3, 3)).astype(np.float32)
    mixed = np.stack([cv2.filter2D(image, -1, k).mean(axis=2) for k in kernels], axis=2)
    mixed = (mixed - mixed.mean()) / (mixed.std() + 1e-3) * image.std() + image.mean()
    share = rng.uniform(0.2, 0.7)
    return image * (1 - share) + mixed * share


def erase(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Random erasing: boxes and ellipses of flat colour or noise; labels stay."""
    image = image.copy()
    height, width = image.shape[:2]
    largest = np.exp(rng.uniform(np.log(0.02), np.log(0.3)))
    for _ in range(int(rng.integers(1, 3 + min(40, int(0.25 / largest**1.5))))):
        size = rng.uniform(0.2, 1.0, size=2) * largest * width
        centre = rng.uniform(0, 1, size=2) * (width, height)
        mask = np.zeros((height, width), np.uint8)
        box = (tuple(map(float, centre)), tuple(map(float, size)), float(rng.uniform(0, 180)))
        if rng.random() < 0.5:
            cv2.ellipse(mask, box, 1, -1)
        else:
            cv2.fillPoly(mask, [cv2.boxPoints(box).astype(np.int32)], 1)
        hidden = mask.astype(bool)
        fill = rng.random(3) + rng.normal(0, rng.uniform(0, 0.2), size=(int(hidden.sum()), 3))
        opacity = rng.uniform(0.6, 1.0)
        image[hidden] = image[hidden] * (1 - opacity) + fill * opacity
    return image


DISTORTIONS: dict[Callable[[np.ndarray, Rng], np.ndarray], float] = {
    random_texture: 0.2,
    uneven_light: 0.3,
    gamma: 0.3,
    blur: 0.25,
    coarse_pixels: 0.15,
    low_contrast: 0.4,
    erase: 0.4,
    noise: 0.35,
    jpeg: 0.15,
}

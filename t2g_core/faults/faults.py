# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Faults of a stream: what arrives from the moment on when one begins."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from t2g_core.faults.image_faults import IMAGE_FAULTS, ImageFault
from t2g_core.health.findings import (
    BLACKOUT,
    BLURRED,
    FLICKER,
    FRAME_DROPS,
    FROZEN,
    LOW_CONFIDENCE,
    LOW_CONTRAST,
    OVEREXPOSED,
    RATE_FELL,
    STAMPS_STAND_STILL,
)

LOST = 0.3  # of the frames, where frames are dropped
NOISE = 4.0  # standard deviation of the noise on logits, where masks flicker


class Arrival(NamedTuple):
    """A frame as it arrives.

    image: (H, W, 3) uint8 RGB; number: of the clip's frame that it is, None where it was changed;
    stamp: in frames of the clip; noise: standard deviation of noise on the model's logits.
    """

    image: np.ndarray
    number: int | None
    stamp: int
    noise: float = 0.0


Arrivals = Callable[[Sequence[np.ndarray], int, np.random.Generator], Iterator[Arrival]]


@dataclass(frozen=True)
class Fault:
    """kinds: what it may be called, of `findings.KINDS`. arrivals: images of a clip, number of the
    first that is hit and a generator -> what arrives from then on.
    """

    name: str
    kinds: tuple[str, ...]
    arrivals: Arrivals


def painted(
    paint: ImageFault, images: Sequence[np.ndarray], onset: int, rng: np.random.Generator
) -> Iterator[Arrival]:
    """Images with a fault painted into them."""
    seed = int(rng.integers(2**31))
    for number in range(onset, len(images)):
        image = paint(images[number], number - onset, np.random.default_rng(seed))
        yield Arrival(image, None, number)


def frozen(images: Sequence[np.ndarray], onset: int, rng: np.random.Generator) -> Iterator[Arrival]:
    """The last good image again and again, with stamps that go on."""
    for number in range(onset, len(images)):
        yield Arrival(images[onset - 1], onset - 1, number)


def dropped(
    images: Sequence[np.ndarray], onset: int, rng: np.random.Generator
) -> Iterator[Arrival]:
    """Three in ten images are lost, at random."""
    for number in range(onset, len(images)):
        if rng.random() >= LOST:
            yield Arrival(images[number], number, number)


def halved(images: Sequence[np.ndarray], onset: int, rng: np.random.Generator) -> Iterator[Arrival]:
    """Every second image."""
    for number in range(onset + 1, len(images), 2):
        yield Arrival(images[number], number, number)


def standing_stamps(
    images: Sequence[np.ndarray], onset: int, rng: np.random.Generator
) -> Iterator[Arrival]:
    """Every image has the stamp of the last good one."""
    for number in range(onset, len(images)):
        yield Arrival(images[number], number, onset - 1)


def noisy(images: Sequence[np.ndarray], onset: int, rng: np.random.Generator) -> Iterator[Arrival]:
    """Good images, and a model whose logits are noisy."""
    for number in range(onset, len(images)):
        yield Arrival(images[number], number, number, NOISE)


def well(images: Sequence[np.ndarray]) -> Iterator[Arrival]:
    """A clip as it is."""
    return map(Arrival, images, itertools.count(), itertools.count())


KINDS_OF_IMAGE_FAULTS = {
    "blackout": (BLACKOUT,),
    "overexposure": (OVEREXPOSED,),
    "blur": (BLURRED,),
    "dirt": (BLURRED,),
    "fog rolling in": (LOW_CONTRAST, LOW_CONFIDENCE),
}
FAULTS = (
    Fault("frozen image", (FROZEN,), frozen),
    *(
        Fault(name, KINDS_OF_IMAGE_FAULTS[name], partial(painted, paint))
        for name, paint in IMAGE_FAULTS.items()
    ),
    Fault("frame drops", (FRAME_DROPS,), dropped),
    Fault("half the rate", (RATE_FELL,), halved),
    Fault("stamps stand still", (STAMPS_STAND_STILL,), standing_stamps),
    Fault("noise on logits", (FLICKER,), noisy),
)

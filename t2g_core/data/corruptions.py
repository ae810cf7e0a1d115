# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Weather corruptions for evaluation: fog, frost, snow and spatter of the ImageNet-C benchmark.

The paper corrupts the Cityscapes snippets with these four (appendix B) and states neither severity
nor seeding. Here the severity is 3 unless told otherwise and the seed of a frame comes from its
names and the weather's alone: a frame looks the same in whatever order, clip or process it is
corrupted. Seeded by `frame`, neighbouring frames get unrelated patterns, which averaging over time
removes; seeded by `video`, one pattern stays in the picture, as dirt on a lens does, and nothing
averages it away.
These pictures are for evaluation only and never for training.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import numpy as np

CORRUPTIONS = ("fog", "frost", "snow", "spatter")
SEVERITY = 3
SEEDINGS = {
    "frame": "numpy.random.seed(zlib.crc32('WEATHER:VIDEO:NUMBER'))",
    "video": "numpy.random.seed(zlib.crc32('WEATHER:VIDEO'))",
}
MIN_SIDE = 32  # pixels; the benchmark's own limit


@dataclass(frozen=True)
class Weather:
    """One of ``CORRUPTIONS``, its severity from 1 to 5, and what seeds it, one of ``SEEDINGS``.

    Raises ``ValueError`` for another name, severity or seeding.
    """

    name: str
    severity: int = SEVERITY
    seeding: str = "frame"

    def __post_init__(self) -> None:
        if self.name not in CORRUPTIONS:
            raise ValueError(f"corruption must be one of {CORRUPTIONS}, got {self.name!r}")
        if self.severity not in range(1, 6):
            raise ValueError(f"severity must be 1, 2, 3, 4 or 5, got {self.severity!r}")
        if self.seeding not in SEEDINGS:
            raise ValueError(f"seeding must be one of {tuple(SEEDINGS)}, got {self.seeding!r}")

    def seed(self, video: str, number: int) -> int:
        """The frame's seed, the same on every machine: 0 to 2**32 - 1.

        The library draws its frost among six pictures, the benchmark among the first five of
        them: a seed that draws the sixth gives way to the next one.
        """
        name = f"{self.name}:{video}"
        if self.seeding == "frame":
            name += f":{number}"
        seed = zlib.crc32(name.encode())
        while self.name == "frost" and _frost_picture(seed) == 5:
            seed = (seed + 1) % 2**32
        return seed

    def record(self) -> dict:
        """All of it, as results and folders of corrupted images say it."""
        return {
            "corruption": self.name,
            "severity": self.severity,
            "seeding": SEEDINGS[self.seeding],
        }


def corrupt(image: np.ndarray, weather: Weather, video: str, number: int) -> np.ndarray:
    """Return frame ``number`` of ``video`` as it would look in bad weather.

    ``image`` is ``(H, W, 3)`` uint8 RGB with sides of at least 32 pixels; the result has its shape
    and dtype. The same picture, names, numbers and library versions give the same bytes. Not for
    several threads at once: the library draws from numpy's global generator, which is seeded for
    the call and put back afterwards.

    Raises ``ValueError`` for another image, ``ModuleNotFoundError`` with the command to type where
    the library is not installed.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    if min(image.shape[:2]) < MIN_SIDE:
        raise ValueError(f"image sides must be at least {MIN_SIDE} pixels, got {image.shape[:2]}")
    with _numpy_seeded(weather.seed(video, number)):
        return load_library().corrupt(
            image, severity=weather.severity, corruption_name=weather.name
        )


def _frost_picture(seed: int) -> int:
    """The library's first draw, 0 to 5."""
    return int(np.random.RandomState(seed).randint(6))  # noqa: NPY002


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, the library's only one, and restore its state afterwards."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def load_library() -> ModuleType:
    """Import the corruption library, which takes a second, where it is needed.

    Raises ``ModuleNotFoundError`` with the command that installs it.
    """
    try:
        import imagecorruptions
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"corruptions need {error.name}; type: pip install --no-deps imagecorruptions-imaug "
            "&& pip install scikit-image numba opencv-python-headless"
        ) from error
    return imagecorruptions

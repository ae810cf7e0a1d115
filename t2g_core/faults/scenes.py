# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Clips that faults are put into, and drives that are none: a turn, a stop, bad weather."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from t2g_core.data.video import Video
from t2g_core.health.findings import LOW_CONFIDENCE
from t2g_core.images.files import read_image
from t2g_core.street.raster import Camera
from t2g_core.street.scene import StreetScene

Labelled = tuple[np.ndarray, np.ndarray]  # image (H, W, 3) uint8 RGB, labels (H, W) uint8


@dataclass(frozen=True)
class Clip:
    """A recording at a steady rate.

    rendered: what gives its images and labels, which are ids of the classes of CamVid. expected:
    kinds of finding that are no false alarm in it.
    """

    name: str
    rate_hz: float
    frames: Callable[[], Sequence[Labelled]]
    expected: frozenset[str] = frozenset()


class TurningScene(StreetScene):
    """The car looks to both sides, 35 degrees in a second at most."""

    def camera(self, index: int) -> Camera:
        """As the street's, turned."""
        camera = super().camera(index)
        time_s = max(0.0, index / self.rate_hz - 1.5)
        return replace(camera, yaw=camera.yaw + 0.4 * np.sin(1.5 * time_s))


class StoppingScene(StreetScene):
    """The car brakes in the third second and stands from the fourth on; others drive on."""

    def camera(self, index: int) -> Camera:
        """As the street's, at the place where the car is by then."""
        time_s = index / self.rate_hz
        braking_s = min(max(0.0, time_s - 2), 1.5)
        driven_s = min(time_s, 2) + braking_s - braking_s**2 / 3
        return super().camera(driven_s * self.rate_hz)


def rendered_clips(frames: int, size: tuple[int, int], rate_hz: float = 15.0) -> list[Clip]:
    """The rendered street, its turn, its stop and its weathers; size: width, height."""
    of = (frames, *size, rate_hz)
    clips = [
        Clip("street", rate_hz, lambda: list(StreetScene(7, *of))),
        Clip("street, turning", rate_hz, lambda: list(TurningScene(8, *of))),
        Clip("street, stopping", rate_hz, lambda: list(StoppingScene(9, *of))),
    ]
    for weather in ("fog", "rain", "snow"):
        scene = StreetScene(7, *of, weather)
        own = frozenset({LOW_CONFIDENCE})
        clips.append(Clip(f"street, {weather}", rate_hz, lambda scene=scene: list(scene), own))
    return clips


def recorded_clip(video: Video, frames: int) -> Clip:
    """The first frames of a data set's video; where one has no label, all of it is void."""
    return Clip(
        video.name,
        video.rate_hz or 15.0,
        lambda: [(read_image(one.image_path), one.read_label()) for one in video.frames[:frames]],
    )

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Training clips: frames of one video at one stride, cropped and distorted, the same every time."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from t2g_core.data.video import Video, VideoFrame
from t2g_core.images.files import read_image
from t2g_core.labels import IGNORE_INDEX
from t2g_core.schedule import PHOTOMETRIC, TrainConfig
from t2g_core.training.clips.augment import (
    MOVE_STEP_S,
    Crop,
    Photometric,
    apply_crop,
    camera_move,
    distort_clip,
    draw_crop,
    draw_photometric,
)
from t2g_core.training.clips.paste import paste_things


class Clip(NamedTuple):
    """images (T, H, W, 3) uint8 RGB; labels (T, H, W) uint8 class ids, 255 void; step_s: time
    between two of its frames [s], 0 for a single frame; grey (T, H, W) uint8: the images before
    they were distorted; colours: how their colours are still to be changed, None where they are as
    they should be.
    """

    images: np.ndarray
    labels: np.ndarray
    step_s: float
    grey: np.ndarray
    colours: Photometric | None = None


class ClipSampler:
    """Draws clip number `index` of a training run: a function of the seed and the index alone.

    A run that resumes, or a second worker, therefore sees the very same clips.

    Raises:
        ValueError: no video is long enough for any stride of the config, or a distortion that is
            left to others is not the photometric one.
    """

    def __init__(
        self,
        videos: list[Video],
        config: TrainConfig,
        input_size: tuple[int, int],
        distort: bool = True,
    ):
        """input_size: width, height that give a frame's area at inference. distort: False draws the
        change of colours and leaves it to others.
        """
        if not distort and config.distortion != PHOTOMETRIC:
            raise ValueError(
                f"--distort-on-device: expected train.distortion {PHOTOMETRIC}, "
                f"got {config.distortion}"
            )
        self.config, self.input_size, self.distort = config, input_size, distort
        self.clips = {
            stride: [
                (frames, stride * step_s)
                for frames, step_s in clips_at(videos, stride, config.clip_frames)
                if labelled_positions(frames)
            ]
            for stride in set(config.strides)
        }
        empty = sorted(stride for stride, clips in self.clips.items() if not clips)
        if empty:
            raise ValueError(
                f"no video holds {config.clip_frames} frames at strides {empty}, one of them with "
                f"a label; longest: {max((len(v.frames) for v in videos), default=0)} frames"
            )

    @property
    def frames(self) -> list[VideoFrame]:
        """All frames of clips that are several of a video, each once, in their order."""
        clips = (frames for r in sorted(self.clips) if r for frames, _ in self.clips[r])
        return list(dict.fromkeys(itertools.chain.from_iterable(clips)))

    def __call__(self, index: int) -> Clip:
        """Clip number `index`, any non-negative integer."""
        rng, (frames, step_s), stride = self._begin(index)
        labels = [frame.read_label() for frame in frames]
        pictures = [read_image(frame.image_path) for frame in frames]
        share = self.config.paste_share
        if stride == 0 and share and rng.random() < share:
            (other, *_), _ = self.draw_frames(rng, stride)
            seen = read_image(other.image_path), other.read_label()
            picture, label = paste_things(rng, pictures[0], labels[0], *seen)
            pictures, labels = [picture] * len(frames), [label] * len(frames)
        moves = self.config.move_steps
        pace = int(rng.choice(moves)) if stride == 0 and len(moves) > 1 else moves[0]
        pace = 0 if stride else pace
        crops = self._draw_crops(rng, labels[labelled_positions(frames)[-1]], pace)
        size = self.config.crop_size
        images = [
            apply_crop(picture, crop, size, label=False)
            for picture, crop in zip(pictures, crops, strict=True)
        ]
        grey = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images])
        colours = None if self.distort else draw_photometric(rng)
        if self.distort:
            images = [image.astype(np.float32) / 255 for image in images]
            images = distort_clip(images, rng, self.config.distortion)
            images = [(image * 255).round().astype(np.uint8) for image in images]
        cut = [apply_crop(y, crop, size, label=True) for y, crop in zip(labels, crops, strict=True)]
        step_s = step_s if stride else pace * MOVE_STEP_S
        return Clip(np.stack(images), np.stack(cut), step_s, grey, colours)

    def labelled(self, index: int) -> list[int]:
        """Positions of clip number `index` that have a label; never empty."""
        _, (frames, _), _ = self._begin(index)
        return labelled_positions(frames)

    def draw_frames(self, rng: np.random.Generator, stride: int) -> tuple[list[VideoFrame], float]:
        """clip_frames frames of one video, `stride` of its frames apart, oldest first, and the
        time between two of them [s].
        """
        return self.clips[stride][rng.integers(len(self.clips[stride]))]

    def _begin(self, index: int) -> tuple[np.random.Generator, tuple[list[VideoFrame], float], int]:
        rng = np.random.default_rng([self.config.seed, index])
        stride = int(rng.choice(self.config.strides))
        return rng, self.draw_frames(rng, stride), stride

    def _draw_crops(self, rng: np.random.Generator, label: np.ndarray, pace: int) -> list[Crop]:
        """pace: of a virtual move, 0 for frames that are several of a video."""
        c, frame = self.config, (label.shape[1], label.shape[0])
        for _ in range(20):  # then as it comes: a label may be void nearly everywhere
            by_class = c.class_share and rng.random() < c.class_share
            around = draw_point(rng, label) if by_class else None
            crop = draw_crop(rng, c.zoom, c.crop_size, frame, self.input_size, around)
            cut = apply_crop(label, crop, (96, 72), label=True)
            counts = np.bincount(cut[cut != IGNORE_INDEX], minlength=1)
            if 0 < counts.max() <= c.max_class_share * counts.sum():
                break
        return camera_move(rng, crop, c.clip_frames, pace) if pace else [crop] * c.clip_frames


def draw_point(rng: np.random.Generator, label: np.ndarray) -> tuple[float, float] | None:
    """A pixel of a class that is drawn evenly among those of a label (H, W): its x and y in shares
    of the picture. None where all is void.
    """
    known = np.unique(label[label != IGNORE_INDEX])
    if not len(known):
        return None
    rows, columns = np.nonzero(label == rng.choice(known))
    chosen = rng.integers(len(rows))
    return (columns[chosen] + 0.5) / label.shape[1], (rows[chosen] + 0.5) / label.shape[0]


def clips_at(
    videos: list[Video], stride: int, count: int
) -> Iterator[tuple[list[VideoFrame], float]]:
    """All clips of `count` frames, `stride` apart, oldest first, and the step of their video [s].

    Those within a video come first. Then those of a recording that was cut into several: all of
    their frames are there, and no hole between them is longer than the stride.
    """
    for video in videos:
        for start in range(len(video.frames) - stride * (count - 1)):
            yield [video.frames[start + stride * t] for t in range(count)], video.step_s
    if stride < 2:  # neighbours: a hole cannot be stepped over
        return
    recordings: dict[tuple[str, float], list[Video]] = defaultdict(list)
    for video in videos:
        if len(video.frames) > 1:
            recordings[video.frames[0].video, video.rate_hz].append(video)
    for parts in recordings.values():
        yield from _across_holes(parts, stride, count)


def _across_holes(
    parts: list[Video], stride: int, count: int
) -> Iterator[tuple[list[VideoFrame], float]]:
    """Clips whose frames lie in more than one of a recording's videos."""
    unit = parts[0].frames[1].number - parts[0].frames[0].number
    place = {f.number: (f, number) for number, part in enumerate(parts) for f in part.frames}
    ordered = sorted(place)
    steps = zip(ordered, ordered[1:], strict=False)
    breaks = [later for earlier, later in steps if (later - earlier) / unit - 1 > stride]
    for first in ordered:
        numbers = [first + t * stride * unit for t in range(count)]
        if not all(number in place for number in numbers):
            continue
        if bisect_right(breaks, first) < bisect_right(breaks, numbers[-1]):
            continue
        if len({place[number][1] for number in numbers}) > 1:
            yield [place[number][0] for number in numbers], parts[0].step_s


def labelled_positions(frames: list[VideoFrame]) -> list[int]:
    """Which of some frames have a label."""
    return [t for t, frame in enumerate(frames) if frame.label_path is not None]


def draw_window(
    rng: np.random.Generator, clip_frames: int, frames: int, labelled: list[int]
) -> int:
    """First of `frames` neighbouring frames of a clip that hold one of the `labelled` positions."""
    starts = [
        first
        for first in range(clip_frames - frames + 1)
        if any(first <= t < first + frames for t in labelled)
    ]
    return starts[int(rng.integers(len(starts)))]

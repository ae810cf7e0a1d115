# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What one training iteration sees: a function of the seed and its number alone."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from t2g_core.config import Config
from t2g_core.data.video import Video
from t2g_core.images.model_input import PATCH
from t2g_core.methods.method import ClipBatch, Method
from t2g_core.processes import Share
from t2g_core.training.clips.kept_clips import (
    DistortedClips,
    PlainFrames,
    TrainingClip,
    cut,
    joined,
)
from t2g_core.training.clips.loader import ClipLoader
from t2g_core.training.clips.sampler import ClipSampler, draw_point, draw_window, labelled_positions
from t2g_core.training.source import Fingerprints


class TrainingBatches:
    """Clips of one length, about `frames_per_step` frames together, as the stage says.

    Where the stage says so, their length T' is drawn anew each iteration, so that a filling memory
    is a seen case, and short clips come several at a time. Each clip is of undistorted frames, seen
    whole and cut (`plain_share`), or a distorted crop.

    Raises:
        ValueError: the crop is larger than the input, a video is too short or the distortion
            none of a device (ClipSampler), or clips are kept that a device is to distort.
    """

    def __init__(
        self,
        videos: list[Video],
        method: Method,
        config: Config,
        root: Path,
        device: str,
        fingerprints: Fingerprints,
        workers: int = 0,
        distort_on_device: bool = False,
    ):
        c = config.train
        if distort_on_device and c.cached_clips:
            raise ValueError(
                f"--distort-on-device: expected train.cached_clips 0, got {c.cached_clips}: clips "
                "that are kept are distorted once"
            )
        if c.crop_size[0] > config.input_size[0] or c.crop_size[1] > config.input_size[1]:
            raise ValueError(
                f"train.crop_size {c.crop_size} is larger than input_size {config.input_size}"
            )
        self.config = config
        self.sampler = ClipSampler(videos, c, config.input_size, distort=not distort_on_device)
        self.clips = ClipLoader(self.sampler, workers)
        self.distorted = DistortedClips(self.clips, method, config, root, device, fingerprints)
        self.plain = PlainFrames(method, config, root, device, fingerprints)

    def __call__(self, number: int) -> list[TrainingClip]:
        """The clips of micro-batch `number` of the run, each of the same T' frames."""
        rng, frames, clips = self._plan(number)
        return [
            self._plain_clip(rng, frames) if plain else self._distorted_clip(rng, clip, frames)
            for clip, plain in clips.items()
        ]

    def begin(self, numbers: Iterable[int]) -> None:
        """Let the workers draw what these micro-batches need and is not encoded yet, in turn."""
        self.clips.begin(self._clips_to_draw(numbers))

    def fill(self, first_iteration: int, share: Share) -> None:
        """Make what the iterations from this one on will read from disk and is not there: this
        process's share of it, so that no two make the same.

        Distorted clips are known beforehand. Whole frames are drawn as a run goes on: all are made,
        as they are and mirrored, where it will draw at least as many, and else when they are drawn.
        """
        c = self.config.train
        plans = (
            self._plan(number)[2].items()
            for number in range(first_iteration * c.accumulate, c.iterations * c.accumulate)
            if c.cached_clips
        )
        kinds: dict[bool, list[int]] = {True: [], False: []}
        for clip, plain in itertools.chain.from_iterable(plans):
            kinds[plain].append(clip)
        clips = share.of(sorted(set(self.distorted.missing(kinds[False]))))
        frames = [(frame, way) for frame in self.sampler.frames for way in (False, True)]
        frames = share.of(frames) if len(kinds[True]) >= len(frames) else []
        self.clips.begin(clips)
        with tqdm(
            total=len(clips) + len(frames),
            desc=f"fill the cache, {share.index + 1} of {share.count}",
            disable=share.index > 0 or not (clips or frames),
            file=sys.stderr,
        ) as progress:
            for clip in clips:
                self.distorted.keep(clip)
                progress.update()
            for frame, mirrored in frames:
                self.plain.keep(frame, mirrored)
                progress.update()
        self.clips.close()

    def _clips_to_draw(self, numbers: Iterable[int]) -> Iterator[int]:
        begun: set[int] = set()
        for number in numbers:
            _, _, clips = self._plan(number)
            distorted = [clip for clip, plain in clips.items() if not plain]
            for clip in self.distorted.missing(distorted):
                if clip not in begun:
                    begun.add(clip)
                    yield clip

    def close(self) -> None:
        """End the workers."""
        self.clips.close()

    def _plan(self, number: int) -> tuple[np.random.Generator, int, dict[int, bool]]:
        """Frames a clip, and for each clip by its number whether it is plain."""
        c = self.config.train
        stage, _ = c.stage_of(number // c.accumulate)
        rng = np.random.default_rng([c.seed, 1, number])
        frames = int(rng.integers(1, stage.frames_per_clip + 1, size=2).max())
        frames = frames if stage.random_length else stage.frames_per_clip
        count = max(1, stage.frames_per_step // frames)
        first = number * max(1, *(s.frames_per_step for s in c.stages))
        plain = rng.random(count) < stage.plain_share
        return rng, frames, {first + i: bool(plain[i]) for i in range(count)}

    def _distorted_clip(self, rng: np.random.Generator, number: int, frames: int) -> TrainingClip:
        labelled = self.sampler.labelled(self.distorted.number(number))
        first = draw_window(rng, self.config.train.clip_frames, frames, labelled)
        return self.distorted(number, first, first + frames)

    def _plain_clip(self, rng: np.random.Generator, frames: int) -> TrainingClip:
        mirrored = bool(rng.random() < 0.5)
        place, share = rng.random(2), self.config.train.class_share
        by_class = share and rng.random() < share
        stride = int(rng.choice([r for r in self.config.train.strides if r]))
        chosen, step_s = self.sampler.draw_frames(rng, stride)
        first = min(labelled_positions(chosen)) if chosen[0].label_path is None else 0
        first = min(first, len(chosen) - frames)
        parts = [
            self.plain(frame, mirrored, frames > 1) for frame in chosen[first : first + frames]
        ]
        around = draw_point(rng, parts[-1].labels[-1].numpy()) if by_class else None
        parts = [self._window(part, place, around) for part in parts]
        return joined(parts, step_s)

    def _window(
        self, frame: TrainingClip, place: np.ndarray, around: tuple[float, float] | None
    ) -> TrainingClip:
        """The crop of a whole frame, anywhere or so that it holds the point `around`, (x, y) in
        shares of the frame; place: two numbers from 0 to 1 that decide where.
        """
        size = self.config.train.crop_size
        height, width = frame.labels.shape[1:]
        if width < size[0] or height < size[1]:
            raise ValueError(
                f"train.crop_size {size} is larger than a frame of the source at input_size "
                f"{self.config.input_size}, which is {width}x{height}: choose a smaller crop"
            )
        left, top = (
            window_start(share, whole, side, None if around is None else around[axis])
            for axis, (share, whole, side) in enumerate(
                zip(place, (width, height), size, strict=True)
            )
        )
        return cut(frame, left, top, size)


def window_start(share: float, whole: int, side: int, point: float | None) -> int:
    """The patch with which a window of `side` pixels begins in `whole`: of all that there are, or
    of those with which it holds the point (0 to 1), the one at `share` (0 to 1).
    """
    first, last = 0, (whole - side) // PATCH
    if point is not None:
        pixel = int(point * whole)
        first = max(first, -((side - 1 - pixel) // PATCH))
        last = max(first, min(last, pixel // PATCH))
        first = min(first, last)
    return first + int(share * (last - first + 1))


def collate(clips: list[TrainingClip], device: str | torch.device) -> ClipBatch:
    """Stack B clips of one length."""
    target = torch.stack([clip.labels for clip in clips]).long()
    maps = zip(*(clip.features for clip in clips), strict=True)
    features = tuple(torch.stack(frames).float().to(device) for frames in maps)
    images = torch.stack([clip.images.to(device) for clip in clips])
    seen = [clip.motion_images for clip in clips]
    return ClipBatch(
        features,
        images,
        target.to(device),
        None if seen[0] is None else torch.stack(seen),
        torch.stack([clip.step_s for clip in clips]).to(device),
    )

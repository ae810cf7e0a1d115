"""What one training iteration sees: a function of the seed and its number alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from t2g_core.config import Config
from t2g_core.data.video import Video
from t2g_core.encoders.preprocess import PATCH
from t2g_core.model.method import Method
from t2g_core.training.clip_sampler import ClipSampler, draw_window, labelled_positions
from t2g_core.training.clip_workers import ClipWorkers
from t2g_core.training.encoded_clips import DistortedClips, EncodedClip, PlainFrames, crop_tokens
from t2g_core.training.source import SourcePrints


class TrainingBatches:
    """Clips of one length, about `frames_per_step` frames together.

    The length T' is drawn anew each iteration, so that a filling buffer is a seen case, and short
    clips come several at a time. A share of the iterations (`plain_share`) sees undistorted
    frames, encoded whole and once; the others see distorted crops.

    Raises:
        ValueError: the crop is larger than the input, the method's features are not cacheable,
            or a video is too short (ClipSampler).
    """

    def __init__(
        self,
        videos: list[Video],
        method: Method,
        config: Config,
        root: Path,
        device: str,
        prints: SourcePrints,
        workers: int = 0,
    ):
        c = config.train
        if c.crop_size[0] > config.input_size[0] or c.crop_size[1] > config.input_size[1]:
            raise ValueError(
                f"train.crop_size {c.crop_size} is larger than input_size {config.input_size}"
            )
        if not method.cacheable:
            raise ValueError(
                f"{type(method).__name__} changes its encoder: its features cannot be kept on disk"
            )
        self.config = config
        self.sampler = ClipSampler(videos, c)
        self.workers = ClipWorkers(self.sampler, workers)
        self.distorted = DistortedClips(self.workers, method, config, root, device, prints)
        self.plain = PlainFrames(method, config, root, device, prints)

    def __call__(self, iteration: int) -> list[EncodedClip]:
        """The clips of one iteration, each of the same T' frames."""
        rng, frames, plain, numbers = self._plan(iteration)
        draw = self._plain_clip if plain else self._distorted_clip
        return [draw(rng, number, frames) for number in numbers]

    def expect(self, iterations: Iterable[int]) -> None:
        """Let the workers begin with clips of coming iterations that are not encoded yet."""
        for iteration in iterations:
            _, _, plain, numbers = self._plan(iteration)
            if not plain:
                self.workers.expect(self.distorted.missing(numbers))

    def close(self) -> None:
        """End the workers."""
        self.workers.close()

    def _plan(self, iteration: int) -> tuple[np.random.Generator, int, bool, list[int]]:
        """Frames a clip, whether they are plain, and the numbers of the clips."""
        c = self.config.train
        rng = np.random.default_rng([c.seed, 1, iteration])
        frames = int(rng.integers(1, c.clip_frames + 1))
        plain = bool(rng.random() < c.plain_share)
        first = iteration * c.frames_per_step
        return rng, frames, plain, list(range(first, first + max(1, c.frames_per_step // frames)))

    def _distorted_clip(self, rng: np.random.Generator, number: int, frames: int) -> EncodedClip:
        labelled = self.sampler.labelled(self.distorted.number(number))
        first = draw_window(rng, self.config.train.clip_frames, frames, labelled)
        return self.distorted(number, first, first + frames)

    def _plain_clip(self, rng: np.random.Generator, number: int, frames: int) -> EncodedClip:
        del number
        mirrored = bool(rng.random() < 0.5)
        corner = rng.random(2)
        stride = int(rng.choice([r for r in self.config.train.strides if r]))
        chosen = self.sampler.draw_frames(rng, stride)
        first = min(labelled_positions(chosen)) if chosen[0].label_path is None else 0
        first = min(first, len(chosen) - frames)
        parts = [self.plain(frame, mirrored) for frame in chosen[first : first + frames]]
        parts = [self._window(part, corner) for part in parts]
        return EncodedClip(
            torch.cat([part.tokens for part in parts], dim=1),
            torch.cat([part.images for part in parts]),
            torch.cat([part.labels for part in parts]),
        )

    def _window(self, frame: EncodedClip, corner: np.ndarray) -> EncodedClip:
        """The crop of a whole frame whose place is `corner`, (x, y) from 0 to 1."""
        size = self.config.train.crop_size
        height, width = frame.labels.shape[1:]
        if width < size[0] or height < size[1]:
            raise ValueError(
                f"train.crop_size {size} is larger than a frame of the source at input_size "
                f"{self.config.input_size}, which is {width}x{height}: choose a smaller crop"
            )
        room = (width - size[0]) // PATCH + 1, (height - size[1]) // PATCH + 1
        left, top = (int(c * n) for c, n in zip(corner, room, strict=True))
        return crop_tokens(frame, left, top, size)

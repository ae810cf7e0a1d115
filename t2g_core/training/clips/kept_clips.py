# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Training clips as an iteration reads them, kept on disk so that no frame is made twice.

A clip is kept as its images; where the method's features depend on frozen weights alone, with the
features beside them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from t2g_core.config import Config
from t2g_core.data.video import VideoFrame
from t2g_core.device import BF16
from t2g_core.images.files import read_image
from t2g_core.images.model_input import fit_size, resize
from t2g_core.methods.method import Method
from t2g_core.training.clips.augment import photometric_tensor
from t2g_core.training.clips.sampler import Clip
from t2g_core.training.source import Fingerprints
from t2g_core.whole_files import replacing

LAYOUT = 3  # of the files; those of another one are made anew
SAMPLING = (
    "seed",
    "clip_frames",
    "crop_size",
    "zoom",
    "distortion",
    "max_class_share",
    "class_share",
    "paste_share",
    "move_steps",
    "strides",
    "precision",
)


class TrainingClip(NamedTuple):
    """T frames of one video, oldest first.

    images (T, H, W, 3) uint8 RGB; labels (T, H, W) uint8; step_s () float32, see `Clip`; features:
    one (T, h, w, C) of the run's precision each, none for a method that is not `cacheable`;
    motion_images (T, h', w') uint8, see `Prepared`, or None; grey (T, H, W) uint8, see `Clip`.
    """

    images: torch.Tensor
    labels: torch.Tensor
    step_s: torch.Tensor
    grey: torch.Tensor
    features: tuple[torch.Tensor, ...] = ()
    motion_images: torch.Tensor | None = None


def make_clip(method: Method, clip: Clip, device: str, precision: str) -> TrainingClip:
    """The clip with the features that the method may keep of it; no motion images yet."""
    images = torch.from_numpy(clip.images)
    if clip.colours is not None:
        images = photometric_tensor(images.to(device), clip.colours)
    features: tuple[torch.Tensor, ...] = ()
    if method.cacheable:
        kind = torch.device(device).type
        with torch.no_grad(), torch.autocast(kind, torch.bfloat16, enabled=precision == BF16):
            features = method.frozen_features(images.to(device))
        dtype = torch.bfloat16 if precision == BF16 else torch.float32
        features = tuple(maps.to(dtype).cpu() for maps in features)
    labels, grey = torch.from_numpy(clip.labels), torch.from_numpy(clip.grey)
    return TrainingClip(images, labels, torch.tensor(clip.step_s), grey, features)


def keep(path: Path, clip: TrainingClip) -> None:
    """Write a clip; a run that is killed here leaves no torn file."""
    tensors = {name: getattr(clip, name) for name in ("images", "labels", "step_s", "grey")}
    tensors |= {f"features.{i}": maps.contiguous() for i, maps in enumerate(clip.features)}
    with replacing(path) as partial:
        save_file(tensors, partial)


def read_clip(path: Path, frames: slice) -> TrainingClip:
    """Some frames of a clip that `keep` wrote."""
    with safe_open(path, "pt") as file:
        count = sum(name.startswith("features.") for name in file.keys())  # noqa: SIM118
        return TrainingClip(
            file.get_slice("images")[frames],
            file.get_slice("labels")[frames],
            file.get_tensor("step_s"),
            file.get_slice("grey")[frames],
            tuple(file.get_slice(f"features.{i}")[frames] for i in range(count)),
        )


def with_motion_images(method: Method, clip: TrainingClip) -> TrainingClip:
    """The clip with what the method finds motion from."""
    height, width = clip.images.shape[1:3]
    images = clip.images.cpu().numpy()
    if method.undistorted_motion:
        images = clip.grey[..., None].expand(-1, -1, -1, 3).contiguous().numpy()
    prepared = [method.prepare(image, (width, height)) for image in images]
    if prepared[0].motion_image is None:
        return clip
    seen = np.stack([frame.motion_image for frame in prepared])
    return clip._replace(motion_images=torch.from_numpy(seen))


def cache_folder(root: Path, *key: object) -> Path:
    """A folder named by a hash of all that shapes what it holds.

    Configs that differ only in the head share it, configs that draw other frames never do.
    """
    folder = root / hashlib.sha256(json.dumps([LAYOUT, *key]).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def kept_of(method: Method, config: Config) -> dict | None:
    """All that the method's kept features depend on beside frames and weights; None without."""
    return config.frozen() if method.cacheable else None


class DistortedClips:
    """Clip by number from a sampler, made at its first use and read from disk afterwards."""

    def __init__(
        self,
        sampler: Callable[[int], Clip],
        method: Method,
        config: Config,
        root: Path,
        device: str,
        fingerprints: Fingerprints,
    ):
        train = asdict(config.train)
        sampling = {k: train[k] for k in SAMPLING} | {"input_size": config.input_size}
        self.folder = cache_folder(root, asdict(fingerprints), kept_of(method, config), sampling)
        self.sampler, self.method, self.device = sampler, method, device
        self.precision = config.train.precision
        self.cached = config.train.cached_clips

    def __call__(self, index: int, first: int, last: int) -> TrainingClip:
        """Frames first to last - 1 of clip number `index`.

        With cached_clips = M, numbers repeat after M, in a new order.
        """
        frames = slice(first, last)
        if self.cached:
            clip = read_clip(self.keep(self.number(index)), frames)
        else:
            clip = self._make(index, frames)
        return with_motion_images(self.method, clip) if last - first > 1 else clip

    def keep(self, number: int) -> Path:
        """The file of the sampler's clip `number`, which is made where it is not there."""
        path = self._path(number)
        if not path.is_file():
            keep(path, self._make(number))
        return path

    def _make(self, number: int, frames: slice = slice(None)) -> TrainingClip:  # noqa: B008, a value
        """Some frames of a clip, the others not encoded."""
        clip = self.sampler(number)
        names = ("images", "labels", "grey")
        clip = clip._replace(**{name: getattr(clip, name)[frames] for name in names})
        return make_clip(self.method, clip, self.device, self.precision)

    def missing(self, indices: Iterable[int]) -> list[int]:
        """Numbers of the sampler's clips at `indices` of the run that are still to be drawn."""
        numbers = [self.number(index) for index in indices]
        return [n for n in numbers if not (self.cached and self._path(n).is_file())]

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.safetensors"

    def number(self, index: int) -> int:
        """Which of the sampler's clips stands at `index` of the run."""
        if not self.cached:
            return index
        epoch, position = divmod(index, self.cached)
        order = torch.randperm(self.cached, generator=torch.Generator().manual_seed(epoch))
        return int(order[position])


class PlainFrames:
    """Whole undistorted frames, as they are or mirrored, of the size they have at inference."""

    def __init__(
        self, method: Method, config: Config, root: Path, device: str, fingerprints: Fingerprints
    ):
        self.size, self.precision = config.input_size, config.train.precision
        self.folder = cache_folder(
            root, asdict(fingerprints), kept_of(method, config), self.size, self.precision
        )
        self.method, self.device = method, device

    def __call__(self, frame: VideoFrame, mirrored: bool, moves: bool) -> TrainingClip:
        """A clip of this one frame; `moves`: others are joined to it, and motion is looked for."""
        clip = read_clip(self.keep(frame, mirrored), slice(0, 1))
        return with_motion_images(self.method, clip) if moves else clip

    def keep(self, frame: VideoFrame, mirrored: bool) -> Path:
        """The file of a frame, which is made where it is not there."""
        stem = frame.image_path.stem
        name = stem if stem.startswith(frame.video) else f"{frame.video}_{stem}"
        path = self.folder / f"{name}{'_mirrored' if mirrored else ''}.safetensors"
        if not path.is_file():
            image = read_image(frame.image_path)
            size = fit_size((image.shape[1], image.shape[0]), self.size)
            image = resize(image, size)
            label = cv2.resize(frame.read_label(), size, interpolation=cv2.INTER_NEAREST)
            if mirrored:
                image, label = image[:, ::-1], label[:, ::-1]
            image, label = np.ascontiguousarray(image), np.ascontiguousarray(label)
            grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
            clip = Clip(image[None], label[None], 0.0, grey[None])
            keep(path, make_clip(self.method, clip, self.device, self.precision))
        return path


def cut(clip: TrainingClip, left: int, top: int, size: tuple[int, int]) -> TrainingClip:
    """The window of `size` (width, height) pixels whose corner is token (left, top).

    Costs no encoding, and features have seen the whole frame, as they do at inference.
    """
    height = clip.labels.shape[1]

    def window(maps: torch.Tensor) -> torch.Tensor:
        stride = height // maps.shape[1]  # 1 for images, 16 for tokens
        x, y = 16 * left // stride, 16 * top // stride
        return maps[:, y : y + size[1] // stride, x : x + size[0] // stride]

    return TrainingClip(
        window(clip.images),
        window(clip.labels),
        clip.step_s,
        window(clip.grey),
        tuple(map(window, clip.features)),
        None if clip.motion_images is None else window(clip.motion_images),
    )


def joined(parts: list[TrainingClip], step_s: float) -> TrainingClip:
    """Clips of one frame each, one after the other."""
    seen = [part.motion_images for part in parts]
    return TrainingClip(
        torch.cat([part.images for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.tensor(step_s),
        torch.cat([part.grey for part in parts]),
        tuple(torch.cat(maps) for maps in zip(*(part.features for part in parts), strict=True)),
        None if seen[0] is None else torch.cat(seen),
    )

"""Encoded training frames, kept on disk: a frozen encoder need not see the same frame twice."""

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
from safetensors.torch import load_file, save_file

from t2g_core.config import Config
from t2g_core.data.video import VideoFrame
from t2g_core.encoders.preprocess import fit_size, normalise, resize
from t2g_core.images.files import read_image
from t2g_core.methods.method import Method
from t2g_core.methods.time2general.image_motion import structure
from t2g_core.training.clips.clip_sampler import Clip
from t2g_core.training.source import SourcePrints
from t2g_core.whole_files import replacing

SAMPLING = (
    "dataset",
    "split",
    "seed",
    "clip_frames",
    "crop_size",
    "crop_share",
    "max_class_share",
    "strides",
    "precision",
)


class EncodedClip(NamedTuple):
    """tokens (L, T, N, C), of the precision; labels (T, H, W) uint8, H = 16h and N = h * w;
    structure (T, H/2, W/2) uint8 (`image_motion.structure`); step_s () float32, see `Clip`."""

    tokens: torch.Tensor
    labels: torch.Tensor
    structure: torch.Tensor
    step_s: torch.Tensor


def encode(method: Method, clip: Clip, device: str, precision: str) -> EncodedClip:
    """One pass of the method's frozen encoder over the frames of a clip."""
    images = normalise(torch.from_numpy(clip.images).to(device))
    with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        features = method.encode(images)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    tokens = torch.stack(features.tokens).to(dtype).cpu()
    return EncodedClip(
        tokens, torch.from_numpy(clip.labels), structure(images), torch.tensor(clip.step_s)
    )


def keep(path: Path, clip: EncodedClip) -> None:
    """Write a clip; a run that is killed here leaves no torn file."""
    with replacing(path) as partial:
        save_file(clip._asdict(), partial)


def cache_folder(root: Path, *key: object) -> Path:
    """A folder named by a hash of all that shapes what it holds.

    Configs that differ only in the head share it, configs that draw other frames never do.
    """
    folder = root / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class DistortedClips:
    """Clip by number from a sampler, encoded at its first use and read from disk afterwards."""

    def __init__(
        self,
        sampler: Callable[[int], Clip],
        method: Method,
        config: Config,
        root: Path,
        device: str,
        prints: SourcePrints,
    ):
        train = asdict(config.train)
        self.folder = cache_folder(
            root, asdict(prints), config.frozen(), {k: train[k] for k in SAMPLING}
        )
        self.sampler, self.method, self.device = sampler, method, device
        self.precision = config.train.precision
        self.cached = config.train.cached_clips

    def __call__(self, index: int, first: int, last: int) -> EncodedClip:
        """Frames first to last - 1 of clip number `index`.

        With cached_clips = M, numbers repeat after M, in a new order.
        """
        if not self.cached:
            clip = encode(self.method, self.sampler(index), self.device, self.precision)
            return EncodedClip(
                clip.tokens[:, first:last],
                clip.labels[first:last],
                clip.structure[first:last],
                clip.step_s,
            )
        number = self.number(index)
        path = self._path(number)
        if not path.is_file():
            keep(path, encode(self.method, self.sampler(number), self.device, self.precision))
        with safe_open(path, "pt") as file:
            return EncodedClip(
                file.get_slice("tokens")[:, first:last],
                file.get_slice("labels")[first:last],
                file.get_slice("structure")[first:last],
                file.get_tensor("step_s"),
            )

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
        self, method: Method, config: Config, root: Path, device: str, prints: SourcePrints
    ):
        c = config.train
        self.size = config.input_size
        self.folder = cache_folder(
            root, asdict(prints), config.frozen(), c.dataset, c.split, self.size, c.precision
        )
        self.method, self.device, self.precision = method, device, c.precision

    def __call__(self, frame: VideoFrame, mirrored: bool) -> EncodedClip:
        """A clip of this one frame."""
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
            clip = Clip(image[None], label[None], step_s=0.0)
            keep(path, encode(self.method, clip, self.device, self.precision))
        return EncodedClip(**load_file(path))


def crop_tokens(clip: EncodedClip, left: int, top: int, size: tuple[int, int]) -> EncodedClip:
    """The window of `size` (width, height) pixels whose corner is token (left, top).

    Costs no encoding, and the tokens have seen the whole frame, as they do at inference.
    """
    frames, height, width = clip.labels.shape
    columns, rows = size[0] // 16, size[1] // 16
    grid = clip.tokens.unflatten(2, (height // 16, width // 16))
    window = grid[:, :, top : top + rows, left : left + columns].flatten(2, 3)
    y, x = slice(16 * top, 16 * top + size[1]), slice(16 * left, 16 * left + size[0])
    y2, x2 = (slice(s.start // 2, s.stop // 2) for s in (y, x))
    return EncodedClip(window, clip.labels[:, y, x], clip.structure[:, y2, x2], clip.step_s)

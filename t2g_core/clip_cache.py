"""Encoded training clips, kept on disk: a frozen encoder need not see the same clip twice."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file

from t2g_core.clips import ClipSampler
from t2g_core.config import Config
from t2g_core.encoder import FrozenEncoder
from t2g_core.segmenter import normalise

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
    """tokens (L, T, N, C) bfloat16, images (T, H, W, 3) uint8, labels (T, H, W) uint8."""

    tokens: torch.Tensor
    images: torch.Tensor
    labels: torch.Tensor


class EncodedClips:
    """Clip by number, encoded at its first use and read from `folder` afterwards.

    The folder's name is a hash of all that shapes a clip, so configs that differ only in the head
    share their clips, and configs that draw other clips never do.
    """

    def __init__(
        self, sampler: ClipSampler, encoder: FrozenEncoder, config: Config, root: Path, device: str
    ):
        train = asdict(config.train)
        key = json.dumps([asdict(config.encoder), {k: train[k] for k in SAMPLING}])
        self.folder = root / hashlib.sha256(key.encode()).hexdigest()[:12]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sampler, self.encoder, self.device = sampler, encoder, device
        self.autocast = config.train.precision == "bf16"
        self.keep = config.train.cached_clips

    def __getitem__(self, index: int) -> EncodedClip:
        """Clip number `index`; with cached_clips = M, numbers repeat after M, in a new order."""
        if not self.keep:
            return self._encode(index)
        epoch, position = divmod(index, self.keep)
        order = torch.randperm(self.keep, generator=torch.Generator().manual_seed(epoch))
        path = self.folder / f"{int(order[position]):06d}.safetensors"
        if not path.is_file():
            partial = path.with_suffix(f".{os.getpid()}")
            save_file(self._encode(int(order[position]))._asdict(), partial)
            partial.replace(path)  # a run that is killed here leaves no torn clip
        return EncodedClip(**load_file(path))

    @torch.no_grad()
    def _encode(self, index: int) -> EncodedClip:
        clip = self.sampler(index)
        images = torch.from_numpy(clip.images)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.autocast):
            tokens = self.encoder(normalise(images.to(self.device)))
        return EncodedClip(
            torch.stack(tokens).to(torch.bfloat16).cpu(), images, torch.from_numpy(clip.labels)
        )

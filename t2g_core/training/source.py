# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The labelled source of a run: looked at whole before the first iteration, and what identifies it.

A cache of encoded frames and a run that is taken up again must be of the same frames and the same
frozen weights, which no name or path says: both go by what they hold.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from t2g_core.data.check import check_videos
from t2g_core.data.video import Video
from t2g_core.whole_files import replacing

PATCH_EMBEDDING = "patch_embed.proj.weight"
ENDS = 4096  # bytes of each end of a file that its fingerprint takes in
SHOWN_FAULTS = 5


@dataclass(frozen=True)
class Fingerprints:
    """All that kept clips depend on beside the config: the name of the data set, which maps its
    labels, and digests of frames and frozen weights.
    """

    data: str
    frames: str
    weights: str


def frames_fingerprint(videos: Sequence[Video]) -> str:
    """Digest of the frames' order, and of each file's name, size and first and last 4 kB.

    Two folders with the same content have the same fingerprint, wherever they lie.
    """
    digest = hashlib.sha256()
    for video in videos:
        digest.update(f"video {video.name} {video.rate_hz}\n".encode())
        for frame in video.frames:
            for path in (frame.image_path, frame.label_path):
                digest.update(b"no label\n" if path is None else _file_fingerprint(path))
    return digest.hexdigest()


def weights_fingerprint(encoder: nn.Module) -> str:
    """Digest of a frozen encoder's weights, bit by bit, but for its patch embedding.

    That is resampled to the patch size, with a rounding that changes with the number of threads.
    """
    digest = hashlib.sha256()
    for name, tensor in encoder.state_dict().items():
        if name.endswith(PATCH_EMBEDDING):
            continue
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def check_source(
    splits: dict[str, Sequence[Video]], num_classes: int, folder: Path
) -> dict[str, np.ndarray]:
    """Decode every frame and label of the splits once; labelled pixels by class, (K,), by split.

    What was found whole is noted in `folder` under its fingerprint and is not read again.

    Raises:
        ValueError: a file is broken, or a label has another size than its image.
    """
    return {
        name: _check_split(name, videos, num_classes, folder) for name, videos in splits.items()
    }


def _check_split(name: str, videos: Sequence[Video], num_classes: int, folder: Path) -> np.ndarray:
    note = folder / f"checked_{frames_fingerprint(videos)[:16]}.json"
    if note.is_file():
        pixels = json.loads(note.read_text())
        if len(pixels) == num_classes:
            return np.array(pixels)
    total = sum(len(video.frames) for video in videos)
    with tqdm(total=total, desc=f"check {name}", unit="frame", file=sys.stderr) as progress:
        report = check_videos(videos, num_classes, on_frame=progress.update)
    if report.faults:
        shown = "\n  ".join(report.faults[:SHOWN_FAULTS])
        raise ValueError(
            f"split {name} has {len(report.faults)} faulty files:\n  {shown}\n"
            "`t2g data check` lists them all"
        )
    with replacing(note) as path:
        path.write_text(json.dumps(report.pixels.tolist()))
    return report.pixels


def _file_fingerprint(path: Path) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(ENDS)
        file.seek(max(0, size - ENDS))
        return f"{path.name} {size}\n".encode() + head + file.read(ENDS)

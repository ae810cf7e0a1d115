# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g data bench`: frames a second that loading gives a training, beside what a GPU would take."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from t2g_core.bench.info import model_info
from t2g_core.config import Config
from t2g_core.data.datasets import Dataset
from t2g_core.data.shards import AS_IT_IS, JPEG, PNG, encoded, load_shards, write_shards
from t2g_core.data.video import Video, VideoFrame
from t2g_core.methods.adapters.adapter_method import AdapterConfig
from t2g_core.training.clips.loader import ClipLoader
from t2g_core.training.clips.sampler import ClipSampler

FORMATS = (AS_IT_IS, PNG, JPEG, f"{PNG}-shards", f"{JPEG}-shards")
H100_FLOPS = 0.4 * 989e12  # a second: dense bf16 of its data sheet, at 40 % of the peak


def bench_loading(
    config: Config,
    dataset: Dataset,
    videos: list[Video],
    formats: Sequence[str],
    workers: Sequence[int],
    clips: int,
    distort: bool = True,
) -> None:
    """Print a line for each of FORMATS, a column a number of workers, as it is measured; then what
    an H100 would take by arithmetic. distort: False leaves the change of colours to the device.
    """
    width, height = config.train.crop_size
    print(f"frames/s of {width}x{height}, {len(os.sched_getaffinity(0))} cores")
    print(f"{'format':<14}" + "".join(f"{f'{n} workers':>12}" for n in workers))
    best = 0.0  # frames a second of a worker
    with TemporaryDirectory() as folder:
        for form in formats:
            copy = stored_as(videos, form, Path(folder) / form, dataset)
            print(f"{form:<14}", end="", flush=True)
            for count in workers:
                rate = measure_loading(copy, config, count, clips, distort)
                best = max(best, rate / max(1, count))
                print(f"{rate:12.1f}", end="", flush=True)
            print()
    flops = training_flops(config, len(dataset.class_names))
    taken = H100_FLOPS / flops
    print(
        f"a training that draws each clip anew costs {flops / 1e9:.0f} GFLOPs a frame: an H100 at "
        f"40 % of its peak takes {taken:.0f} frames/s, {math.ceil(taken / best)} such workers"
    )


def training_flops(config: Config, classes: int) -> float:
    """Operations of a training for a frame of its crop: forward once through what is frozen, and
    thrice, with the backward pass, through what is trained. A method that learns inside the encoder
    has its backward pass there too, or computes it again.
    """
    parts = model_info(config, config.train.crop_size, classes).parts
    inside = isinstance(config.method, AdapterConfig)
    return sum(part.flops * (3 if part.trainable or inside else 1) for part in parts)


def stored_as(videos: list[Video], form: str, folder: Path, dataset: Dataset) -> list[Video]:
    """The videos with their images stored in one of FORMATS; labels as they are, but in shards."""
    encoding, _, sharded = form.partition("-")
    if form == AS_IT_IS:
        return videos
    if sharded:
        classes = dict(zip(dataset.class_names, dataset.palette, strict=True))
        write_shards(videos, folder, "train", classes, dataset.licence, encoding)
        return load_shards(folder, "train")
    folder.mkdir(parents=True)
    return [
        replace(video, frames=tuple(reencoded(frame, encoding, folder) for frame in video.frames))
        for video in videos
    ]


def reencoded(frame: VideoFrame, encoding: str, folder: Path) -> VideoFrame:
    """The frame with a copy of its image."""
    suffix, data = encoded(frame.image_path, encoding)
    path = folder / f"{frame.video}_{frame.image_path.stem}{suffix}"
    path.write_bytes(data)
    return replace(frame, image_path=path)


def measure_loading(
    videos: list[Video], config: Config, workers: int, count: int, distort: bool
) -> float:
    """Frames a second of drawing, cutting and distorting clips, the workers' start not counted."""
    clips = ClipLoader(ClipSampler(videos, config.train, config.input_size, distort), workers)
    warm = max(1, workers)
    clips.begin(range(warm + count))
    for number in range(warm):
        clips(number)
    started = time.perf_counter()
    for number in range(warm, warm + count):
        clips(number)
    rate = count * config.train.clip_frames / (time.perf_counter() - started)
    clips.close()
    return rate

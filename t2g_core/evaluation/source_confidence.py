# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""``t2g confidence``: how sure a checkpoint is on its own domain, kept in the checkpoint.

The node and ``t2g segment`` compare a stream with it: how far its confidence lies below tells,
without labels, that the camera sees something else than the model was trained for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from t2g_core.checkpoint import record_source_confidence
from t2g_core.data.datasets import NAMES, open_dataset
from t2g_core.data.video import Video
from t2g_core.device import AUTO, PRECISIONS
from t2g_core.images.files import read_image
from t2g_core.streaming.streaming_segmenter import (
    EncodedFrame,
    SegmentationResult,
    StreamingSegmenter,
    StreamState,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``t2g confidence``."""
    parser.description = (
        "Segment videos of the domain that a checkpoint was trained for, which it was not trained "
        "on, and write the mean probability of the winning class into the checkpoint. Labels are "
        "not needed. `t2g train` does so by itself where there is a split val."
    )
    parser.add_argument("checkpoint", type=Path, help="written to: its header alone changes")
    parser.add_argument("--data", choices=NAMES, default="camvid", help="default: %(default)s")
    parser.add_argument("--root", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--split", default="val", help="as of `t2g eval` (default: %(default)s)")
    parser.add_argument(
        "--device", default=AUTO, help="auto, cpu, cuda or cuda:N (default: %(default)s)"
    )
    parser.add_argument("--precision", choices=PRECISIONS, default=AUTO, help="of products")


def run(args: argparse.Namespace) -> int:
    """Measure, record and print the confidence."""
    videos = open_dataset(args.data, args.root).load_videos(args.split)
    segmenter = StreamingSegmenter.from_checkpoint(
        args.checkpoint, args.device, precision=args.precision
    )
    confidence = mean_confidence(segmenter, videos)
    record_source_confidence(args.checkpoint, confidence)
    print(f"{args.checkpoint}: {100 * confidence:.2f} % sure on average on {args.split}")
    return 0


def mean_confidence(segmenter: StreamingSegmenter, videos: Sequence[Video]) -> float:
    """Mean probability of the winning class over all pixels and frames, streaming [0..1]."""
    meter = ConfidenceMeter(segmenter)
    frames = sum(len(video.frames) for video in videos)
    with tqdm(total=frames, desc="confidence", unit="frame", file=sys.stderr) as progress:
        for video in videos:
            state = meter.start()
            for frame in video.frames:
                _, state = meter.step(read_image(frame.image_path), state, video.step_s)
                progress.update()
    return meter.mean


class ConfidenceMeter(StreamingSegmenter):
    """A segmenter that notes how sure its masks are."""

    def __init__(self, segmenter: StreamingSegmenter) -> None:
        super().__init__(segmenter.runtime, segmenter.labelling)
        self._sum, self._masks = 0.0, 0

    @property
    def mean(self) -> float:
        """Mean probability of the winning class over all masks; ValueError before the first."""
        if not self._masks:
            raise ValueError("expected at least one frame to measure the confidence on")
        return self._sum / self._masks

    def step_encoded(
        self, frame: EncodedFrame, state: StreamState, step_s: float = 0.0
    ) -> tuple[SegmentationResult, StreamState]:
        """As the segmenter does."""
        result, state = super().step_encoded(frame, state, step_s)
        self._sum += float(result.confidence.mean()) / 255
        self._masks += 1
        return result, state

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""``t2g confidence``: how sure a checkpoint is on its own domain, kept in the checkpoint.

The node and ``t2g segment`` compare a stream with it: how far its confidence lies below tells,
without labels, that the camera sees something else than the model was trained for.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from t2g_core.checkpoint import record_source_confidence
from t2g_core.device import AUTO, PRECISIONS
from t2g_core.recordings.clip_source import open_clip
from t2g_core.streaming.continuity import MAX_GAP_S, FrameInfo
from t2g_core.streaming.streaming_segmenter import (
    EncodedFrame,
    SegmentationResult,
    StreamingSegmenter,
    StreamState,
)
from t2g_core.streaming.video_segmenter import VideoSegmenter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``t2g confidence``."""
    parser.description = (
        "Segment recordings of the domain that a checkpoint was trained for, which it was not "
        "trained on, and write the mean probability of the winning class into the checkpoint. "
        "Labels are not needed. `t2g train` does so by itself where there is a split val."
    )
    parser.add_argument("checkpoint", type=Path, help="written to: its header alone changes")
    parser.add_argument(
        "paths", type=Path, nargs="+", metavar="PATH", help="a folder of images, a video or a bag"
    )
    parser.add_argument("--topic", help="image topic of a bag that has several")
    parser.add_argument(
        "--rate", type=float, default=15.0, help="images a second of a folder (default 15)"
    )
    parser.add_argument(
        "--device", default=AUTO, help="auto, cpu, cuda or cuda:N (default: %(default)s)"
    )
    parser.add_argument("--precision", choices=PRECISIONS, default=AUTO, help="of products")


def run(args: argparse.Namespace) -> int:
    """Measure, record and print the confidence."""
    clips = [open_clip(path, args.rate, args.topic) for path in args.paths]
    meter = ConfidenceMeter(
        StreamingSegmenter.from_checkpoint(args.checkpoint, args.device, precision=args.precision)
    )
    for clip in clips:
        video = VideoSegmenter(meter)
        for frame in tqdm(clip, desc="confidence", unit="frame", file=sys.stderr):
            video.segment(frame.image, FrameInfo(frame.stamp_ns, frame.image.shape[:2]), MAX_GAP_S)
    record_source_confidence(args.checkpoint, meter.mean)
    print(f"{args.checkpoint}: {100 * meter.mean:.2f} % sure on average")
    return 0


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

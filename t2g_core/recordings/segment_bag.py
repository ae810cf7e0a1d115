"""`t2g bag`: segment a recording without ROS and without drops, repeatable to the bit.

Replaying a bag to a node loses whatever frames the machine cannot follow, and never the same ones
twice. This reads the bag itself and segments every frame.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from t2g_core.device import AUTO, PRECISIONS, check_device_name
from t2g_core.recordings.bag import Bag, pick_image_topic
from t2g_core.recordings.clip_meter import latency_summary
from t2g_core.recordings.clip_source import ClipFrame, bag_frames, usual_rate
from t2g_core.recordings.result_folder import (
    REPORT,
    MaskedFrame,
    default_folder,
    headline,
    write_pictures,
    write_report,
)
from t2g_core.streaming.continuity import MAX_GAP_S, FrameInfo
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.streaming.video_segmenter import VideoSegmenter

DEFAULT_RATE_HZ = 15.0
STABILITY_WINDOW = 8  # of the stability that nobody reads here


class OfflineRun:
    """Segments the frames of a recording in turn; afterwards it knows times and a digest.

    The clip buffer is emptied where the node would do so (`continuity.py`); ``resets`` counts it by
    reason, the start included.
    """

    def __init__(self, segmenter: StreamingSegmenter, max_gap_s: float) -> None:
        self.video = VideoSegmenter(segmenter, STABILITY_WINDOW)
        self.max_gap_s = max_gap_s
        self.resets: dict[str, int] = {}
        self.latencies_ms: list[float] = []
        self.stamps_ns: list[int] = []
        self.error: ValueError | None = None
        self._digest = hashlib.sha256()

    def segment(self, frames: Iterable[ClipFrame]) -> Iterator[MaskedFrame]:
        """Yield each frame with its mask.

        An error of the frames ends them and stays in ``error``, so that what was segmented before
        is written.
        """
        for frame in self._until_error(frames):
            started = time.perf_counter()
            segmented = self.video.segment(
                frame.image, FrameInfo(frame.stamp_ns, frame.image.shape[:2]), self.max_gap_s
            )
            self.latencies_ms.append(1e3 * (time.perf_counter() - started))
            self.stamps_ns.append(frame.stamp_ns)
            reset = segmented.reset
            if reset is not None:
                self.resets[reset.reason] = self.resets.get(reset.reason, 0) + 1
            self._digest.update(np.ascontiguousarray(segmented.result.mask))
            yield MaskedFrame(frame, segmented.result.mask)

    def _until_error(self, frames: Iterable[ClipFrame]) -> Iterator[ClipFrame]:
        try:
            yield from frames
        except ValueError as error:
            self.error = error

    def finish(self, out: Path, report: dict) -> None:
        """Write the report; raise ``error`` afterwards, where the frames ended with one."""
        problem = {} if self.error is None else {"error": str(self.error)}
        write_report(out, report | problem)
        if self.error is not None:
            count = len(self.latencies_ms)
            raise ValueError(f"{self.error}; the results of {count} frames before are in {out}")

    @property
    def masks_sha256(self) -> str:
        """Digest of all masks in order: equal runs have equal digests."""
        return self._digest.hexdigest()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``t2g bag``."""
    parser.add_argument("bag", type=Path, help="a rosbag2 folder, MCAP or sqlite3")
    parser.add_argument("--topic", help="its images; may be left out where there is one such topic")
    parser.add_argument(
        "--labels-topic", help="mono8 class ids with the images' stamps: adds scores"
    )
    parser.add_argument("--checkpoint", type=Path, help="default: the one that ships")
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=AUTO, help="as the node's (default: %(default)s)"
    )
    parser.add_argument("--encoder-weights", metavar="WHERE", help="as the node's parameter")
    parser.add_argument("--frames", type=int, help="only the first N images")
    parser.add_argument(
        "--max-gap", type=float, default=MAX_GAP_S, metavar="S", help="as the node's"
    )
    parser.add_argument("--out", type=Path, help="default: BAG_t2g beside the bag")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Segment the bag of ``args``, write its report and pictures, print the main figures."""
    if args.frames is not None and args.frames < 1:
        raise ValueError(f"--frames: expected at least 1, got {args.frames}")
    check_device_name(args.device)
    topic = pick_image_topic(args.bag, args.topic)
    out = args.out or default_folder(args.bag)
    make_folder(out)
    Bag(args.bag).check_crcs()
    segmenter = StreamingSegmenter.from_checkpoint(
        args.checkpoint, args.device, args.encoder_weights, args.precision
    )
    frames = bag_frames(args.bag, topic, args.labels_topic)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{args.bag} has no image on {topic}")
    frames = itertools.islice(itertools.chain([first], frames), args.frames)
    offline = OfflineRun(segmenter, args.max_gap)
    scores = write_pictures(
        out,
        offline.segment(frames),
        segmenter.class_names,
        segmenter.palette,
        usual_rate(args.bag, DEFAULT_RATE_HZ, topic),
        args.max_gap,
    )
    report = offline_report(offline, scores) | {"path": str(args.bag.resolve()), "topic": topic}
    offline.finish(out, report)
    if args.json:
        print(json.dumps(report))
    else:
        print(f"{headline(report)}\nmasks sha256 {report['masks_sha256']}\n{out / REPORT}")
    return 0


def make_folder(out: Path) -> None:
    """Make the folder for results; ValueError where a file has its name."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"--out: {out} is a file or lies in one; name a folder") from error


def offline_report(offline: OfflineRun, scores: dict) -> dict:
    """Return the report of a finished run; the keys are those of the demo's report."""
    count, seconds = len(offline.latencies_ms), sum(offline.latencies_ms) / 1e3
    return {
        "frames_sent": count,
        "masks_received": count,
        "dropped": 0,
        "latency_ms": latency_summary(offline.latencies_ms),
        "fps": round(count / seconds, 3) if seconds else None,
        "resets": offline.resets,
        **scores,
        "masks_sha256": offline.masks_sha256,
    }

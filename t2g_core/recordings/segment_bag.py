"""`t2g bag`: segment a recording without ROS and without drops, repeatable to the bit.

Replaying a bag to a node loses whatever frames the machine cannot follow, and never the same ones
twice. This reads the bag itself and segments every frame.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

from t2g_core.device import AUTO, PRECISIONS, check_device_name
from t2g_core.images.windows import WINDOWS_HELP
from t2g_core.recordings.bag import Bag, pick_image_topic
from t2g_core.recordings.bag_clip import bag_frames
from t2g_core.recordings.clip_source import usual_rate
from t2g_core.recordings.offline_run import OfflineRun, offline_report
from t2g_core.recordings.result_folder import (
    REPORT,
    default_folder,
    headline,
    make_folder,
    write_pictures,
)
from t2g_core.streaming.continuity import MAX_GAP_S
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

DEFAULT_RATE_HZ = 15.0


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
    parser.add_argument("--windows", default="", metavar="SIZE/STRIDE", help=WINDOWS_HELP)
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
        args.checkpoint, args.device, args.encoder_weights, args.precision, args.windows
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

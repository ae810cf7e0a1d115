# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g segment`: masks, pictures and figures of an image, a video, a folder or a bag; no ROS.

Replaying a bag to a node loses whatever frames the machine cannot follow, and never the same ones
twice. This reads the bag itself and segments every frame, repeatable to the bit.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from t2g_core.device import AUTO, PRECISIONS, check_device_name
from t2g_core.images.windows import WINDOWS_HELP
from t2g_core.recordings.archive import FAILED, as_table, segment_several
from t2g_core.recordings.health_page import PAGE
from t2g_core.recordings.mask_outputs import MASK_OUTPUTS, MASKS
from t2g_core.recordings.result_folder import REPORT, default_folder
from t2g_core.recordings.segment_path import (
    VIDEO_OUTPUT,
    SegmentOptions,
    as_text,
    is_image,
    segment_path,
)
from t2g_core.streaming.continuity import MAX_GAP_S

STANDARD_INPUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``t2g segment``."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="an image, a video file, a folder of images or a bag; several, or - for a list on "
        "standard input, a path a line: a result folder each, what fails is listed and skipped, "
        "and what has its results from an earlier call is not segmented again",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for the results (default: PATH_t2g); of several paths the folder above theirs",
    )
    parser.add_argument(
        "--again", action="store_true", help="of several paths also those that have their results"
    )
    parser.add_argument(
        "--write",
        type=read_outputs,
        default=(MASKS, VIDEO_OUTPUT),
        metavar="WHAT[,WHAT]",
        help="masks: a PNG a frame; video: an MP4 of image, overlay and mask; shards: masks as a "
        "WebDataset; bag: of a bag a copy, MCAP, with masks and class names beside its topics "
        "(default: masks,video; report.html and report.json always)",
    )
    parser.add_argument("--checkpoint", type=Path, help="default: the one that ships")
    parser.add_argument("--topic", help="image topic of a bag that has several")
    parser.add_argument(
        "--labels-topic", help="topic of a bag with mono8 class ids at the images' stamps: scores"
    )
    parser.add_argument(
        "--max-gap",
        type=float,
        default=MAX_GAP_S,
        metavar="S",
        help="the node's max_gap_s (default: %(default)s)",
    )
    parser.add_argument(
        "--rate", type=float, default=15.0, help="images a second of a folder (default 15)"
    )
    parser.add_argument("--frames", type=int, help="only the first N frames")
    parser.add_argument(
        "--device", default=AUTO, help="auto, cpu, cuda or cuda:N (default: %(default)s)"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=AUTO, help="as the node's (default: %(default)s)"
    )
    parser.add_argument("--windows", default="", metavar="SIZE/STRIDE", help=WINDOWS_HELP)
    parser.add_argument("--encoder-weights", metavar="WHERE", help="as the node's parameter")
    parser.add_argument(
        "--ray",
        action="store_true",
        help="the paths side by side on the Ray cluster that RAY_ADDRESS names, which must see "
        "them, or on this machine; a path whose worker is lost is segmented by another",
    )
    parser.add_argument(
        "--ray-workers",
        type=int,
        default=0,
        metavar="N",
        help="paths at a time (default: as many as the cluster has GPUs, or 1)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Segment what ``args.paths`` name; write masks and pictures, print the main figures.

    1 where some of several paths failed.
    """
    check_device_name(args.device)
    options = options_of(args)
    paths = listed(args.paths)
    if len(paths) > 1 or args.paths == [STANDARD_INPUT] or args.ray:
        workers = args.ray_workers if args.ray else None
        reports = segment_several(paths, args.out, args.again, options, workers)
        print(json.dumps(reports) if args.json else as_table(reports))
        lost = sum(report["state"] == FAILED for report in reports)
        if lost:
            print(f"t2g segment: {lost} of {len(reports)} paths failed", file=sys.stderr)
        return 1 if lost else 0
    (path,) = paths
    out = args.out or default_folder(path)
    report = segment_path(path, out, options, options.load)
    page = REPORT if is_image(path) else PAGE
    print(json.dumps(report) if args.json else f"{as_text(report)}\n{out / page}")
    return 0


def options_of(args: argparse.Namespace) -> SegmentOptions:
    """The command line as `segment_path` takes it."""
    same = "topic labels_topic frames device precision windows encoder_weights write"
    values = {name: getattr(args, name) for name in same.split()}
    checkpoint = args.checkpoint and args.checkpoint.resolve()  # workers may be elsewhere
    return SegmentOptions(checkpoint, max_gap_s=args.max_gap, rate_hz=args.rate, **values)


def read_outputs(text: str) -> tuple[str, ...]:
    """`masks,bag` -> what to write; argparse's error for another word."""
    kinds = tuple(dict.fromkeys(text.split(",")))
    known = (*MASK_OUTPUTS, VIDEO_OUTPUT)
    if not set(kinds) <= set(known):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, got {text!r}")
    return kinds


def listed(words: Sequence[str]) -> list[Path]:
    """The paths, those on standard input in the place of ``-``; ValueError where there is none."""
    paths: list[Path] = []
    for word in words:
        lines = sys.stdin.read().splitlines() if word == STANDARD_INPUT else [word]
        paths += [Path(line).resolve() for line in lines if line.strip()]
    if not paths:
        raise ValueError("expected at least one path, got an empty list")
    return list(dict.fromkeys(paths))

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g segment`: masks, pictures and figures of an image, a video, a folder or a bag; no ROS.

Replaying a bag to a node loses whatever frames the machine cannot follow, and never the same ones
twice. This reads the bag itself and segments every frame, repeatable to the bit.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from t2g_core.device import AUTO, PRECISIONS, check_device_name
from t2g_core.images.files import read_image
from t2g_core.images.overlay import overlay
from t2g_core.images.windows import WINDOWS_HELP
from t2g_core.listing import IMAGE_SUFFIXES
from t2g_core.recordings.bag_files import is_bag
from t2g_core.recordings.clip_source import (
    ClipFrame,
    image_files,
    open_clip,
    usual_rate,
)
from t2g_core.recordings.health_page import PAGE, write_health_page
from t2g_core.recordings.mask_outputs import MASK_OUTPUTS, MASKS, open_outputs, written
from t2g_core.recordings.offline_run import OfflineRun, offline_report
from t2g_core.recordings.pictures import OVERLAY_OPACITY
from t2g_core.recordings.result_folder import (
    REPORT,
    STRIP,
    VIDEO,
    MaskedFrame,
    default_folder,
    headline,
    make_folder,
    write_pictures,
)
from t2g_core.streaming.continuity import MAX_GAP_S
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

VIDEO_OUTPUT, OVERLAY = "video", "overlay.png"
STANDARD_INPUT = "-"
SHIPPED_NAME = "the shipped checkpoint"


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
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Segment what ``args.paths`` name; write masks and pictures, print the main figures.

    1 where some of several paths failed.
    """
    if args.frames is not None and args.frames < 1:
        raise ValueError(f"--frames: expected at least 1, got {args.frames}")
    check_device_name(args.device)
    paths = listed(args.paths)

    @cache
    def load() -> StreamingSegmenter:
        return StreamingSegmenter.from_checkpoint(
            args.checkpoint, args.device, args.encoder_weights, args.precision, args.windows
        )

    if len(paths) > 1 or args.paths == [STANDARD_INPUT]:
        return segment_several(paths, args, load)
    (path,) = paths
    out = args.out or default_folder(path)
    report = segment_path(path, out, args, load)
    page = REPORT if is_image(path) else PAGE
    print(json.dumps(report) if args.json else f"{as_text(report)}\n{out / page}")
    return 0


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


def segment_path(
    path: Path, out: Path, args: argparse.Namespace, load: Callable[[], StreamingSegmenter]
) -> dict:
    """Segment one path into a folder; return its report, which is there as report.json.

    Raises ``ValueError`` where it holds no clip, or from some frame on cannot be read.
    """
    frames, names = read_clip(path, args.rate, args.topic, args.labels_topic)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path} holds no frame")
    make_folder(out)
    if is_bag(path):
        check_bag(path)
    segmenter = load()
    labelling = segmenter.labelling
    outputs = open_outputs(args.write, out, path, args.topic, labelling, args.frames is None)
    offline = OfflineRun(segmenter, args.max_gap)
    rate_hz = usual_rate(path, args.rate, args.topic)
    frames = itertools.islice(itertools.chain([first], frames), args.frames)
    classes, palette = segmenter.class_names, segmenter.palette
    shares, with_video = ClassShares(classes), VIDEO_OUTPUT in args.write
    with (
        tqdm(unit="frame", desc=path.name[-30:], total=args.frames, file=sys.stderr) as progress,
        ExitStack() as stack,
    ):
        entered = [stack.enter_context(output) for output in outputs]
        masked = written(offline.segment(frames), names, entered)
        masked = watched(masked, shares, progress)
        if is_image(path):
            scores = write_overlay(out, next(masked), palette)
        else:
            gap_s = args.max_gap
            scores = write_pictures(out, masked, classes, palette, rate_hz, gap_s, with_video)
    report = {
        "path": str(path),
        "settings": settings_of(args),
        **offline_report(offline, scores),
        "classes": shares.compute(),
    }
    if not is_image(path):
        own, video = labelling.source_confidence, VIDEO if with_video else None
        write_health_page(out, as_text(report), offline.timeline, rate_hz, own, video, STRIP)
    offline.finish(out, report)
    return report


def settings_of(args: argparse.Namespace) -> dict:
    """What results depend on beside the path, by which a later call knows them again."""
    names = "checkpoint topic labels_topic max_gap rate frames precision windows encoder_weights"
    values = {name: getattr(args, name) for name in names.split()} | {"write": list(args.write)}
    given = args.checkpoint
    modified_ns = given.stat().st_mtime_ns if given is not None and given.exists() else 0
    return values | {"checkpoint": str(given or SHIPPED_NAME), "modified_ns": modified_ns}


def segment_several(
    paths: Sequence[Path], args: argparse.Namespace, load: Callable[[], StreamingSegmenter]
) -> int:
    """Segment each path into a folder of its own and print a line for each; 1 where one failed."""
    reports = []
    for number, path in enumerate(paths, start=1):
        print(f"{number} of {len(paths)}: {path}", file=sys.stderr)
        try:
            out = default_folder(path, args.out)
            report = None if args.again else earlier_report(out, settings_of(args))
            state = "done" if report is None else "was there"
            report = report or segment_path(path, out, args, load)
            reports.append(report | {"state": state, "out": str(out)})
        except (ValueError, OSError) as error:
            reports.append({"path": str(path), "state": "failed", "error": str(error)})
    failed = [report for report in reports if report["state"] == "failed"]
    print(json.dumps(reports) if args.json else as_table(reports))
    if failed:
        print(f"t2g segment: {len(failed)} of {len(reports)} paths failed", file=sys.stderr)
    return 1 if failed else 0


def earlier_report(out: Path, settings: dict) -> dict | None:
    """The report of an earlier call with the same settings that came to its end; else None."""
    try:
        report = json.loads((out / REPORT).read_text())
    except (OSError, ValueError):
        return None
    whole = isinstance(report, dict) and "error" not in report
    return report if whole and report.get("settings") == settings else None


def as_table(reports: Sequence[dict]) -> str:
    """A line for each path."""
    lines = ["frames  flicker %  confidence %  moments  state      path"]
    for report in reports:
        if report["state"] == "failed":
            lines.append(f"{'':40}failed     {report['path']}: {report['error']}")
            continue
        flicker = "-" if report["flicker"] is None else f"{100 * report['flicker']:.2f}"
        lines.append(
            f"{report['frames_sent']:6}  {flicker:>9}  {100 * report['mean_confidence']:12.1f}  "
            f"{len(report['moments']):7}  {report['state']:9}  {report['path']}"
        )
    return "\n".join(lines)


def is_image(path: Path) -> bool:
    """Whether the path names one picture."""
    return path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES


def check_bag(path: Path) -> None:
    """Raise ValueError where the checksums of a bag do not fit its bytes."""
    from t2g_core.recordings.bag import Bag

    Bag(path).check_crcs()


def read_clip(
    path: Path, rate_hz: float, topic: str | None, labels_topic: str | None
) -> tuple[Iterator[ClipFrame], Iterator[str]]:
    """The frames of a path and a name for each: the image's own, or its number."""
    numbers = (f"{number:06d}" for number in itertools.count())
    if is_image(path):
        return iter([ClipFrame(0, read_image(path), None)]), iter([path.stem])
    if labels_topic is not None and not is_bag(path):
        raise ValueError(f"--labels-topic is for bags, and {path} is none")
    frames = open_clip(path, rate_hz, topic, labels_topic)
    if path.is_dir() and not is_bag(path):
        return frames, (file.stem for file in image_files(path))
    return frames, numbers


def watched(
    frames: Iterable[MaskedFrame], shares: ClassShares, progress: tqdm
) -> Iterator[MaskedFrame]:
    """Count the classes and move the progress bar; pass each frame on."""
    for frame in frames:
        shares.update(frame.mask)
        progress.update()
        yield frame


class ClassShares:
    """How much of all masks each class takes."""

    def __init__(self, class_names: tuple[str, ...]) -> None:
        self.class_names = class_names
        self._pixels = np.zeros(len(class_names), np.int64)

    def update(self, mask: np.ndarray) -> None:
        """Take a mask ``(H, W)`` uint8."""
        self._pixels += np.bincount(mask.ravel(), minlength=len(self._pixels))

    def compute(self) -> dict[str, float]:
        """By class, the largest first."""
        shares = 100 * self._pixels / max(1, self._pixels.sum())
        order = np.argsort(-shares, kind="stable")
        return {self.class_names[k]: round(float(shares[k]), 2) for k in order}


def write_overlay(out: Path, frame: MaskedFrame, palette: np.ndarray) -> dict:
    """Write the picture of a single image; its scores, of which one image has none."""
    image = frame.frame.image
    Image.fromarray(overlay(image, frame.mask, palette, OVERLAY_OPACITY)).save(out / OVERLAY)
    return {"flicker": None, "miou": None}


def as_text(report: dict) -> str:
    """The main figures in a few lines."""
    shares = ", ".join(f"{name} {share:g}" for name, share in report["classes"].items() if share)
    moments = Counter(moment["kind"] for moment in report["moments"])
    found = ", ".join(f"{kind} {n}" for kind, n in moments.most_common()) or "none"
    return (
        f"{headline(report)}\nmoments to look at: {found}\npercent of the pixels: {shares}\n"
        f"masks sha256 {report['masks_sha256']}"
    )

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
from collections.abc import Iterable, Iterator
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

MASKS, OVERLAY = "masks", "overlay.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``t2g segment``."""
    parser.add_argument("path", type=Path, help="an image, a video file, a folder of images or bag")
    parser.add_argument("--out", type=Path, help="folder for the results (default: PATH_t2g)")
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
    """Segment ``args.path``; write masks and pictures, print the main figures."""
    if args.frames is not None and args.frames < 1:
        raise ValueError(f"--frames: expected at least 1, got {args.frames}")
    check_device_name(args.device)
    path = args.path.resolve()
    frames, names = read_clip(path, args.rate, args.topic, args.labels_topic)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path} holds no frame")
    out = args.out or default_folder(path)
    make_folder(out / MASKS)
    if is_bag(path):
        check_bag(path)
    segmenter = StreamingSegmenter.from_checkpoint(
        args.checkpoint, args.device, args.encoder_weights, args.precision, args.windows
    )
    offline = OfflineRun(segmenter, args.max_gap)
    rate_hz = usual_rate(path, args.rate, args.topic)
    frames = itertools.islice(itertools.chain([first], frames), args.frames)
    with tqdm(unit="frame", desc="segment", total=args.frames, file=sys.stderr) as progress:
        shares = ClassShares(segmenter.class_names)
        masked = written(offline.segment(frames), names, out / MASKS, segmenter.palette)
        masked = watched(masked, shares, progress)
        if is_image(path):
            scores = write_overlay(out, next(masked), segmenter.palette)
        else:
            classes, palette = segmenter.class_names, segmenter.palette
            scores = write_pictures(out, masked, classes, palette, rate_hz, args.max_gap)
    report = {"path": str(path), **offline_report(offline, scores), "classes": shares.compute()}
    if not is_image(path):
        own = segmenter.labelling.source_confidence
        write_health_page(out, as_text(report), offline.timeline, rate_hz, own, VIDEO, STRIP)
    offline.finish(out, report)
    page = REPORT if is_image(path) else PAGE
    print(json.dumps(report) if args.json else f"{as_text(report)}\n{out / page}")
    return 0


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


def written(
    frames: Iterable[MaskedFrame], names: Iterable[str], folder: Path, palette: np.ndarray
) -> Iterator[MaskedFrame]:
    """Write each mask as a PNG that holds class ids and shows their colours; pass it on."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    for frame, name in zip(frames, names, strict=False):
        picture = Image.fromarray(frame.mask, "P")
        picture.putpalette(colours.tobytes())
        picture.save(folder / f"{name}.png")
        yield frame


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

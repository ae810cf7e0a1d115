# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One recording segmented into its result folder."""

from __future__ import annotations

import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from t2g_core.device import AUTO
from t2g_core.images.files import read_image
from t2g_core.images.overlay import overlay
from t2g_core.listing import IMAGE_SUFFIXES
from t2g_core.recordings.bag_files import is_bag
from t2g_core.recordings.clip_source import ClipFrame, image_files, open_clip, usual_rate
from t2g_core.recordings.health_page import write_health_page
from t2g_core.recordings.mask_outputs import MASKS, open_outputs, written
from t2g_core.recordings.offline_run import OfflineRun, offline_report
from t2g_core.recordings.pictures import OVERLAY_OPACITY
from t2g_core.recordings.result_folder import (
    STRIP,
    VIDEO,
    MaskedFrame,
    headline,
    make_folder,
    write_pictures,
)
from t2g_core.streaming.continuity import MAX_GAP_S
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

VIDEO_OUTPUT, OVERLAY = "video", "overlay.png"
SHIPPED_NAME = "the shipped checkpoint"


@dataclass(frozen=True)
class SegmentOptions:
    """What `t2g segment` is asked for beside the paths; its `--help` says more of each.

    checkpoint: None is the shipped one. frames: the first ones alone. write: some of
    ``MASK_OUTPUTS`` and ``VIDEO_OUTPUT``.
    """

    checkpoint: Path | None = None
    topic: str | None = None
    labels_topic: str | None = None
    max_gap_s: float = MAX_GAP_S
    rate_hz: float = 15.0
    frames: int | None = None
    device: str = AUTO
    precision: str = AUTO
    windows: str = ""
    encoder_weights: str | None = None
    write: tuple[str, ...] = (MASKS, VIDEO_OUTPUT)

    def __post_init__(self):
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"--frames: expected at least 1, got {self.frames}")

    @property
    def settings(self) -> dict:
        """What results depend on beside the path, by which a later call knows them again."""
        given = self.checkpoint
        modified_ns = given.stat().st_mtime_ns if given is not None and given.exists() else 0
        changed = {"checkpoint": str(given or SHIPPED_NAME), "write": list(self.write)}
        values = asdict(self) | changed | {"modified_ns": modified_ns}
        return {name: value for name, value in values.items() if name != "device"}

    def load(self) -> StreamingSegmenter:
        """The model."""
        return StreamingSegmenter.from_checkpoint(
            self.checkpoint, self.device, self.encoder_weights, self.precision, self.windows
        )


def segment_path(
    path: Path, out: Path, options: SegmentOptions, load: Callable[[], StreamingSegmenter]
) -> dict:
    """Segment one path into a folder; return its report, which is there as report.json.

    Raises ``ValueError`` where it holds no clip, or from some frame on cannot be read.
    """
    frames, names = read_clip(path, options.rate_hz, options.topic, options.labels_topic)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path} holds no frame")
    make_folder(out)
    if is_bag(path):
        check_bag(path)
    segmenter = load()
    labelling, started = segmenter.labelling, time.perf_counter()
    outputs = open_outputs(
        options.write, out, path, options.topic, labelling, options.frames is None
    )
    offline = OfflineRun(segmenter, options.max_gap_s)
    rate_hz = usual_rate(path, options.rate_hz, options.topic)
    frames = itertools.islice(itertools.chain([first], frames), options.frames)
    classes, palette = segmenter.class_names, segmenter.palette
    shares, with_video = ClassShares(classes), VIDEO_OUTPUT in options.write
    with (
        tqdm(unit="frame", desc=path.name[-30:], total=options.frames, file=sys.stderr) as progress,
        ExitStack() as stack,
    ):
        entered = [stack.enter_context(output) for output in outputs]
        masked = written(offline.segment(frames), names, entered)
        masked = watched(masked, shares, progress)
        if is_image(path):
            scores = write_overlay(out, next(masked), palette)
        else:
            gap_s = options.max_gap_s
            scores = write_pictures(out, masked, classes, palette, rate_hz, gap_s, with_video)
    report = {
        "path": str(path),
        "settings": options.settings,
        **offline_report(offline, scores),
        "seconds": round(time.perf_counter() - started, 3),
        "classes": shares.compute(),
    }
    if not is_image(path):
        own, video = labelling.source_confidence, VIDEO if with_video else None
        write_health_page(out, as_text(report), offline.timeline, rate_hz, own, video, STRIP)
    offline.finish(out, report)
    return report


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

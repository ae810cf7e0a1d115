# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The result folder of a run over a clip: report.json, an MP4 and a timeline strip."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from t2g_core.metrics.flicker_map import FlickerMap
from t2g_core.recordings.clip_meter import ClipMeter
from t2g_core.recordings.clip_source import ClipFrame
from t2g_core.recordings.pictures import Mp4Writer, TimelineStrip, panel, resized
from t2g_core.streaming.continuity import FrameInfo, reset_between

VIDEO, STRIP, REPORT = "segmentation.mp4", "timeline.png", "report.json"
PICTURE_WIDTH = 960


class MaskedFrame(NamedTuple):
    """A frame of the clip and its mask ``(H, W)`` uint8; None where the frame was dropped."""

    frame: ClipFrame
    mask: np.ndarray | None


def make_folder(out: Path) -> None:
    """Make the folder for results; ValueError where a file has its name."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"--out: {out} is a file or lies in one; name a folder") from error


def write_pictures(
    out: Path,
    frames: Iterable[MaskedFrame],
    class_names: tuple[str, ...],
    palette: np.ndarray,
    rate_hz: float,
    max_gap_s: float,
    video: bool = True,
) -> dict:
    """Write the MP4 (at ``rate_hz``), unless without ``video``, and the strip of a clip; return its
    scores.

    Dropped frames are left out of both. The scores reach neither across them nor to a frame that
    does not continue the one before (`continuity.py`). Frames of another size than the first are
    resized to it, in the pictures alone.
    """
    meter, flicker, strip = ClipMeter(class_names), FlickerMap(), TimelineStrip(palette)
    gap, previous = False, None
    with Mp4Writer(out / VIDEO, rate_hz) if video else nullcontext() as writer:
        for frame, mask in frames:
            if mask is None:
                gap = True
                continue
            info = FrameInfo(frame.stamp_ns, mask.shape)
            if previous is not None and reset_between(previous, info, max_gap_s) is not None:
                gap = True
            previous = info
            meter.update(mask, frame.stamp_ns, frame.labels, gap)
            image, mask, labels = shrunk(frame.image, mask, frame.labels)
            if writer is not None:
                writer.write(panel(image, mask, palette, flicker.update(mask)))
            strip.update(image, mask, labels)
            gap = False
    cv2.imwrite(str(out / STRIP), strip.picture()[..., ::-1])
    return meter.compute()


def shrunk(
    image: np.ndarray, mask: np.ndarray, labels: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """A frame no wider than a picture shows it."""
    height, width = mask.shape
    if width <= PICTURE_WIDTH:
        return image, mask, labels
    size = PICTURE_WIDTH, round(height * PICTURE_WIDTH / width)
    labels = None if labels is None else resized(labels, size, nearest=True)
    return resized(image, size), resized(mask, size, nearest=True), labels


def default_folder(path: Path, above: Path | None = None) -> Path:
    """Where the results of a file or a folder go unless told otherwise: beside it, or in ``above``.

    Raises ``ValueError`` where the results of another file of the same name are there.
    """
    path = path.resolve()
    out = (above or path.parent) / f"{path.name if path.is_dir() else path.stem}_t2g"
    report = out / REPORT
    of = json.loads(report.read_text()).get("path") if report.is_file() else None
    if of is not None and of != str(path):
        raise ValueError(f"{out} holds the results of {of}; name another folder with --out")
    return out


def write_report(out: Path, report: dict) -> None:
    """Write report.json."""
    (out / REPORT).write_text(json.dumps(report, indent=2) + "\n")


def headline(report: dict) -> str:
    """Return the report's main figures in a few lines."""
    latency, flicker = report["latency_ms"], report["flicker"]
    lines = [
        f"frames sent {report['frames_sent']}, masks {report['masks_received']}, "
        f"dropped {report['dropped']}",
        f"latency {latency['p50']} ms median, {latency['p95']} ms p95; {report['fps']} masks/s",
        "flicker: "
        + ("unknown" if flicker is None else f"{100 * flicker:.2f} % of pixels a frame"),
    ]
    if report["miou"] is not None:
        vc = ", ".join(f"VC{n} {report[f'vc{n}']['correct']}" for n in (8, 16))
        lines.append(f"against labels: mIoU {report['miou']} %, {vc} (correct, %)")
    return "\n".join(lines)

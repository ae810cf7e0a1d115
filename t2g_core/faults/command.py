# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""``t2g faults``: what the diagnostics find of faults that are put into recordings on purpose."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from t2g_core.data.corruptions import CORRUPTIONS, Weather, corrupt
from t2g_core.data.datasets import NAMES, open_dataset
from t2g_core.device import AUTO, PRECISIONS
from t2g_core.faults.faults import FAULTS
from t2g_core.faults.scenes import Clip, Labelled, recorded_clip, rendered_clips
from t2g_core.faults.trials import WITHIN, ClipOutcome, try_faults
from t2g_core.faults.truth import (
    WITH_LABELS,
    WITHOUT_LABELS,
    WindowFigures,
    rank_correlations,
    windows_of,
)
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

NAMED = {fault.name: fault for fault in FAULTS}
HIT = "street"  # of the rendered clips, the one that faults are put into


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``t2g faults``."""
    parser.description = (
        "Hit recordings by faults at random moments and print what the diagnostics find, how many "
        "frames later and by what name; how often they speak up where nothing is wrong; and how "
        "their figures rank windows of frames against what labels say. The rendered street needs "
        "no data; --root adds a recording."
    )
    parser.add_argument("--checkpoint", type=Path, help="default: the one that ships")
    parser.add_argument("--root", type=Path, help="folder of a data set, whose first video is hit")
    parser.add_argument("--data", choices=NAMES, default="camvid", help="default: %(default)s")
    parser.add_argument("--split", default="val", help="default: %(default)s")
    parser.add_argument(
        "--fault", action="append", choices=NAMED, help="repeat it for several (default: all)"
    )
    parser.add_argument(
        "--seeds", type=int, default=20, help="trials of each fault (default: %(default)s)"
    )
    parser.add_argument(
        "--frames", type=int, default=101, help="of each clip, at the most (default: %(default)s)"
    )
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        default=(480, 360),
        metavar=("W", "H"),
        help="of the rendered images, and the area that the model resizes images to (default: 480 "
        "360, where a machine without a GPU needs about half an hour)",
    )
    parser.add_argument(
        "--device", default=AUTO, help="auto, cpu, cuda or cuda:N (default: %(default)s)"
    )
    parser.add_argument("--precision", choices=PRECISIONS, default=AUTO, help="of products")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write faults.json there")


def run(args: argparse.Namespace) -> int:
    """Print the three tables."""
    if args.seeds < 1 or args.frames < 1:
        raise ValueError(f"--seeds and --frames: expected 1 or more, got {args.seeds, args.frames}")
    segmenter = StreamingSegmenter.from_checkpoint(
        args.checkpoint, args.device, precision=args.precision
    )
    segmenter.input_size = tuple(args.size)
    faults = [NAMED[name] for name in args.fault or NAMED]
    clips = rendered_clips(args.frames, tuple(args.size))
    if args.root is not None:
        video = open_dataset(args.data, args.root).load_videos(args.split)[0]
        clips.insert(0, recorded_clip(video, args.frames))
    outcomes, windows = {}, {}
    with tqdm(unit="frame", desc="faults", file=sys.stderr) as progress:
        for clip in clips:
            progress.set_postfix_str(clip.name)
            frames = clip.frames()
            images = [image for image, _ in frames]
            recorded = args.root is not None and clip is clips[0]
            hit = faults if recorded or clip.name == HIT else []
            outcomes[clip.name] = try_faults(
                segmenter, images, clip.rate_hz, clip.expected, hit, args.seeds, progress.update
            )
            for name, weathered in in_weathers(clip, frames, recorded).items():
                windows[name] = windows_of(segmenter, weathered, clip.rate_hz, progress.update)
    print("\n\n".join((faults_table(outcomes), alarms_table(outcomes), truth_table(windows))))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "faults.json").write_text(json.dumps(record(outcomes, windows), indent=2))
    return 0


def in_weathers(
    clip: Clip, frames: Sequence[Labelled], recorded: bool
) -> dict[str, list[Labelled]]:
    """The labelled clips that rank correlations are measured on: a recording as it is and in the
    four weathers of the benchmark, the rendered ones as they are.
    """
    found = {clip.name: list(frames)}
    if recorded:
        for name in CORRUPTIONS:
            weather = Weather(name)
            found[f"{clip.name}, {name}"] = [
                (corrupt(image, weather, clip.name, number), labels)
                for number, (image, labels) in enumerate(frames)
            ]
    return found


def faults_table(outcomes: Mapping[str, ClipOutcome]) -> str:
    """A line for each fault and clip that was hit."""
    lines = [
        "| clip | fault | found | delay, frames: median (largest) | named rightly | taken for |",
        "|---|---|---|---|---|---|",
    ]
    found, right, total = 0, 0, 0
    for clip, outcome in outcomes.items():
        for fault in FAULTS:
            trials = [trial for trial in outcome.trials if trial.fault == fault.name]
            if not trials:
                continue
            delays = [trial.delay for trial in trials if trial.delay is not None]
            names = Counter(trial.named for trial in trials)
            called = sum(names.pop(kind, 0) for kind in fault.kinds)
            wrong = ", ".join(f"{name or 'nothing'} {n}" for name, n in names.most_common())
            delay = f"{np.median(delays):g} ({max(delays)})" if delays else "-"
            lines.append(
                f"| {clip} | {fault.name} | {len(delays)} of {len(trials)} | {delay} | "
                f"{called} | {wrong} |"
            )
            found, right, total = found + len(delays), right + called, total + len(trials)
    if total:
        lines.append(
            f"| all | | {100 * found / total:.1f} % within {WITHIN} frames | | "
            f"{100 * right / total:.1f} % | |"
        )
    return "\n".join(lines)


def alarms_table(outcomes: Mapping[str, ClipOutcome]) -> str:
    """A line for each clip without a fault."""
    lines = ["| clip without a fault | frames | frames with a false alarm |", "|---|---|---|"]
    for clip, outcome in outcomes.items():
        kinds = ", ".join(f"{kind} {n}" for kind, n in outcome.alarms.most_common()) or "none"
        lines.append(f"| {clip} | {outcome.frames} | {kinds} |")
    frames = sum(outcome.frames for outcome in outcomes.values())
    alarms = sum(sum(outcome.alarms.values()) for outcome in outcomes.values())
    lines.append(f"| all | {frames} | {1000 * alarms / max(1, frames):.1f} in 1,000 |")
    return "\n".join(lines)


def truth_table(windows: Mapping[str, Sequence[WindowFigures]]) -> str:
    """A line for each figure that needs no labels."""
    every = [one for found in windows.values() for one in found]
    words = {
        "flicker_as_it_was": "flicker, place by place",
        "flicker": "flicker, along the motion",
        "doubt": "1 - mean confidence",
        "error": "1 - accuracy",
        "inconsistency": "1 - VC8 (correct)",
    }
    lines = [
        f"| rank correlation over {len(every)} windows of {len(windows)} clips with | "
        + " | ".join(words[name] for name in WITH_LABELS)
        + " |",
        "|---" * (1 + len(WITH_LABELS)) + "|",
    ]
    found = rank_correlations(every)
    for name in WITHOUT_LABELS:
        cells = " | ".join(f"{found[name, truth]:.2f}" for truth in WITH_LABELS)
        lines.append(f"| {words[name]} | {cells} |")
    return "\n".join(lines)


def record(
    outcomes: Mapping[str, ClipOutcome], windows: Mapping[str, Sequence[WindowFigures]]
) -> dict:
    """Everything as JSON values."""
    return {
        "clips": {
            name: {
                "frames": outcome.frames,
                "alarms": dict(outcome.alarms),
                "trials": [trial._asdict() for trial in outcome.trials],
            }
            for name, outcome in outcomes.items()
        },
        "windows": {name: [one._asdict() for one in found] for name, found in windows.items()},
    }

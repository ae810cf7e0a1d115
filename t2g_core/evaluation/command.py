"""``t2g eval``: compare checkpoints on labelled video under several conditions in one run."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from t2g_core.data.corrupted_images import check_record
from t2g_core.data.corruptions import CORRUPTIONS, SEVERITY, load_library
from t2g_core.data.datasets import NAMES, open_dataset
from t2g_core.data.video import Video, VideoFrame
from t2g_core.evaluation.contact_sheet import Sample, contact_sheet, save_picture
from t2g_core.evaluation.evaluate import CLEAN, StoredWeather, evaluate, load_frame
from t2g_core.evaluation.modes import MODES
from t2g_core.evaluation.tables import Settings, format_tables, mean_row, result_row, write_report

if TYPE_CHECKING:
    from t2g_core.evaluation.encoder_memo import EncoderMemo
    from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

PICTURED_FRAMES = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``t2g eval``."""
    parser.description = (
        "Measure mIoU and video consistency (VC8, VC16) of checkpoints on labelled video. All "
        "figures are percentages from 0 to 100. VC is a mean over videos; `correct` asks for a "
        "constant and right prediction, `stable` for a constant one, `vspw` is VSPW's own script."
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        type=Path,
        help="a checkpoint file; repeat it to compare several, which then share the encoder's "
        "pass over each frame and its time (default: the shipped one)",
    )
    parser.add_argument("--data", choices=NAMES, default="camvid", help="default: %(default)s")
    parser.add_argument("--root", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--split", default="val", help="default: %(default)s")
    parser.add_argument(
        "--corruption",
        action="append",
        choices=(CLEAN, *CORRUPTIONS, "all"),
        help="weather put on every frame; repeat it to compare several; `all` is clean, the four "
        "and the mean of the four (default: clean)",
    )
    parser.add_argument(
        "--severity",
        type=int,
        choices=range(1, 6),
        default=SEVERITY,
        help="of the corruption (default: %(default)s)",
    )
    parser.add_argument(
        "--weather",
        type=Path,
        metavar="DIR",
        help="take the corrupted images that `t2g data corrupt --out DIR` wrote, instead of "
        "making them again",
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="stream",
        help="stream: every mask at once from the frames so far; clip: clips without overlap, as "
        "in the paper; frame: no memory at all (default: %(default)s)",
    )
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object instead of tables; with several checkpoints or conditions it "
        "holds a list under `results`",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="also write results.json, results.csv and pictures (image, ground truth, prediction)",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate every checkpoint under every condition, print the results and return 0.

    Raises ``FileNotFoundError`` and ``ValueError`` for faulty data, files or options.
    """
    check_early(args)
    dataset = open_dataset(args.data, args.root)
    videos = dataset.load_videos(args.split)
    segmenters, memos = load_segmenters(args.checkpoint or [None], args.device)
    rows = evaluate_all(segmenters, memos, videos, dataset.class_names, args)
    document = rows[0] if len(rows) == 1 else {"results": rows}
    print(json.dumps(document, indent=2) if args.json else format_tables(rows))
    if args.out:
        write_report(args.out, document, rows)
        print(f"results and pictures are in {args.out}", file=sys.stderr)
    return 0


def check_early(args: argparse.Namespace) -> None:
    """Find a missing checkpoint or library now and not after the first ten minutes."""
    for checkpoint in args.checkpoint or []:
        if not checkpoint.is_file():
            raise FileNotFoundError(f"checkpoint {checkpoint} does not exist; see `t2g train`")
    weathers = [name for name in conditions(args.corruption) if name != CLEAN]
    if args.weather:
        for name in weathers:
            check_record(args.weather / name, name, args.severity)
    elif weathers:
        load_library()


def evaluate_all(
    segmenters: dict[str, StreamingSegmenter],
    memos: Sequence[EncoderMemo],
    videos: Sequence[Video],
    class_names: Sequence[str],
    args: argparse.Namespace,
) -> list[dict]:
    """Evaluate every checkpoint under every condition; a mean follows if all weathers are there.

    Conditions are the outer loop, so that checkpoints of one encoder share its pass over a frame.
    """
    rows = {name: [] for name in segmenters}
    stored = StoredWeather(args.weather, args.root) if args.weather else None
    for corruption in conditions(args.corruption):
        for name, segmenter in segmenters.items():
            settings = Settings(
                checkpoint=name,
                data=args.data,
                split=args.split,
                mode=args.mode,
                corruption=corruption,
                severity=args.severity,
                device=args.device,
            )
            rows[name].append(
                evaluate_condition(segmenter, settings, videos, class_names, args.out, stored)
            )
        for memo in memos:
            memo.clear()
    for name in segmenters:
        weathers = [row for row in rows[name] if row["corruption"] != CLEAN]
        if len(weathers) == len(CORRUPTIONS):
            rows[name].append(mean_row(weathers))
    return [row for name in segmenters for row in rows[name]]


def load_segmenters(
    paths: Sequence[Path | None], device: str
) -> tuple[dict[str, StreamingSegmenter], list[EncoderMemo]]:
    """The segmenters by name, and the memory of the encoders that several of them share."""
    from t2g_core.build import build_encoder
    from t2g_core.checkpoint import load_checkpoint  # torch loads only when it is needed
    from t2g_core.evaluation.encoder_memo import EncoderMemo
    from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

    checkpoints = {"shipped" if p is None else str(p): load_checkpoint(p, device) for p in paths}
    encoders = {(c.config.encoder, c.config.depth): c.config for c in checkpoints.values()}
    encoders = {key: build_encoder(config, device) for key, config in encoders.items()}
    memos = []
    if len(checkpoints) > 1:
        encoders = {key: EncoderMemo(encoder) for key, encoder in encoders.items()}
        memos = list(encoders.values())
    segmenters = {
        name: StreamingSegmenter(c, encoders[c.config.encoder, c.config.depth], device)
        for name, c in checkpoints.items()
    }
    return segmenters, memos


def evaluate_condition(
    segmenter: StreamingSegmenter,
    settings: Settings,
    videos: Sequence[Video],
    class_names: Sequence[str],
    out: Path | None,
    stored: StoredWeather | None,
) -> dict:
    """Evaluate under one condition, with a progress bar on stderr and pictures in ``out``."""
    frames = [frame for video in videos for frame in video.frames]
    pictured = {frames[i] for i in np.linspace(0, len(frames) - 1, PICTURED_FRAMES, dtype=int)}
    samples = []

    def on_frame(frame: VideoFrame, mask: np.ndarray, target: np.ndarray) -> None:
        progress.update()
        if out and frame in pictured:
            image = load_frame(frame, settings.corruption, settings.severity, stored)
            samples.append(Sample(f"{frame.video} {frame.number}", image, target, mask))

    title = f"{Path(settings.checkpoint).stem} {settings.corruption}"
    with tqdm(total=len(frames), desc=title, unit="frame", file=sys.stderr) as progress:
        evaluation = evaluate(
            segmenter,
            videos,
            class_names,
            mode=settings.mode,
            corruption=settings.corruption,
            severity=settings.severity,
            stored=stored,
            on_frame=on_frame,
        )
    if out:
        sheet = contact_sheet(samples, segmenter.class_names, segmenter.palette)
        save_picture(out / picture_name(settings), sheet)
    return result_row(evaluation, segmenter.class_names, settings)


def picture_name(settings: Settings) -> str:
    """Name a contact sheet by checkpoint path and settings: ``runs_a_last_stream_fog.png``."""
    checkpoint = str(Path(settings.checkpoint).with_suffix(""))
    name = f"{checkpoint} {settings.mode} {settings.corruption}"
    return re.sub(r"\W+", "_", name).strip("_") + ".png"


def conditions(chosen: Sequence[str] | None) -> list[str]:
    """Spell out ``all`` and drop repetitions; nothing chosen means clean."""
    spelt = []
    for name in chosen or [CLEAN]:
        spelt += [CLEAN, *CORRUPTIONS] if name == "all" else [name]
    return list(dict.fromkeys(spelt))

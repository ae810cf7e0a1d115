"""``t2g eval``: compare checkpoints on labelled video under several conditions in one run."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from t2g_core.data.corrupted_images import check_record
from t2g_core.data.corruptions import CORRUPTIONS, SEEDINGS, SEVERITY, Weather, load_library
from t2g_core.data.datasets import NAMES, open_dataset
from t2g_core.data.video import Video, VideoFrame
from t2g_core.device import AUTO, PRECISIONS, find_device, find_precision
from t2g_core.evaluation.contact_sheet import Sample, contact_sheet, save_picture
from t2g_core.evaluation.evaluate import CLEAN, StoredWeather, evaluate_together, load_frame
from t2g_core.evaluation.modes import MODES
from t2g_core.evaluation.tables import Settings, format_tables, mean_row, result_row, write_report
from t2g_core.metrics.sparse_consistency import STATIC_THRESHOLD

if TYPE_CHECKING:
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
        "pass over each frame and its time, which stands in every row (default: the shipped one)",
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
        "--seeding",
        choices=SEEDINGS,
        default="frame",
        help="frame: neighbouring frames get unrelated patterns, which averaging over time "
        "removes; video: one pattern stays in the picture (default: %(default)s)",
    )
    parser.add_argument(
        "--every",
        type=int,
        default=1,
        metavar="N",
        help="take every Nth frame of each video alone, as a slower camera would (default: "
        "%(default)s)",
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
    parser.add_argument(
        "--running-mean",
        type=float,
        nargs="+",
        default=(),
        metavar="WEIGHT",
        help="also evaluate every frame-by-frame checkpoint with a running mean over its "
        "probabilities, a row a weight on the past, for example 0.3 0.5 0.7: what a method with a "
        "memory has to beat",
    )
    parser.add_argument(
        "--frame-path",
        action="store_true",
        help="also evaluate what the pixel classifier of a checkpoint with a memory sees in each "
        "frame alone, without queries and memory (and its running means): what those bring",
    )
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=AUTO,
        help="of products; auto: bf16 where the processor has it (default: %(default)s)",
    )
    parser.add_argument(
        "--static-threshold",
        type=int,
        default=STATIC_THRESHOLD,
        metavar="GREY",
        help="where few frames have a label (Eq. 13), how far a pixel's grey value may leave the "
        "labelled frame's and still count as static, of 255 (default: %(default)s)",
    )
    parser.add_argument(
        "--classes",
        choices=("own", "shared15"),
        default="own",
        help="own: the checkpoint's classes, met by name; shared15: the fifteen of the benchmark "
        "that its names stand for (truck is truck & bus), whatever it was trained on (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--without-depth",
        action="store_true",
        help="leave out the depth encoder of checkpoints that were trained with one (beta = 1)",
    )
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
    args.device = find_device(args.device)
    args.precision = find_precision(args.precision, args.device)
    dataset = open_dataset(args.data, args.root)
    videos = dataset.load_videos(args.split)
    paths = args.checkpoint or [None]
    segmenters = load_segmenters(
        paths,
        args.device,
        args.precision,
        shared=bool(args.running_mean or args.frame_path),
        depth=not args.without_depth,
    )
    if args.frame_path:
        segmenters = with_frame_paths(segmenters)
    segmenters = with_running_means(segmenters, args.running_mean)
    rows = evaluate_all(segmenters, videos, dataset.class_names, args)
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
    if args.every < 1:
        raise ValueError(f"--every: expected 1 or more, got {args.every}")
    weathers = [w for w in conditions(args) if w is not None]
    if args.weather:
        for weather in weathers:
            check_record(args.weather / weather.name, weather)
    elif weathers:
        load_library()


def evaluate_all(
    segmenters: dict[str, StreamingSegmenter],
    videos: Sequence[Video],
    class_names: Sequence[str],
    args: argparse.Namespace,
) -> list[dict]:
    """Evaluate all checkpoints under every condition; a mean follows if all weathers are there.

    Of each video every `args.every`-th frame is taken.
    """
    videos = [video.every(args.every) for video in videos]
    rows: dict[str, list[dict]] = {name: [] for name in segmenters}
    for weather in conditions(args):
        settings = {
            name: Settings(
                checkpoint=name,
                data=args.data,
                split=args.split,
                mode=args.mode,
                weather=weather,
                every=args.every,
                device=args.device,
                precision=args.precision,
                static_threshold=args.static_threshold,
                without_depth=args.without_depth,
            )
            for name in segmenters
        }
        for name, row in evaluate_condition(segmenters, settings, videos, class_names, args):
            rows[name].append(row)
    for found in rows.values():
        weathers = [row for row in found if row["corruption"] != CLEAN]
        if len(weathers) == len(CORRUPTIONS):
            found.append(mean_row(weathers))
    return [row for found in rows.values() for row in found]


def load_segmenters(
    paths: Sequence[Path | None],
    device: str,
    precision: str = AUTO,
    shared: bool = False,
    depth: bool = True,
) -> dict[str, StreamingSegmenter]:
    """The segmenters by name; those of one frozen encoder share its pass over a frame.

    shared: also where there is one alone, because running means of it will look at its frames.
    depth: False leaves out the depth encoder of those trained with one.
    """
    from t2g_core.build import build_encoder  # torch loads only when it is needed
    from t2g_core.checkpoint import load_checkpoint
    from t2g_core.evaluation.encoder_memo import EncoderMemo
    from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

    checkpoints = {"shipped" if p is None else str(p): load_checkpoint(p, device) for p in paths}
    configs = {
        name: c.config if depth else replace(c.config, depth=None)
        for name, c in checkpoints.items()
    }
    keys = {name: (config.encoder, config.depth) for name, config in configs.items()}
    encoders = {keys[name]: config for name, config in configs.items()}
    encoders = {key: build_encoder(config, device) for key, config in encoders.items()}
    if len(checkpoints) > 1 or shared:
        most = max(c.model.head.clip_length for c in checkpoints.values())
        encoders = {key: EncoderMemo(encoder, most) for key, encoder in encoders.items()}
    return {
        name: StreamingSegmenter(c, encoders[keys[name]], device, precision)
        for name, c in checkpoints.items()
    }


def with_frame_paths(segmenters: dict[str, StreamingSegmenter]) -> dict[str, StreamingSegmenter]:
    """Each segmenter with a memory, followed by its frame path alone."""
    found = {}
    for name, segmenter in segmenters.items():
        found[name] = segmenter
        if segmenter.clip_length > 1:
            found[f"{name}, frame path"] = segmenter.frame_path_alone()
    return found


def with_running_means(
    segmenters: dict[str, StreamingSegmenter], weights: Sequence[float]
) -> dict[str, StreamingSegmenter]:
    """Each segmenter, followed by its running means where it looks at each frame alone."""
    found = {}
    for name, segmenter in segmenters.items():
        found[name] = segmenter
        if segmenter.clip_length == 1:
            for weight in weights:
                found[f"{name} + mean {weight:g}"] = segmenter.with_running_mean(weight)
    if weights and len(found) == len(segmenters):
        raise ValueError("--running-mean: no checkpoint here looks at each frame alone")
    return found


def evaluate_condition(
    segmenters: dict[str, StreamingSegmenter],
    settings: dict[str, Settings],
    videos: Sequence[Video],
    class_names: Sequence[str],
    args: argparse.Namespace,
) -> Iterator[tuple[str, dict]]:
    """Rows by checkpoint of one condition, with a progress bar and pictures in ``args.out``."""
    common = next(iter(settings.values()))
    stored = StoredWeather(args.weather, args.root) if args.weather else None
    frames = [frame for video in videos for frame in video.frames]
    pictured = {frames[i] for i in np.linspace(0, len(frames) - 1, PICTURED_FRAMES, dtype=int)}
    samples: dict[str, list[Sample]] = {name: [] for name in segmenters}
    last = list(segmenters)[-1]

    def on_frame(name: str, frame: VideoFrame, mask: np.ndarray, target: np.ndarray) -> None:
        if name == last:
            progress.update()
        if args.out and frame in pictured:
            image = load_frame(frame, common.weather, stored)
            samples[name].append(Sample(f"{frame.video} {frame.number}", image, target, mask))

    title = f"{' '.join(Path(name).stem for name in segmenters)} {common.condition}"
    with tqdm(total=len(frames), desc=title, unit="frame", file=sys.stderr) as progress:
        evaluations = evaluate_together(
            segmenters,
            videos,
            class_names,
            mode=common.mode,
            weather=common.weather,
            stored=stored,
            on_frame=on_frame,
            static_threshold=common.static_threshold,
            shared=args.classes == "shared15",
        )
    for name, evaluation in evaluations.items():
        segmenter = segmenters[name]
        if args.out:
            sheet = contact_sheet(samples[name], segmenter.class_names, segmenter.palette)
            save_picture(args.out / picture_name(settings[name]), sheet)
        yield name, result_row(evaluation, settings[name])


def picture_name(settings: Settings) -> str:
    """Name a contact sheet by checkpoint path and settings: ``runs_a_last_stream_fog.png``."""
    checkpoint = re.sub(r"\.(safetensors|st)\b", "", settings.checkpoint)
    name = f"{checkpoint} {settings.mode} {settings.condition}"
    return re.sub(r"\W+", "_", name).strip("_") + ".png"


def conditions(args: argparse.Namespace) -> list[Weather | None]:
    """The weathers of ``--corruption``, None for clean: ``all`` spelt out, no repetitions."""
    spelt = []
    for name in args.corruption or [CLEAN]:
        spelt += [CLEAN, *CORRUPTIONS] if name == "all" else [name]
    return [
        None if name == CLEAN else Weather(name, args.severity, args.seeding)
        for name in dict.fromkeys(spelt)
    ]

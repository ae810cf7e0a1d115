"""``t2g data``: look at a data set before training on it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from t2g_core.config import load_config
from t2g_core.data import class_tables as tables
from t2g_core.data.camvid import FULL_RELEASE
from t2g_core.data.check import DataReport, check_videos
from t2g_core.data.corrupted_images import write_corrupted
from t2g_core.data.corruptions import CORRUPTIONS, SEEDINGS, SEVERITY, Weather
from t2g_core.data.datasets import NAMES, open_dataset, recognise
from t2g_core.labels import CAMVID_CLASSES
from t2g_core.training.clip_sampler import ClipSampler
from t2g_core.training.clip_workers import ClipWorkers

TABLES = {
    "cityscapes": (tables.CITYSCAPES_IDS, tables.CITYSCAPES_TO_15),
    "kitti360": (tables.KITTI360_IDS, tables.KITTI360_TO_15),
    "apolloscape": (tables.APOLLOSCAPE_IDS, tables.APOLLOSCAPE_TO_15),
    "camvid": (FULL_RELEASE, {name: target for name, (_, target) in FULL_RELEASE.items()}),
    "camvid15": (FULL_RELEASE, tables.CAMVID_TO_15),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``check``, ``classes``, ``corrupt`` and ``bench``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="read every file of a split and report")
    _add_split(check)
    check.add_argument("--workers", type=int, default=4, help="threads (default: %(default)s)")
    check.add_argument("--json", action="store_true", help="print the report as one JSON object")
    classes = actions.add_parser("classes", help="print how a data set's labels are mapped")
    classes.add_argument("data", choices=TABLES)
    corrupt = actions.add_parser("corrupt", help="write a split's images in bad weather to disk")
    _add_split(corrupt)
    corrupt.add_argument("--corruption", choices=CORRUPTIONS, required=True)
    corrupt.add_argument("--severity", type=int, choices=range(1, 6), default=SEVERITY)
    corrupt.add_argument("--seeding", choices=SEEDINGS, default="frame", help="as of `t2g eval`")
    corrupt.add_argument("--out", type=Path, required=True, help="folder for `t2g eval --weather`")
    bench = actions.add_parser("bench", help="frames a second that loading gives a training")
    bench.add_argument("root", type=Path, help="the data set's folder")
    bench.add_argument(
        "--config", required=True, help="whose clips to draw: its strides, crops and distortions"
    )
    bench.add_argument(
        "--workers",
        type=int,
        nargs="+",
        default=(0, 1, 2, 4),
        metavar="N",
        help="numbers of processes to try in turn (default: 0 1 2 4)",
    )
    bench.add_argument("--clips", type=int, default=50, help="to time (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Run one action; ``check`` returns 1 where something is wrong."""
    if args.action == "classes":
        print(format_classes(args.data))
        return 0
    if args.action == "bench":
        for workers in args.workers:
            print(measure_loading(args, workers), flush=True)
        return 0
    dataset = open_dataset(args.data or recognise(args.root), args.root)
    videos = dataset.load_videos(args.split)
    if args.action == "corrupt":
        weather = Weather(args.corruption, args.severity, args.seeding)
        count = write_corrupted(videos, args.root, args.out, weather)
        seeding = SEEDINGS[weather.seeding]
        print(
            f"{weather.name}, severity {weather.severity}, {seeding}: {count} images in {args.out}"
        )
        return 0
    frames = sum(len(video.frames) for video in videos)
    with tqdm(total=frames, unit="frame", desc="check", file=sys.stderr) as progress:
        report = check_videos(videos, len(dataset.class_names), args.workers, progress.update)
    print(
        as_json(report, dataset.class_names) if args.json else as_text(report, dataset.class_names)
    )
    return 1 if report.faults else 0


def measure_loading(args: argparse.Namespace, workers: int) -> str:
    """Time drawing, cutting and distorting clips; the workers' start is not counted."""
    config = load_config(args.config).train
    if config is None:
        raise ValueError(f"{args.config} has no section train")
    videos = open_dataset(config.dataset, args.root).load_videos(config.split)
    clips = ClipWorkers(ClipSampler(videos, config), workers)
    warm = max(1, workers)
    clips.expect(range(warm + args.clips))
    for number in range(warm):
        clips(number)
    started = time.perf_counter()
    for number in range(warm, warm + args.clips):
        clips(number)
    rate = args.clips * config.clip_frames / (time.perf_counter() - started)
    clips.close()
    width, height = config.crop_size
    return f"{rate:.1f} frames/s of {width}x{height} with {workers} workers"


def as_text(report: DataReport, class_names: tuple[str, ...]) -> str:
    """The report for people: what is there, class shares in percent of labelled pixels, faults."""
    rates = ", ".join(f"{hz:g} Hz ({n})" for hz, n in sorted(report.rates_hz.items()))
    sizes = ", ".join(f"{w}x{h} ({n})" for (w, h), n in report.sizes.most_common())
    lines = [
        f"videos   {report.videos}, of {report.lengths[0]} to {report.lengths[1]} frames",
        f"frames   {report.frames}, {report.labelled} of them with a label",
        f"rates    {rates}",
        f"sizes    {sizes}",
        f"gaps     {len(report.gaps)}",
        *(f"         {g.recording}: {g.last_before} to {g.first_after}" for g in report.gaps[:10]),
        f"classes  percent of {report.pixels.sum()} labelled pixels; {report.void_pixels} are void",
    ]
    total = max(1, int(report.pixels.sum()))
    lines += [
        f"         {name:<14}{100 * int(count) / total:7.3f}{'' if count else '   none'}"
        for name, count in zip(class_names, report.pixels, strict=True)
    ]
    lines += [f"faults   {len(report.faults)}", *(f"         {fault}" for fault in report.faults)]
    return "\n".join(lines)


def as_json(report: DataReport, class_names: tuple[str, ...]) -> str:
    """The same as one JSON object, pixels by class name."""
    document = asdict(report) | {
        "pixels": dict(zip(class_names, report.pixels.tolist(), strict=True)),
        "sizes": {f"{w}x{h}": n for (w, h), n in report.sizes.items()},
        "rates_hz": {f"{hz:g}": n for hz, n in report.rates_hz.items()},
    }
    return json.dumps(document, indent=2)


def format_classes(data: str) -> str:
    """Each label of a data set: its id or colour, its name, the class it counts as."""
    ids, mapping = TABLES[data]
    keys = {name: key[0] if isinstance(key, tuple) else key for name, key in ids.items()}
    lines = [
        f"{str(key):>16}  {name:<22} {mapping.get(name) or 'void'}" for name, key in keys.items()
    ]
    if data.startswith("camvid"):
        lines += [
            "",
            "index labels: " + ", ".join(f"{i} {n}" for i, n in enumerate(CAMVID_CLASSES)),
        ]
    return "\n".join(lines)


def _add_split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", type=Path, help="the data set's folder")
    parser.add_argument("--data", choices=NAMES, help="default: the one whose layout it is")
    parser.add_argument("--split", default="train", help="default: %(default)s")

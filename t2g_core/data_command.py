# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""``t2g data``: look at a data set before training on it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from t2g_core.bench.loading import FORMATS, bench_loading
from t2g_core.config import load_config
from t2g_core.data import class_tables as tables
from t2g_core.data.camvid import FULL_RELEASE
from t2g_core.data.check import DataReport, check_videos
from t2g_core.data.corrupted_images import write_corrupted
from t2g_core.data.corruptions import CORRUPTIONS, SEEDINGS, SEVERITY, Weather
from t2g_core.data.datasets import NAMES, Dataset, open_dataset, recognise
from t2g_core.data.shards import AS_IT_IS, JPEG, PNG, write_shards
from t2g_core.data.shrunk_copy import write_shrunk
from t2g_core.labels import CAMVID_CLASSES
from t2g_core.training.train import add_set

TABLES = {
    "cityscapes": (tables.CITYSCAPES_IDS, tables.CITYSCAPES_TO_15),
    "kitti360": (tables.KITTI360_IDS, tables.KITTI360_TO_15),
    "apolloscape": (tables.APOLLOSCAPE_IDS, tables.APOLLOSCAPE_TO_15),
    "camvid": (FULL_RELEASE, {name: target for name, (_, target) in FULL_RELEASE.items()}),
    "camvid15": (FULL_RELEASE, tables.CAMVID_TO_15),
    "camvid15_merged": (FULL_RELEASE, tables.CAMVID_MERGED),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="read every file and report")
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
    shrink = actions.add_parser("shrink", help="write a smaller copy, in the same layout")
    _add_split(shrink)
    shrink.add_argument("--width", type=int, required=True, help="of an image at most [pixels]")
    shrink.add_argument("--out", type=Path, required=True, help="folder for the copy")
    shrink.add_argument("--workers", type=int, default=4, help="threads (default: %(default)s)")
    shard = actions.add_parser("shard", help="write a WebDataset: few large files, not many small")
    _add_split(shard)
    shard.add_argument("--out", type=Path, required=True, help="folder for shards and their index")
    shard.add_argument(
        "--images",
        choices=(AS_IT_IS, JPEG, PNG),
        default=AS_IT_IS,
        help="how images are stored (default: %(default)s)",
    )
    bench = actions.add_parser("bench", help="frames a second that loading gives a training")
    _add_split(bench)
    add_set(bench)
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
    bench.add_argument(
        "--formats",
        nargs="+",
        choices=FORMATS,
        default=(AS_IT_IS,),
        metavar="FORMAT",
        help="how the images are stored: as it is, or copies of the split in a temporary folder as "
        "png, jpeg, png-shards, jpeg-shards (default: as it is)",
    )
    bench.add_argument(
        "--distort-on-device",
        action="store_true",
        help="without the change of colours, as with that option of t2g train",
    )
    bench.add_argument("--clips", type=int, default=50, help="to time (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Run one action; ``check`` returns 1 where something is wrong."""
    if args.action == "classes":
        print(format_classes(args.data))
        return 0
    name = args.data or recognise(args.root)
    dataset = open_dataset(name, args.root)
    if args.action == "bench":
        config = load_config(args.config, args.changes)
        if config.train is None:
            raise ValueError(f"{args.config} has no section train")
        videos = dataset.load_videos(args.split or "train")
        distort = not args.distort_on_device
        bench_loading(config, dataset, videos, args.formats, args.workers, args.clips, distort)
        return 0
    if args.action == "corrupt":
        print(corrupt_split(args, dataset))
        return 0
    if args.action == "shard":
        print(shard_splits(args, dataset))
        return 0
    if args.action == "shrink":
        print(shrink_splits(args, dataset))
        return 0
    reports = check_splits(args, name, dataset)
    return 1 if any(report.faults for report in reports) else 0


def check_splits(args: argparse.Namespace, name: str, dataset: Dataset) -> list[DataReport]:
    """Check and print the chosen split, or every one that is there."""
    splits = [args.split] if args.split else dataset.splits
    if not splits:
        raise FileNotFoundError(f"{args.root} holds no split of {name}; see docs/datasets.md")
    reports = {}
    for split in splits:
        videos = dataset.load_videos(split)
        frames = sum(len(video.frames) for video in videos)
        title = f"check {split}"
        with tqdm(total=frames, unit="frame", desc=title, file=sys.stderr) as progress:
            count = len(dataset.class_names)
            reports[split] = check_videos(videos, count, args.workers, progress.update)
        if not args.json:
            print(f"{name}, split {split}\n{as_text(reports[split], dataset.class_names)}\n")
    if args.json:
        found = {s: as_record(report, dataset.class_names) for s, report in reports.items()}
        print(json.dumps({"data": name, "splits": found}, indent=2))
    return list(reports.values())


def shrink_splits(args: argparse.Namespace, dataset: Dataset) -> str:
    """Write a smaller copy of the chosen split, or of every one; what was done."""
    splits = [args.split] if args.split else dataset.splits
    videos = [video for split in splits for video in dataset.load_videos(split)]
    with tqdm(unit="picture", desc="shrink", file=sys.stderr) as bar:
        count = write_shrunk(videos, args.root, args.out, args.width, args.workers, bar.update)
    return f"{count} pictures no wider than {args.width} pixels in {args.out}"


def corrupt_split(args: argparse.Namespace, dataset: Dataset) -> str:
    """Write the split's images in one weather; what was done."""
    weather = Weather(args.corruption, args.severity, args.seeding)
    videos = dataset.load_videos(args.split or "train")
    count = write_corrupted(videos, args.root, args.out, weather)
    seeding = SEEDINGS[weather.seeding]
    return f"{weather.name}, severity {weather.severity}, {seeding}: {count} images in {args.out}"


def shard_splits(args: argparse.Namespace, dataset: Dataset) -> str:
    """Write the chosen split, or every one, as shards; what was done."""
    if args.out.resolve() == args.root.resolve():
        raise ValueError(f"--out: {args.out} is the data set; choose another folder")
    classes = dict(zip(dataset.class_names, dataset.palette, strict=True))
    lines = []
    for split in [args.split] if args.split else dataset.splits:
        videos = dataset.load_videos(split)
        total = sum(len(video.frames) for video in videos)
        with tqdm(total=total, unit="frame", desc=f"shard {split}", file=sys.stderr) as bar:
            count = write_shards(
                videos,
                args.out,
                split.partition(":")[0],
                classes,
                dataset.licence,
                args.images,
                on_frame=bar.update,
            )
        lines.append(f"{split}: {total} frames in {count} shards in {args.out}")
    return "\n".join([*lines, "train and evaluate on them with --data shards"])


def as_text(report: DataReport, class_names: tuple[str, ...]) -> str:
    """The report for people: what is there, class shares in percent of labelled pixels, faults."""
    rates = ", ".join(f"{hz:g} Hz ({n})" for hz, n in sorted(report.rates_hz.items()))
    total = int(report.pixels.sum())
    sizes = ", ".join(f"{w}x{h} ({n})" for (w, h), n in report.sizes.most_common())
    lines = [
        f"videos   {report.videos}, of {report.lengths[0]} to {report.lengths[1]} frames",
        f"frames   {report.frames}, {report.labelled} of them with a label",
        f"rates    {rates}",
        f"sizes    {sizes}",
        f"gaps     {len(report.gaps)}",
        *(f"         {g.recording}: {g.last_before} to {g.first_after}" for g in report.gaps[:10]),
        f"void     {100 * report.void_pixels / max(1, total + report.void_pixels):.2f} percent",
        f"classes  percent of {total} labelled pixels",
    ]
    total = max(1, total)
    lines += [
        f"         {name:<14}{100 * int(count) / total:7.3f}{'' if count else '   none'}"
        for name, count in zip(class_names, report.pixels, strict=True)
    ]
    lines += [f"faults   {len(report.faults)}", *(f"         {fault}" for fault in report.faults)]
    return "\n".join(lines)


def as_record(report: DataReport, class_names: tuple[str, ...]) -> dict:
    """The same as JSON values, pixels by class name."""
    return asdict(report) | {
        "pixels": dict(zip(class_names, report.pixels.tolist(), strict=True)),
        "sizes": {f"{w}x{h}": n for (w, h), n in report.sizes.items()},
        "rates_hz": {f"{hz:g}": n for hz, n in report.rates_hz.items()},
    }


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
    parser.add_argument("--split", help="default: every one; corrupt, bench: train")

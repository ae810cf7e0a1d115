# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g bench`: the command line; `timing.py`, `sweep.py`, `soak.py`, `load.py` and `runtimes.py`
measure.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from t2g_core.bench.info import parse_size, size_of
from t2g_core.bench.load import beside_load
from t2g_core.bench.runtimes import as_table as runtime_table
from t2g_core.bench.runtimes import compare_runtimes
from t2g_core.bench.soak import soak
from t2g_core.bench.sweep import Conditions, Point, plot, run_sweep, sweep_table
from t2g_core.bench.timing import as_table, measure, random_segmenter, write_trace
from t2g_core.bench.train_ways import as_table as ways_table
from t2g_core.bench.train_ways import measure_ways
from t2g_core.config import load_mapping, read_config
from t2g_core.device import AUTO, PRECISIONS, find_device
from t2g_core.images.windows import WINDOWS_HELP, read_windows
from t2g_core.training.train import add_set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `t2g bench`."""
    parser.add_argument(
        "config", nargs="?", help="e.g. config/time2general_small.yaml; weights are random"
    )
    add_set(parser)
    parser.add_argument("--size", help="WIDTHxHEIGHT of a frame (default: the config's input_size)")
    parser.add_argument(
        "--device", default=AUTO, help="auto, cpu, cuda or cuda:N (default: %(default)s)"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=AUTO, help="as the node's (default: %(default)s)"
    )
    parser.add_argument("--windows", default="", metavar="SIZE/STRIDE", help=WINDOWS_HELP)
    parser.add_argument(
        "--rounds", type=int, default=10, help="each times every part once (default: %(default)s)"
    )
    parser.add_argument("--classes", type=int, default=11, help="default: %(default)s")
    parser.add_argument(
        "--sweep",
        nargs="+",
        metavar=("WHAT", "VALUE"),
        help="time encoder and step alone at several values, in turn, of size, cameras, "
        "precision or a key of the config: --sweep time2general.clip_length 2 4 8 16",
    )
    parser.add_argument("--plot", type=Path, help="with --sweep: also draw it into this PNG")
    parser.add_argument(
        "--soak",
        type=int,
        metavar="N",
        help="instead stream N frames: does memory grow, does the step get slower?",
    )
    parser.add_argument(
        "--train",
        action="store_true",
        help="instead time a training iteration in several ways, in turn: fused AdamW, channels "
        "last, compiled encoder, and of adapters activations kept instead of computed again",
    )
    parser.add_argument(
        "--beside-load",
        action="store_true",
        help="instead time a step alone and beside a process that keeps all cores busy",
    )
    parser.add_argument(
        "--runtime",
        nargs="+",
        metavar="PATH[@DEVICE[/PRECISION]]",
        help="instead of a config: time checkpoints and exports, each in a process of its own, in "
        "turn; `shipped` is the shipped checkpoint: --runtime shipped@cpu/fp32 shipped_onnx "
        "shipped_onnx@openvino. With --beside-load each also beside a load",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--trace", type=Path, help="also profile one step into this file, for chrome://tracing"
    )


def run(args: argparse.Namespace) -> int:
    """Print the table, or the same as JSON."""
    if args.rounds < 1:
        raise ValueError(f"--rounds: expected at least 1, got {args.rounds}")
    if args.runtime:
        if args.windows:
            raise ValueError("--windows: expected a config beside it, got --runtime")
        return run_runtimes(args)
    if args.config is None:
        raise ValueError("expected a config, or --runtime with checkpoints or exports")
    device = find_device(args.device)
    mapping = load_mapping(args.config, args.changes)
    if args.train:
        config = read_config(mapping, Path(args.config).name)
        ways = measure_ways(config, args.classes, device, args.rounds)
        record = {"train": [asdict(way) for way in ways]}
        print(json.dumps(record) if args.json else ways_table(args.config, device, ways))
        return 0
    mapping.pop("train", None)
    if args.sweep:
        kind, *values = args.sweep
        points = run_sweep(mapping, kind, values, conditions_of(args, device))
        show(args, points)
        return 0
    config = read_config(mapping, Path(args.config).name)
    config = replace(config, input_size=parse_size(args.size, config))
    windows = read_windows(args.windows)
    segmenter = random_segmenter(config, args.classes, device, args.precision, windows)
    if args.soak is not None:
        found = soak(args.config, segmenter, config.input_size, args.soak)
        print(json.dumps(asdict(found)) if args.json else found)
        return 0
    if args.beside_load:
        shared = beside_load(config, segmenter, args.rounds)
        print(json.dumps(asdict(shared)) if args.json else shared)
        return 0
    bench = measure(args.config, config, segmenter, args.rounds, windows)
    if args.trace:
        write_trace(segmenter, config, args.trace)
    print(json.dumps(asdict(bench)) if args.json else as_table(bench))
    return 0


def run_runtimes(args: argparse.Namespace) -> int:
    """`--runtime`: print a table, or the same as JSON."""
    size = size_of(args.size) if args.size else None
    found = compare_runtimes(args.runtime, size, args.threads, args.rounds, args.beside_load)
    if args.json:
        print(json.dumps({"runtimes": [asdict(one) for one in found]}))
    else:
        print(runtime_table(found))
    return 0


def conditions_of(args: argparse.Namespace, device: str) -> Conditions:
    """What all points of a sweep share."""
    windows = read_windows(args.windows)
    return Conditions(args.size, args.classes, device, args.precision, windows, args.rounds)


def show(args: argparse.Namespace, points: list[Point]) -> None:
    """Print a sweep's table or the JSON; draw the plot where `args.plot` says."""
    kind = args.sweep[0]
    if args.json:
        print(json.dumps({"sweep": kind, "points": [asdict(point) for point in points]}))
    else:
        print(sweep_table(kind, points))
    if args.plot:
        plot(kind, points, args.plot)

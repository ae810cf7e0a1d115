# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""``t2g eval``: compare checkpoints on labelled video under several conditions in one run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from t2g_core.data.corruptions import CORRUPTIONS, SEEDINGS, SEVERITY
from t2g_core.data.datasets import NAMES
from t2g_core.device import AUTO, PRECISIONS
from t2g_core.evaluation.comparison import ALL_WEATHERS, EvaluateOptions, evaluate
from t2g_core.evaluation.evaluate import CLEAN
from t2g_core.evaluation.modes import MODES
from t2g_core.evaluation.tables import format_tables, write_report
from t2g_core.images.windows import WINDOWS_HELP
from t2g_core.metrics.sparse_consistency import STATIC_THRESHOLD


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``t2g eval``."""
    parser.description = (
        "Measure mIoU and video consistency (VC8, VC16) of checkpoints on labelled video. All "
        "figures are percentages from 0 to 100. VC is a mean over videos; `correct` asks for a "
        "constant and right prediction, `stable` for a constant one, `vspw` is VSPW's own script. "
        "Several processes (torchrun --nproc-per-node N -m t2g_core.cli eval ...) divide the "
        "videos under each weather among them, with the same scores."
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
    parser.add_argument(
        "--split",
        default="val",
        help="val:A,B: its recordings A and B alone, val:-A,B: all others (default: %(default)s)",
    )
    parser.add_argument(
        "--corruption",
        action="append",
        choices=(CLEAN, *CORRUPTIONS, ALL_WEATHERS),
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
    parser.add_argument("--windows", default="", metavar="SIZE/STRIDE", help=WINDOWS_HELP)
    parser.add_argument(
        "--frame-path",
        action="store_true",
        help="also evaluate what the pixel classifier of a checkpoint with a memory sees in each "
        "frame alone, without queries and memory (and its running means): what those bring",
    )
    parser.add_argument(
        "--device", default=AUTO, help="auto, cpu, cuda or cuda:N (default: %(default)s)"
    )
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
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="DIR",
        help="also write all checkpoints beside one another: methods.png, a row a condition, and "
        "timeline_CONDITION.png, neighbouring frames, in which flicker is seen along a row; "
        "panels.npz holds what they are made of",
    )


def run(args: argparse.Namespace) -> int:
    """Print the results of every checkpoint under every condition and return 0; of several
    processes the first does.

    Raises ``FileNotFoundError`` and ``ValueError`` for faulty data, files or options.
    """
    rows = evaluate(options_of(args))
    if not rows:
        return 0
    document = rows[0] if len(rows) == 1 else {"results": rows}
    print(json.dumps(document, indent=2) if args.json else format_tables(rows))
    if args.out:
        write_report(args.out, document, rows)
        print(f"results and pictures are in {args.out}", file=sys.stderr)
    return 0


def options_of(args: argparse.Namespace) -> EvaluateOptions:
    """The command line as `evaluate` takes it."""
    same = (
        "root data split severity seeding every weather mode frame_path device precision "
        "static_threshold classes without_depth windows out figures"
    )
    return EvaluateOptions(
        checkpoints=tuple(args.checkpoint or [None]),
        corruptions=tuple(args.corruption or [CLEAN]),
        running_means=tuple(args.running_mean),
        **{name: vars(args)[name] for name in same.split()},
    )

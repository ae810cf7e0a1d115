# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""``t2g ablate``: train and evaluate a list of configs under one set of seeds."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from t2g_core.config import Config, load_mapping, read_config, with_value
from t2g_core.data.corruptions import CORRUPTIONS, SEEDINGS, SEVERITY
from t2g_core.data.datasets import NAMES
from t2g_core.device import AUTO, find_device, find_precision
from t2g_core.evaluation.comparison import ALL_WEATHERS, EvaluateOptions, evaluate
from t2g_core.evaluation.evaluate import CLEAN
from t2g_core.evaluation.modes import MODES
from t2g_core.training.ablation_table import markdown, score_row, write_curves, write_tables
from t2g_core.training.train import TrainOptions, add_set, train

RESULTS = "results.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``t2g ablate``."""
    parser.add_argument("configs", nargs="+", type=Path, help="YAML files, a table row each")
    parser.add_argument(
        "--rows",
        type=Path,
        metavar="FILE",
        help="a YAML file of rows, each a name with the keys (section.key: value) that it changes "
        "of the one config",
    )
    parser.add_argument("--only", nargs="+", metavar="ROW", help="some of the rows of --rows")
    add_set(parser)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    parser.add_argument("--root", type=Path, required=True, help="the source data set's folder")
    parser.add_argument("--data", choices=NAMES, default="camvid", help="default: %(default)s")
    parser.add_argument(
        "--source-split",
        default="train",
        help="what is trained on, as --split of `t2g train` (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, required=True, help="runs and tables; goes on there")
    parser.add_argument("--cache", type=Path, help="folder for clips (default: OUT/clips)")
    parser.add_argument("--target", choices=NAMES, help="data set to evaluate (default: source)")
    parser.add_argument("--target-root", type=Path, help="its folder (default: --root)")
    parser.add_argument("--split", default="val", help="of the target (default: %(default)s)")
    parser.add_argument(
        "--corruption",
        action="append",
        choices=(CLEAN, *CORRUPTIONS, ALL_WEATHERS),
        help="as of `t2g eval` (default: clean)",
    )
    parser.add_argument("--severity", type=int, choices=range(1, 6), default=SEVERITY)
    parser.add_argument("--seeding", choices=SEEDINGS, default="frame", help="default: %(default)s")
    parser.add_argument("--mode", choices=MODES, default="stream", help="default: %(default)s")
    parser.add_argument(
        "--device", default=AUTO, help="auto, cpu, cuda or cuda:N (default: %(default)s)"
    )
    parser.add_argument("--frame-path", type=Path, metavar="CHECKPOINT", help="as of `t2g train`")
    parser.add_argument("--workers", type=int, default=0, help="as of `t2g train`")


def run(args: argparse.Namespace) -> int:
    """Train and evaluate what is not done yet, write the tables after each, print the last one."""
    configs = load_rows(args)
    if len(set(args.seeds)) < len(args.seeds):
        raise ValueError(f"--seeds must differ, got {args.seeds}")
    if args.target and args.target_root is None:
        raise ValueError("--target needs --target-root, the folder of that data set")
    args.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict] = []
    logs: dict[str, Path] = {}
    for seed in args.seeds:
        for name, config in configs.items():
            found = run_one(name, with_seed(config, seed), args)
            if found is None:
                return 130
            rows += [score_row(name, seed, row) for row in found]
            write_tables(args.out, rows)
            run = name if len(args.seeds) == 1 else f"{name}, seed {seed}"
            logs[run] = args.out / name / f"seed{seed}" / "log.csv"
            write_curves(args.out, logs)
    print(markdown(rows))
    return 0


def load_rows(args: argparse.Namespace) -> dict[str, Config]:
    """The configs of the table by the name of their row.

    Raises:
        ValueError: names that repeat, more than one config with --rows, an unknown row.
    """
    if args.rows is None:
        if args.only:
            raise ValueError("--only chooses rows of a file: it needs --rows")
        names = [path.stem for path in args.configs]
        if len(set(names)) < len(names):
            raise ValueError(f"configs must differ in their names, got {names}")
        mappings = {path.stem: load_mapping(path, args.changes) for path in args.configs}
        return {name: read_config(mapping, name) for name, mapping in mappings.items()}
    if len(args.configs) != 1:
        raise ValueError(f"--rows changes one config, got {len(args.configs)}")
    changes = load_mapping(args.rows)
    unknown = sorted(set(args.only or []) - set(changes))
    if unknown:
        raise ValueError(f"--only: no row {unknown[0]} in {args.rows}; it has {sorted(changes)}")
    base = load_mapping(args.configs[0], args.changes)
    return {name: read_row(base, changes[name], name) for name in args.only or changes}


def read_row(base: dict, changes: object, name: str) -> Config:
    """The base with a row's keys; ValueError names the row."""
    if not isinstance(changes, dict):
        raise ValueError(f"row {name}: expected a mapping of keys, got {changes!r}")
    for key, value in changes.items():
        base = with_value(base, key, value)
    return read_config(base, f"row {name}")


def run_one(name: str, config: Config, args: argparse.Namespace) -> list[dict] | None:
    """Rows of one config and seed; from its results file where that is of the very same run.

    None where Ctrl-C stopped the training.
    """
    out = args.out / name / f"seed{config.train.seed}"
    device = find_device(args.device)
    options = EvaluateOptions(
        root=args.target_root or args.root,
        checkpoints=(out / "model.safetensors",),
        data=args.target or args.data,
        split=args.split,
        corruptions=tuple(args.corruption or [CLEAN]),
        severity=args.severity,
        seeding=args.seeding,
        mode=args.mode,
        device=device,
        precision=find_precision(AUTO, device),
    )
    source = [args.data, args.source_split]
    key = {"config": config.as_mapping(), "source": source, **asdict(options)}
    key = json.loads(json.dumps(key, default=str))
    stored = out / RESULTS
    if stored.is_file():
        document = json.loads(stored.read_text())
        if document["key"] == key:
            print(f"{name}, seed {config.train.seed}: done already", file=sys.stderr)
            return document["rows"]
    if not train(config, training_options(out, args)):
        return None
    rows = evaluate(options)
    stored.write_text(json.dumps({"key": key, "rows": rows}, indent=2) + "\n")
    return rows


def with_seed(config: Config, seed: int) -> Config:
    """The same config under another seed."""
    if config.train is None:
        raise ValueError("a config of an ablation needs its section train")
    return replace(config, train=replace(config.train, seed=seed))


def training_options(out: Path, args: argparse.Namespace) -> TrainOptions:
    """What `t2g train` would be given; no validation, so that nothing is chosen by it."""
    return TrainOptions(
        root=args.root,
        out=out,
        data=args.data,
        split=args.source_split,
        cache=args.cache or args.out / "clips",
        frame_path=args.frame_path,
        device=args.device,
        validate_every=1_000_000,
        validation_frames=0,
        workers=args.workers,
    )

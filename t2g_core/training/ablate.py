"""``t2g ablate``: train and evaluate a list of configs under one set of seeds."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from t2g_core.config import Config, load_config
from t2g_core.data.corruptions import CORRUPTIONS, SEEDINGS, SEVERITY
from t2g_core.data.datasets import NAMES, open_dataset
from t2g_core.device import AUTO, find_precision
from t2g_core.evaluation.command import evaluate_all, load_segmenters
from t2g_core.evaluation.evaluate import CLEAN
from t2g_core.evaluation.modes import MODES
from t2g_core.metrics.sparse_consistency import STATIC_THRESHOLD
from t2g_core.training.ablation_table import markdown, score_row, write_tables
from t2g_core.training.train import train

RESULTS = "results.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``t2g ablate``."""
    parser.add_argument("configs", nargs="+", type=Path, help="YAML files, a table row each")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    parser.add_argument("--root", type=Path, required=True, help="the source data set's folder")
    parser.add_argument("--out", type=Path, required=True, help="runs and tables; goes on there")
    parser.add_argument("--cache", help="folder for encoded clips (default: OUT/clips)")
    parser.add_argument("--target", choices=NAMES, help="data set to evaluate (default: source)")
    parser.add_argument("--target-root", type=Path, help="its folder (default: --root)")
    parser.add_argument("--split", default="val", help="of the target (default: %(default)s)")
    parser.add_argument(
        "--corruption",
        action="append",
        choices=(CLEAN, *CORRUPTIONS, "all"),
        help="as of `t2g eval` (default: clean)",
    )
    parser.add_argument("--severity", type=int, choices=range(1, 6), default=SEVERITY)
    parser.add_argument("--seeding", choices=SEEDINGS, default="frame", help="default: %(default)s")
    parser.add_argument("--mode", choices=MODES, default="stream", help="default: %(default)s")
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument("--frame-path", type=Path, metavar="CHECKPOINT", help="as of `t2g train`")
    parser.add_argument("--workers", type=int, default=0, help="as of `t2g train`")


def run(args: argparse.Namespace) -> int:
    """Train and evaluate what is not done yet, write the tables after each, print the last one."""
    names = [path.stem for path in args.configs]
    if len(set(names)) < len(names) or len(set(args.seeds)) < len(args.seeds):
        raise ValueError(f"configs and seeds must differ, got {names} and {args.seeds}")
    configs = {path.stem: load_config(path) for path in args.configs}
    if args.target and args.target_root is None:
        raise ValueError("--target needs --target-root, the folder of that data set")
    args.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict] = []
    for seed in args.seeds:
        for name, config in configs.items():
            found = run_one(name, with_seed(config, seed), args)
            if found is None:
                return 130
            rows += [score_row(name, seed, row) for row in found]
            write_tables(args.out, rows)
    print(markdown(rows))
    return 0


def run_one(name: str, config: Config, args: argparse.Namespace) -> list[dict] | None:
    """Rows of one config and seed; from its results file where that is of the very same run.

    None where Ctrl-C stopped the training.
    """
    out = args.out / name / f"seed{config.train.seed}"
    source = config.train.dataset
    evaluation = argparse.Namespace(
        data=args.target or source,
        root=args.target_root or args.root,
        split=args.split,
        corruption=args.corruption,
        severity=args.severity,
        seeding=args.seeding,
        every=1,
        mode=args.mode,
        device=args.device,
        precision=find_precision(AUTO, args.device),
        without_depth=False,
        static_threshold=STATIC_THRESHOLD,
        classes="own",
        weather=None,
        out=None,
    )
    key = json.loads(json.dumps({"config": asdict(config), **vars(evaluation)}, default=str))
    stored = out / RESULTS
    if stored.is_file():
        document = json.loads(stored.read_text())
        if document["key"] == key:
            print(f"{name}, seed {config.train.seed}: done already", file=sys.stderr)
            return document["rows"]
    if not train(config, training_arguments(out, args)):
        return None
    dataset = open_dataset(evaluation.data, evaluation.root)
    segmenters = load_segmenters([out / "model.safetensors"], args.device, evaluation.precision)
    videos = dataset.load_videos(args.split)
    rows = evaluate_all(segmenters, videos, dataset.class_names, evaluation)
    stored.write_text(json.dumps({"key": key, "rows": rows}, indent=2) + "\n")
    return rows


def with_seed(config: Config, seed: int) -> Config:
    """The same config under another seed."""
    if config.train is None:
        raise ValueError("a config of an ablation needs its section train")
    return replace(config, train=replace(config.train, seed=seed))


def training_arguments(out: Path, args: argparse.Namespace) -> argparse.Namespace:
    """What `t2g train` would be given; no validation, so that nothing is chosen by it."""
    return argparse.Namespace(
        root=str(args.root),
        out=str(out),
        cache=args.cache or str(args.out / "clips"),
        frame_path=args.frame_path,
        device=args.device,
        save_every=200,
        validate_every=1_000_000,
        validation_frames=0,
        workers=args.workers,
    )

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g compare`: train and try every method of a plan alike, and write one report."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from t2g_core.compare.costs import Cost, measure_costs
from t2g_core.compare.page import write_page
from t2g_core.compare.plan import Plan, Target, read_plan
from t2g_core.compare.report import Score, as_markdown, mean_scores, write_tables
from t2g_core.device import AUTO, find_device, find_precision
from t2g_core.evaluation.comparison import EvaluateOptions, evaluate
from t2g_core.evaluation.figures import PANELS, Figures
from t2g_core.training.train import TrainOptions, train

MODEL, SCORES, COSTS = "model.safetensors", "scores.json", "costs.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``t2g compare``."""
    parser.description = (
        "Train every method of a plan on every source under the same budget, try all of them on "
        "the targets, measure what a step costs, and write report.html (one page with tables and "
        "pictures), report.md, scores.csv and report.json. A stopped run goes on where it was."
    )
    parser.add_argument("plan", type=Path, help="e.g. config/compare/camvid_and_street.yaml")
    parser.add_argument(
        "--root",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="a folder of the plan's sources and targets; repeat it for each name",
    )
    parser.add_argument("--out", type=Path, required=True, help="runs and report; goes on there")
    parser.add_argument("--cache", type=Path, help="folder for clips (default: OUT/clips)")
    parser.add_argument(
        "--device", default=AUTO, help="auto, cpu, cuda or cuda:N (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=0, help="as of `t2g train`")
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        help="times that each step is timed, 0: costs are left out (default: %(default)s)",
    )


@dataclass(frozen=True)
class Run:
    """A plan, its folders, and where and on what it runs."""

    plan: Plan
    roots: dict[str, Path]
    out: Path
    cache: Path
    device: str
    workers: int

    def folder(self, source: str, method: str, seed: int) -> Path:
        """Where a method's training is kept."""
        return self.out / "runs" / source / method / f"seed{seed}"


def run(args: argparse.Namespace) -> int:
    """Train, time and try what is not done yet; then write the report."""
    plan = read_plan(args.plan)
    roots = read_roots(args.root, plan)
    cache = args.cache or args.out / "clips"
    job = Run(plan, roots, args.out, cache, find_device(args.device), args.workers)
    args.out.mkdir(parents=True, exist_ok=True)
    for source, (seed, method) in itertools.product(plan.sources, plan.runs()):
        print(f"{method} on {source}, seed {seed}", file=sys.stderr)
        if not train_one(job, source, method, seed):
            return 130
    costs = costs_of(job, args.rounds) if args.rounds else []
    scores = [Score(**one) for seed in dict(plan.runs()) for one in try_all(job, seed)]
    scores += mean_scores(scores) if plan.mean else []
    write_tables(args.out, plan, scores, costs)
    write_page(args.out, args.plan.stem, plan, scores, costs)
    print(as_markdown(plan, scores, costs))
    print(f"the report is {args.out / 'report.html'}", file=sys.stderr)
    return 0


def costs_of(job: Run, rounds: int) -> list[Cost]:
    """Measured once for the plan's configs and the device."""
    found = keep(
        job.out / COSTS,
        {
            "configs": configs_of(job.plan),
            "device": job.device,
            "rounds": rounds,
            "windows": job.plan.windows,
        },
        lambda: [asdict(cost) for cost in measure_costs(job.plan, job.device, rounds)],
    )
    return [Cost(**one) for one in found]


def read_roots(words: list[str], plan: Plan) -> dict[str, Path]:
    """`NAME=DIR` of every folder that the plan names; ValueError where some are missing or more."""
    pairs = dict(word.partition("=")[::2] for word in words)
    missing, more = sorted(plan.roots() - set(pairs)), sorted(set(pairs) - plan.roots())
    if missing or more:
        raise ValueError(
            f"--root: expected NAME=DIR of {', '.join(sorted(plan.roots()))}, "
            f"got {', '.join(sorted(pairs)) or 'none'}"
        )
    for name, folder in pairs.items():
        if not Path(folder).is_dir():
            raise FileNotFoundError(f"--root {name}: no folder {folder}")
    return {name: Path(folder) for name, folder in pairs.items()}


def configs_of(plan: Plan) -> dict[str, dict]:
    """Of every method, on the first source."""
    source = next(iter(plan.sources))
    return {name: plan.config(name, 0, source).as_mapping() for name in plan.methods}


def train_one(job: Run, source: str, method: str, seed: int) -> bool:
    """Train or go on; False where Ctrl-C stopped it."""
    where = job.plan.sources[source]
    options = TrainOptions(
        root=job.roots[where.root],
        out=job.folder(source, method, seed),
        data=where.data,
        split=where.split,
        cache=job.cache,
        device=job.device,
        validate_every=1_000_000,
        validation_frames=0,
        workers=job.workers,
    )
    return train(job.plan.config(method, seed, source), options)


def try_all(job: Run, seed: int) -> list[dict]:
    """Scores of all methods of a seed on all targets."""
    methods = [method for one, method in job.plan.runs() if one == seed]
    found: list[dict] = []
    for name, target in job.plan.targets.items():
        for source in target.sources:
            found += try_one(job, source, name, seed, methods)
    return found


def try_one(job: Run, source: str, name: str, seed: int, methods: Sequence[str]) -> list[dict]:
    """Scores on a target of methods trained on a source; those that were tried before are kept,
    and the others evaluated in one run.
    """
    target = job.plan.targets[name]
    out = job.out / "tried" / f"{source}_{name}_seed{seed}"
    out.mkdir(parents=True, exist_ok=True)
    kept = json.loads((out / SCORES).read_text()) if (out / SCORES).is_file() else {}
    keys = {method: key_of(job, target, method, seed, source) for method in methods}
    missing = [m for m in methods if kept.get(m, {}).get("key") != keys[m]]
    if missing:
        files = {m: job.folder(source, m, seed) / MODEL for m in missing}
        rows = scores_of(evaluation(job, target, files, out), source, name, seed)
        for method in missing:
            own = [row for row in rows if owner(row["method"], missing) == method]
            kept[method] = {"key": keys[method], "rows": own}
            called = [row["method"] for row in own]
            Figures.joined([out / PANELS], called).save(out / f"{method}.npz")
        (out / SCORES).write_text(json.dumps(kept, indent=2) + "\n")
    rows = [row for method in methods for row in kept[method]["rows"]]
    names = list(dict.fromkeys(row["method"] for row in rows))
    Figures.joined([out / f"{method}.npz" for method in methods], names).write(out)
    return rows


def key_of(job: Run, target: Target, method: str, seed: int, source: str) -> dict:
    """All that the scores of a method on a target depend on."""
    plan, config = job.plan, job.plan.config(method, seed, source)
    variants = [plan.frame_path, *plan.running_means] if method == plan.reference else [False]
    root = str(job.roots[target.root])
    key = [config.as_mapping(), asdict(target), root, variants, job.device]
    return json.loads(json.dumps({"depends on": key}, default=str))


def owner(row: str, methods: Sequence[str]) -> str:
    """The method of which a row is, or is a variant: `REIN`, `REIN + mean 0.3`."""
    found = [m for m in methods if row == m or row.startswith((f"{m}, ", f"{m} + "))]
    return max(found, key=len)


def evaluation(job: Run, target: Target, files: dict[str, Path], out: Path) -> EvaluateOptions:
    """Some methods, their checkpoints by name, on one target in one run."""
    own = job.plan.reference in files
    return EvaluateOptions(
        root=job.roots[target.root],
        checkpoints=tuple(files.values()),
        names=tuple(files),
        data=target.data,
        split=target.split,
        corruptions=target.corruptions,
        severity=target.severity,
        seeding=target.seeding,
        every=target.every,
        mode=target.mode,
        running_means=job.plan.running_means if own else (),
        frame_path=job.plan.frame_path and own,
        variants_of=job.plan.reference,
        device=job.device,
        precision=find_precision(AUTO, job.device),
        windows=target.windows,
        figures=out,
    )


def scores_of(options: EvaluateOptions, source: str, target: str, seed: int) -> list[dict]:
    """Evaluate: a score for each method and condition."""
    return [
        asdict(
            Score(
                method=row["checkpoint"],
                source=source,
                target=target,
                condition=row["corruption"],
                seed=seed,
                miou=row["miou"],
                vc8=row["vc8"]["correct"],
                vc16=row["vc16"]["correct"],
                iou=row["iou"],
            )
        )
        for row in evaluate(options)
    ]


def keep(path: Path, key: dict, make) -> list[dict]:
    """What `make` gives, or gave before under the very same key."""
    key = json.loads(json.dumps(key, default=str))
    if path.is_file():
        document = json.loads(path.read_text())
        if document["key"] == key:
            return document["rows"]
    rows = make()
    path.write_text(json.dumps({"key": key, "rows": rows}, indent=2) + "\n")
    return rows

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Scores and costs of a comparison as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

from t2g_core.compare.costs import Cost
from t2g_core.compare.plan import Plan

NAMES = {"miou": "mIoU", "vc8": "VC8", "vc16": "VC16"}


@dataclass(frozen=True)
class Score:
    """One method, trained on a source under a seed, on a target under a condition: percent, or None
    where a score does not exist. iou: by class.
    """

    method: str
    source: str
    target: str
    condition: str
    seed: int
    miou: float | None
    vc8: float | None
    vc16: float | None
    iou: dict[str, float | None]


def mean_scores(scores: Sequence[Score]) -> list[Score]:
    """Of each method under a condition and a seed the mean over all sources and targets; a score,
    or a class, that one of them does not have is left out of them all.
    """
    keys = dict.fromkeys((s.method, s.condition, s.seed) for s in scores)
    found = []
    for key in keys:
        chosen = [s for s in scores if (s.method, s.condition, s.seed) == key]
        iou = {name: mean_of([s.iou.get(name) for s in chosen]) for name in chosen[0].iou}
        values = {name: average(chosen, name) for name in NAMES}
        found.append(Score(key[0], "all", "their mean", *key[1:], **values, iou=iou))
    return found


def tables_of(scores: Sequence[Score]) -> dict[str, list[list[str]]]:
    """A table for each source and target by its title: a row a method, a column a condition, cells
    `mIoU / VC8 / VC16`; the first line is the head.
    """
    tables: dict[str, list[list[str]]] = {}
    for source, target in dict.fromkeys((s.source, s.target) for s in scores):
        chosen = [s for s in scores if (s.source, s.target) == (source, target)]
        conditions = list(dict.fromkeys(s.condition for s in chosen))
        lines = [["method", *conditions]]
        for method in dict.fromkeys(s.method for s in chosen):
            cells = [
                cell([s for s in chosen if (s.method, s.condition) == (method, condition)])
                for condition in conditions
            ]
            lines.append([method, *cells])
        tables[f"{source} → {target}"] = lines
    return tables


def cell(scores: Sequence[Score]) -> str:
    """`72.3 / 97.1 / 97.5`: means over the seeds, ± their deviation where there are two or more."""
    return " / ".join(spread([getattr(s, name) for s in scores]) for name in NAMES)


def spread(values: Sequence[float | None]) -> str:
    """Mean and sample deviation; `-` where one does not exist."""
    if not values or None in values:
        return "-"
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def margins_of(plan: Plan, scores: Sequence[Score]) -> dict[str, list[list[str]]]:
    """By the titles of `tables_of`: by how much the plan's reference is ahead of the best of its
    other methods, a row a condition. Variants of the reference do not count as others.
    """
    others = [name for name in plan.methods if name != plan.reference]
    tables = {}
    for source, target in dict.fromkeys((s.source, s.target) for s in scores):
        chosen = [s for s in scores if (s.source, s.target) == (source, target)]
        lines = [["condition", *NAMES.values()]]
        for condition in dict.fromkeys(s.condition for s in chosen):
            found = [s for s in chosen if s.condition == condition]
            lines.append(
                [condition, *(margin(found, plan.reference, others, name) for name in NAMES)]
            )
        tables[f"{source} → {target}"] = lines
    return tables


def margin(scores: Sequence[Score], reference: str, others: Sequence[str], name: str) -> str:
    """`+2.3 to REIN`: means over the seeds; `-` where one does not exist."""
    own = average([s for s in scores if s.method == reference], name)
    found = {method: average([s for s in scores if s.method == method], name) for method in others}
    found = {method: value for method, value in found.items() if value is not None}
    if own is None or not found:
        return "-"
    best = max(found, key=found.get)
    return f"{own - found[best]:+.1f} to {best}"


def average(scores: Sequence[Score], name: str) -> float | None:
    """Mean of a score that all have; None without one."""
    return mean_of([getattr(score, name) for score in scores])


def mean_of(values: Sequence[float | None]) -> float | None:
    """Mean of values that are all there; None otherwise."""
    return None if not values or None in values else mean(values)


def of_seeds(seeds: Sequence[int]) -> str:
    """What a cell is a mean of."""
    if len(seeds) == 1:
        return f"One training a row, seed {seeds[0]}."
    return (
        f"Trained under the seeds {', '.join(map(str, seeds))}: a cell with ± is the mean of "
        f"those, ± their deviation, others are of seed {seeds[0]}."
    )


def cost_table(costs: Sequence[Cost]) -> list[list[str]]:
    """A row a method and kind of windows; the first line is the head."""
    head = [
        "method",
        "windows",
        "trainable",
        "GFLOPs a step",
        "step [s]",
        "step ÷ reference",
        "state",
        "peak memory",
    ]
    return [
        head,
        *(
            [
                cost.method,
                cost.windows,
                f"{cost.trainable / 1e6:.2f} M",
                f"{cost.gflops:.1f}",
                f"{cost.step_s:.3f}",
                f"{cost.over_reference:.2f}",
                f"{cost.state_bytes / 1e6:.1f} MB",
                f"{cost.peak_bytes / 1e9:.2f} GB",
            ]
            for cost in costs
        ),
    ]


def as_markdown(plan: Plan, scores: Sequence[Score], costs: Sequence[Cost]) -> str:
    """All tables."""
    margins = margins_of(plan, scores)
    parts = []
    for title, lines in tables_of(scores).items():
        ahead = f"{plan.reference} minus the best of the other methods:"
        parts.append(f"## {title}\n\n{grid(lines)}\n\n{ahead}\n\n{grid(margins[title])}")
    seeds = sorted({s.seed for s in scores})
    legend = f"mIoU / VC8 / VC16 in percent, VC in the reading `correct`. {of_seeds(seeds)}"
    parts += [f"## Cost of a step\n\n{grid(cost_table(costs))}"] if costs else []
    note = [plan.note.strip()] if plan.note else []
    return "\n\n".join([legend, *note, *parts]) + "\n"


def grid(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as a Markdown table."""
    head, *rest = ("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join([head, "|" + " --- |" * len(lines[0]), *rest])


def write_tables(folder: Path, plan: Plan, scores: Sequence[Score], costs: Sequence[Cost]) -> None:
    """Write ``report.md``, ``report.json``, and ``scores.csv`` with a line for each score."""
    (folder / "report.md").write_text(as_markdown(plan, scores, costs))
    document = {"scores": [asdict(s) for s in scores], "costs": [asdict(c) for c in costs]}
    (folder / "report.json").write_text(json.dumps(document, indent=2) + "\n")
    with (folder / "scores.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [n for n in Score.__dataclass_fields__ if n != "iou"])
        writer.writeheader()
        for score in scores:
            writer.writerow({n: v for n, v in asdict(score).items() if n != "iou"})

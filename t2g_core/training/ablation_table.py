# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Results of several configs under several seeds as one table, in Markdown and CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from t2g_core.training.run_state import read_log, smoothed

SCORES = ("mIoU", "mVC8", "mVC16")


def score_row(config: str, seed: int, row: dict) -> dict:
    """One config and seed under one condition, from a row of `t2g eval` (percent, or None)."""
    return {
        "config": config,
        "seed": seed,
        "condition": row["corruption"],
        "mIoU": row["miou"],
        "mVC8": row["vc8"]["correct"],
        "mVC16": row["vc16"]["correct"],
    }


def markdown(rows: Sequence[dict]) -> str:
    """A line a config: for each condition the scores' means over the seeds, ± their deviation.

    The deviation is the sample's (n - 1) and stands only where there are two seeds or more.
    """
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    configs = list(dict.fromkeys(row["config"] for row in rows))
    seeds = sorted({row["seed"] for row in rows})
    header = ["config", *(f"{c} {score}" for c in conditions for score in SCORES)]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for config in configs:
        cells = [
            _cell([r[score] for r in rows if (r["config"], r["condition"]) == (config, condition)])
            for condition in conditions
            for score in SCORES
        ]
        lines.append([config, *cells])
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    names = ", ".join(map(str, seeds))
    return f"{table}\n\nPercent; mVC in the reading `correct`; seeds {names}; ± over the seeds.\n"


def write_tables(folder: Path, rows: Sequence[dict]) -> None:
    """Write ``table.md``, and ``table.csv`` with a line for each config, seed and condition."""
    (folder / "table.md").write_text(markdown(rows))
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["config", "seed", "condition", *SCORES])
        writer.writeheader()
        writer.writerows(rows)


def write_curves(folder: Path, logs: dict[str, Path]) -> None:
    """Draw ``curves.png``: a panel a loss, a smoothed line a run.

    logs: ``log.csv`` of each run by the name of its row; runs that lack a loss have no line there.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    tables = {name: read_log(path) for name, path in logs.items()}
    losses = list(dict.fromkeys(loss for table in tables.values() for loss in table))
    figure, axes = plt.subplots(1, len(losses), figsize=(5 * len(losses), 4), squeeze=False)
    for axis, loss in zip(axes[0], losses, strict=True):
        for name, table in tables.items():
            if loss in table:
                axis.plot(*smoothed(*table[loss]), label=name)
        axis.set(title=f"{loss} loss", xlabel="iteration")
    axes[0][-1].legend()
    figure.tight_layout()
    figure.savefig(folder / "curves.png", dpi=100)
    plt.close(figure)


def _cell(scores: Sequence[float | None]) -> str:
    if not scores or None in scores:
        return "-"
    spread = f" ± {stdev(scores):.1f}" if len(scores) > 1 else ""
    return f"{mean(scores):.1f}{spread}"

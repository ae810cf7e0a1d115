# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A comparison as one HTML page that needs no other file: tables, and pictures of its scores."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from t2g_core import html
from t2g_core.compare.costs import Cost
from t2g_core.compare.plan import Plan
from t2g_core.compare.report import Score, average, cost_table, margins_of, of_seeds, tables_of
from t2g_core.training.ablation_table import write_curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_page(
    folder: Path, name: str, plan: Plan, scores: Sequence[Score], costs: Sequence[Cost]
) -> None:
    """Write ``report.html`` into the folder of a comparison.

    Pictures that the evaluation drew there, of frames and of neighbouring frames, are put in.
    """
    seeds = sorted({seed for seed, _ in plan.runs()})
    parts = [
        f"<h1>Comparison {escape(name)}</h1>",
        "<p>mIoU / VC8 / VC16 in percent. VC counts a pixel whose prediction is constant over the "
        f"window of frames and right. {of_seeds(seeds)}</p>",
        *(f"<p>{escape(text)}</p>" for text in plan.note.strip().split("\n\n") if text),
    ]
    margins = margins_of(plan, scores)
    for (title, lines), (source, target) in zip(
        tables_of(scores).items(), dict.fromkeys((s.source, s.target) for s in scores), strict=True
    ):
        chosen = [s for s in scores if (s.source, s.target) == (source, target)]
        parts += [f"<h2>{escape(title)}</h2>", html.table(lines)]
        ahead = f"{plan.reference} minus the best of the other methods"
        parts += [f"<p>{escape(ahead)}:</p>", html.table(margins[title])]
        parts.append(html.picture(stability(chosen), f"accuracy against stability, {title}"))
        parts.append(html.picture(classes(chosen), f"IoU of each class, {title}"))
        for seed in seeds:
            tried = folder / "tried" / f"{source}_{target}_seed{seed}"
            for path in sorted(tried.glob("*.png")):
                about = f"{path.stem.replace('_', ' ')}, {title}, seed {seed}"
                parts += [f"<h3>{escape(about)}</h3>", html.image(path.read_bytes(), about)]
    if costs:
        parts += ["<h2>Cost of a step</h2>", html.table(cost_table(costs))]
        parts.append(
            html.picture(against_cost(scores, costs), "accuracy against the time of a step")
        )
    curves = loss_curves(folder, plan)
    if curves:
        parts += ["<h2>Losses</h2>", html.image(curves, "losses of all trainings")]
    html.write_page(folder / "report.html", name, parts)


def stability(scores: Sequence[Score]) -> Figure:
    """mIoU against VC8, a panel a condition, a dot a method."""
    conditions = list(dict.fromkeys(s.condition for s in scores))
    figure, axes = panels(len(conditions))
    colours = colours_of(scores)
    for axis, condition in zip(axes, conditions, strict=False):
        for method in colours:
            found = [s for s in scores if (s.method, s.condition) == (method, condition)]
            dot(axis, method, colours[method], average(found, "vc8"), average(found, "miou"))
        axis.set(title=condition, xlabel="VC8 [%]", ylabel="mIoU [%]")
    legend(figure, axes[0])
    return figure


def against_cost(scores: Sequence[Score], costs: Sequence[Cost]) -> Figure:
    """Mean mIoU over all conditions against the time of a step, a panel a kind of windows."""
    kinds = list(dict.fromkeys(cost.windows for cost in costs))
    figure, axes = panels(len(kinds))
    colours = colours_of(scores)
    for axis, windows in zip(axes, kinds, strict=False):
        for cost in (c for c in costs if c.windows == windows):
            found = [s for s in scores if s.method == cost.method]
            colour = colours.get(cost.method)
            dot(axis, cost.method, colour, cost.over_reference, average(found, "miou"))
        title = "whole frames" if windows == "none" else f"windows {windows}"
        axis.set(title=title, xlabel="step ÷ the reference's step", ylabel="mean mIoU [%]")
    legend(figure, axes[0])
    return figure


def classes(scores: Sequence[Score]) -> Figure:
    """IoU by class under the first condition, a bar a method."""
    import numpy as np

    condition = scores[0].condition
    chosen = [s for s in scores if s.condition == condition]
    colours, names = colours_of(scores), list(chosen[0].iou)
    figure, (axis, *_) = panels(1, width=12)
    width = 0.8 / len(colours)
    for k, (method, colour) in enumerate(colours.items()):
        found = [s.iou for s in chosen if s.method == method]
        means = [mean([iou[name] or 0.0 for iou in found]) for name in names]
        axis.bar(np.arange(len(names)) + k * width, means, width, label=method, color=colour)
    axis.set_xticks(np.arange(len(names)) + 0.4, names, rotation=30, ha="right")
    axis.set(title=condition, ylabel="IoU [%]")
    legend(figure, axis)
    return figure


def colours_of(scores: Sequence[Score]) -> dict[str, tuple]:
    """A colour for each method, the same in every picture of the same methods."""
    from matplotlib import colormaps

    methods = dict.fromkeys(s.method for s in scores)
    return {method: colormaps["tab20"](k % 20) for k, method in enumerate(methods)}


def panels(count: int, width: float = 4.5) -> tuple[Figure, list]:
    """A figure of so many panels, three in a row; those that are left over are hidden."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = min(count, 3)
    rows = -(-count // columns)
    size = (width * columns, 4 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, list(axes.flat)


def dot(axis, label: str, colour: tuple | None, x: float | None, y: float | None) -> None:
    """A labelled dot, where both values exist."""
    if x is not None and y is not None:
        axis.scatter([x], [y], label=label, color=colour)


def legend(figure: Figure, axis) -> None:
    """What is in a panel, once for the whole figure, to its right."""
    handles, labels = axis.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5))


def loss_curves(folder: Path, plan: Plan) -> bytes | None:
    """The losses of all trainings as a PNG."""
    logs = {
        f"{method} on {source}, seed {seed}": folder / "runs" / source / method / f"seed{seed}"
        for source in plan.sources
        for seed, method in plan.runs()
    }
    found = {name: run / "log.csv" for name, run in logs.items() if (run / "log.csv").is_file()}
    if not found:
        return None
    write_curves(folder, found)
    return (folder / "curves.png").read_bytes()

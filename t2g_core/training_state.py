"""Resumable state, log and curves of a training run."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from t2g_core.config import Config

LOSSES = ("pixel", "set", "mtc")


def save_state(path: Path, iteration: int, config: Config, parts: dict) -> None:
    """Write everything that the rest of the trajectory depends on.

    parts: objects with a `state_dict`, by name. Random numbers need no state: every iteration
    seeds its own.
    """
    state = {
        "iteration": iteration,
        "config": json.dumps(asdict(config)),
        "versions": {"torch": str(torch.__version__), "numpy": np.__version__},
        "parts": {name: part.state_dict() for name, part in parts.items()},
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def resume(path: Path, config: Config, parts: dict) -> int:
    """Load the last state where there is one; returns the iteration to go on with, else 0.

    Raises:
        ValueError: the state belongs to another config.
    """
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    if state["config"] != json.dumps(asdict(config)):
        raise ValueError(f"{path} was trained with another config: choose another --out")
    for name, part in parts.items():
        part.load_state_dict(state["parts"][name])
    return state["iteration"]


def truncate_log(path: Path, iteration: int) -> None:
    """Drop the rows of iterations that a resumed run will do again."""
    if path.is_file():
        rows = path.read_text().splitlines(keepends=True)
        path.write_text("".join(row for row in rows if int(row.split(",")[0]) < iteration))


def log_losses(path: Path, iteration: int, losses: dict[str, torch.Tensor]) -> None:
    """One CSV row: the iteration, then the weighted losses in the order of LOSSES."""
    values = [f"{losses[name].item():.5f}" if name in losses else "" for name in LOSSES]
    with path.open("a", newline="") as file:
        csv.writer(file).writerow([iteration, *values])


def plot_curves(source: Path, path: Path) -> None:
    """The log as smoothed curves."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    table = np.genfromtxt(source, delimiter=",", ndmin=2)
    figure, axes = plt.subplots(1, len(LOSSES), figsize=(12, 3))
    for axis, name, values in zip(axes, LOSSES, table[:, 1:].T, strict=True):
        known = np.isfinite(values)
        if known.any():
            width = max(1, known.sum() // 50)
            smooth = np.convolve(values[known], np.ones(width) / width, mode="valid")
            axis.plot(table[known, 0][width - 1 :], smooth)
        axis.set_title(f"{name} loss")
        axis.set_xlabel("iteration")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)

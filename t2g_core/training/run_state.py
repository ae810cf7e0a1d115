"""Resumable state, log and curves of a training run."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from t2g_core.config import Config, from_mapping
from t2g_core.training.source import SourcePrints
from t2g_core.whole_files import replacing

LOSSES = ("pixel", "jaccard", "set", "mtc")
BEST_RECORD = "best.json"


def save_state(
    path: Path, iteration: int, config: Config, parts: dict, prints: SourcePrints
) -> None:
    """Write everything that the rest of the trajectory depends on.

    parts: objects with a `state_dict`, by name. Random numbers need no state: every iteration
    seeds its own.
    """
    state = {
        "iteration": iteration,
        "config": json.dumps(asdict(config)),
        "source": asdict(prints),
        "versions": {"torch": str(torch.__version__), "numpy": np.__version__},
        "parts": {name: part.state_dict() for name, part in parts.items()},
    }
    with replacing(path) as partial:
        torch.save(state, partial)


def resume(path: Path, config: Config, parts: dict, prints: SourcePrints, device: str) -> int:
    """Load the last state, where there is one; returns the iteration to go on with, else 0.

    A key that a later version added counts as having its default in an older state.

    Raises:
        ValueError: the state belongs to another config, other frames or other frozen weights.
    """
    if not path.is_file():
        return 0
    state = torch.load(path, map_location=device, weights_only=True)
    if from_mapping(Config, json.loads(state["config"]), str(path)) != config:
        raise ValueError(f"{path} was trained with another config: choose another --out")
    before = state.get("source", asdict(prints))  # an older state does not say
    for what, print_now in asdict(prints).items():
        if before[what] != print_now:
            raise ValueError(f"{path} was trained with other {what}: choose another --out")
    for name, part in parts.items():
        part.load_state_dict(state["parts"][name])
    return state["iteration"]


def best_so_far(out: Path) -> float:
    """The best validation score of a run, from 0 to 1; below 0 where there is none yet."""
    path = out / BEST_RECORD
    return json.loads(path.read_text())["miou"] if path.is_file() else -1.0


def keep_best(checkpoint: Path, score: float, iteration: int) -> bool:
    """Copy the checkpoint to best.safetensors where its score is the best of the run so far."""
    out = checkpoint.parent
    if not score > best_so_far(out):
        return False
    with replacing(out / "best.safetensors") as path:
        shutil.copyfile(checkpoint, path)
    record = {"miou": score, "iteration": iteration}
    with replacing(out / BEST_RECORD) as path:
        path.write_text(json.dumps(record) + "\n")
    return True


class TrainingLog:
    """log.csv, curves.png and TensorBoard's files of a run; rows from `first` on are done again."""

    def __init__(self, out: Path, first: int):
        from torch.utils.tensorboard import SummaryWriter  # seconds, only for training

        self.table, self.curves = out / "log.csv", out / "curves.png"
        truncate_log(self.table, first)
        self._board = SummaryWriter(out / "tensorboard", purge_step=first)

    def write(self, iteration: int, losses: dict[str, float], learning_rate: float) -> None:
        """One iteration: its weighted losses and its learning rate."""
        log_losses(self.table, iteration, losses)
        for name, value in losses.items():
            self._board.add_scalar(f"loss/{name}", value, iteration)
        self._board.add_scalar("learning_rate", learning_rate, iteration)

    def plot(self) -> None:
        """Draw the curves so far."""
        plot_curves(self.table, self.curves)
        self._board.flush()

    def close(self) -> None:
        """Finish TensorBoard's file."""
        self._board.close()


def truncate_log(path: Path, iteration: int) -> None:
    """Drop the rows of iterations that a resumed run will do again."""
    if path.is_file():
        rows = path.read_text().splitlines(keepends=True)
        with replacing(path) as partial:
            kept = (row for row in rows if int(row.split(",")[0]) < iteration)
            partial.write_text("".join(kept))


def log_losses(path: Path, iteration: int, losses: dict[str, float]) -> None:
    """One CSV row: the iteration, then the weighted losses in the order of LOSSES."""
    values = [f"{losses[name]:.5f}" if name in losses else "" for name in LOSSES]
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
    with replacing(path) as partial:
        figure.savefig(partial, dpi=100)
    plt.close(figure)

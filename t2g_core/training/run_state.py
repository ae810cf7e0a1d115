# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Resumable state, log and curves of a training run."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from t2g_core.config import Config, read_config
from t2g_core.training.source import Fingerprints
from t2g_core.whole_files import replacing

FORMAT = 2  # of a saved state
BEST_RECORD = "best.json"


def save_state(
    path: Path, iteration: int, config: Config, parts: dict, fingerprints: Fingerprints
) -> None:
    """Write everything that the rest of the trajectory depends on.

    parts: state dicts by name. Random numbers need no state: every iteration seeds its own.
    """
    state = {
        "format": FORMAT,
        "iteration": iteration,
        "config": json.dumps(config.as_mapping()),
        "source": asdict(fingerprints),
        "versions": {"torch": str(torch.__version__), "numpy": np.__version__},
        "parts": parts,
    }
    with replacing(path) as partial:
        torch.save(state, partial)


def load_state(path: Path, config: Config, fingerprints: Fingerprints) -> tuple[int, dict] | None:
    """The iteration that a stopped run goes on with, and its parts, on the CPU; None where nothing
    was saved. How many processes saved it does not matter.

    A key that a later version added counts as having its default in an older state.

    Raises:
        ValueError: the state belongs to another config, other frames or other frozen weights, or
            to a version that cannot be taken up.
    """
    if not path.is_file():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state.get("format") != FORMAT:
        raise ValueError(
            f"{path} was saved by another version of t2g_ros, which alone can go on: choose "
            "another --out"
        )
    if read_config(json.loads(state["config"]), str(path)) != config:
        raise ValueError(f"{path} was trained with another config: choose another --out")
    for what, fingerprint in asdict(fingerprints).items():
        if state["source"][what] != fingerprint:
            raise ValueError(f"{path} was trained with other {what}: choose another --out")
    return state["iteration"], state["parts"]


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
    """log.csv, curves.png and TensorBoard's files of a run; rows from `first` on are done again.

    names: of the losses that there may be, a column each after the iteration.
    """

    def __init__(self, out: Path, first: int, names: Sequence[str]):
        from torch.utils.tensorboard import SummaryWriter  # seconds, only for training

        self.table, self.curves, self.names = out / "log.csv", out / "curves.png", tuple(names)
        begin_log(self.table, first, self.names)
        self._board = SummaryWriter(out / "tensorboard", purge_step=first)

    def write(self, iteration: int, losses: dict[str, float], learning_rate: float) -> None:
        """One iteration: its weighted losses and its learning rate."""
        log_losses(self.table, iteration, losses, self.names)
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


def begin_log(path: Path, first: int, names: Sequence[str]) -> None:
    """Write the head of the table; of one that is there, drop rows that will be done again."""
    rows = path.read_text().splitlines(keepends=True)[1:] if path.is_file() else []
    with replacing(path) as partial:
        kept = (row for row in rows if int(row.split(",")[0]) < first)
        partial.write_text(",".join(["iteration", *names]) + "\n" + "".join(kept))


def log_losses(path: Path, iteration: int, losses: dict[str, float], names: Sequence[str]) -> None:
    """One CSV row: the iteration, then the weighted losses in the order of `names`."""
    values = [f"{losses[name]:.5f}" if name in losses else "" for name in names]
    with path.open("a", newline="") as file:
        csv.writer(file).writerow([iteration, *values])


def read_log(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By loss, the iterations that had it and its values; losses that no iteration had are left
    out.
    """
    names = path.read_text().partition("\n")[0].split(",")[1:]
    table = np.genfromtxt(path, delimiter=",", skip_header=1, ndmin=2)
    known = {name: np.isfinite(table[:, k]) for k, name in enumerate(names, start=1)}
    columns = {name: table[:, k] for k, name in enumerate(names, start=1)}
    return {n: (table[there, 0], columns[n][there]) for n, there in known.items() if there.any()}


def smoothed(iterations: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over a fiftieth of the values, at the last iteration of each."""
    width = max(1, len(values) // 50)
    return iterations[width - 1 :], np.convolve(values, np.ones(width) / width, mode="valid")


def plot_curves(source: Path, path: Path) -> None:
    """The log as smoothed curves, one a loss."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    found = read_log(source)
    figure, axes = plt.subplots(1, len(found), figsize=(3 * len(found), 3), squeeze=False)
    for axis, (name, curve) in zip(axes[0], found.items(), strict=True):
        axis.plot(*smoothed(*curve))
        axis.set(title=f"{name} loss", xlabel="iteration")
    figure.tight_layout()
    with replacing(path) as partial:
        figure.savefig(partial, dpi=100)
    plt.close(figure)

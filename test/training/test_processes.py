# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Several processes under torchrun and one alone train alike, and one that is lost is replaced."""

from __future__ import annotations

import csv
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from small_model import small_config, stages
from small_runs import RUNNER, brightness_videos, environment, options, plain, torchrun_words

from t2g_core.processes import Processes, Share
from t2g_core.schedule import TEMPORAL
from t2g_core.training.train import micro_batches, train


def write_run(folder: Path, head: str, accumulate: int, **changes):
    """A config, its data and a program that trains it; the config."""
    brightness_videos(folder / "data")
    config = small_config(head)
    usual = {"stages": stages(3), "cached_clips": 4, "points": 256}
    config = replace(config, train=replace(config.train, accumulate=accumulate, **usual | changes))
    (folder / "config.yaml").write_text(yaml.safe_dump(plain(config.as_mapping())))
    (folder / "runner.py").write_text(RUNNER)
    return config


def torchrun(
    folder: Path, out: Path | str, processes: int, *words: object, runner: str = "runner.py"
):
    """Start `t2g train` in several processes."""
    own = ["train", folder / "config.yaml", "--root", folder / "data", "--out", out]
    own += ["--validation-frames", "0", "--device", "cpu"]
    restarts = [word for word in words if str(word).startswith("--max-restarts")]
    others = [word for word in words if word not in restarts]
    return subprocess.Popen(
        list(map(str, [*torchrun_words(processes), *restarts, folder / runner, *own, *others])),
        env=environment(**{"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"} if restarts else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        text=True,
    )


def finished(process: subprocess.Popen) -> str:
    """What it printed, once it has ended well."""
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output[-3000:]
    return output


def rows_of(run: Path) -> list[dict[str, float]]:
    """The losses of a run, by iteration."""
    with (run / "log.csv").open() as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def assert_alike(one: Path, other: Path) -> None:
    """Losses agree to 1e-3 of their size, weights to 2e-3.

    float16 of the checkpoint alone is 5e-4 of a value; AdamW's first steps have the size of the
    learning rate whatever the gradient, so rounding shows where a gradient is near zero.
    """
    for alone, together in zip(rows_of(one), rows_of(other), strict=True):
        assert alone == pytest.approx(together, rel=1e-3, abs=1e-4)
    weights = [load_file(run / "model.safetensors") for run in (one, other)]
    for name, value in weights[0].items():
        found = weights[1][name].float()
        torch.testing.assert_close(value.float(), found, rtol=1e-3, atol=2e-3, msg=name)


@pytest.mark.parametrize(
    ("head", "processes"),
    [
        ("time2general", 2),
        ("rein", 2),
        ("time2general", 3),
        ("time2general", 4),
    ],
)
@pytest.mark.long  # two of them, and a lost one, are tested below
def test_several_processes_give_the_run_of_one(tmp_path, head, processes):
    """The same micro-batches, their gradients averaged; three share four of them unevenly.

    The consistency loss's trimmed mean is one of the losses: it is taken in each micro-batch.
    """
    accumulate = 2 if processes == 2 else 4
    config = write_run(tmp_path, head, accumulate)
    finished(torchrun(tmp_path, "several", processes))
    torch.manual_seed(2)
    train(config, options(tmp_path / "data", tmp_path / "one"))
    assert_alike(tmp_path / "one", tmp_path / "several")
    kept = [
        sorted(path.relative_to(tmp_path / run) for path in (tmp_path / run / "clips").rglob("*"))
        for run in ("one", "several")
    ]
    assert set(kept[0]) <= set(kept[1])  # the same cache, and nothing of the processes left
    assert not list((tmp_path / "several" / "clips").glob(".process*"))


DIES_TWICE = (
    "import os, pathlib, signal\n"
    "os.makedirs(os.environ['RANK'], exist_ok=True)\n"
    "os.chdir(os.environ['RANK'])\n"
    "import t2g_core.training.train as module\n"
    "real = module.accumulate_gradients\n"
    "def accumulate(loss, batches, config, iteration, *rest):\n"
    "    mark = pathlib.Path(__file__).with_name(f'died_{iteration}')\n"
    "    if iteration in (3, 5) and os.environ['RANK'] == '1' and not mark.exists():\n"
    "        mark.touch()\n"
    "        os.kill(os.getpid(), signal.SIGKILL)\n"
    "    return real(loss, batches, config, iteration, *rest)\n"
    "module.accumulate_gradients = accumulate\n"
)


def test_a_run_goes_on_after_a_process_was_killed_and_with_another_number_of_them(tmp_path):
    """Torchrun starts both anew, once, which go on from the last state; one alone ends the run.

    Each process has a folder of its own, as on machines that share no disk: the state is with the
    first one alone.

    A stage of the temporal parts, whose frame path is not trained, is followed by one of all.
    """
    changes = {"stages": stages(2, trains=TEMPORAL) + stages(4)}
    config = write_run(tmp_path, "time2general", 2, **changes)
    (tmp_path / "dies.py").write_text(DIES_TWICE + RUNNER)
    words = ("--save-every", "2", "--max-restarts=1")
    process = torchrun(tmp_path, "lost", 2, *words, runner="dies.py")
    output, _ = process.communicate(timeout=240)
    assert process.returncode != 0, output[-3000:]
    assert (tmp_path / "died_3").exists() and (tmp_path / "died_5").exists()
    torch.manual_seed(2)
    assert not list((tmp_path / "1" / "lost").glob("*.pt"))
    assert train(config, options(tmp_path / "data", tmp_path / "0" / "lost"))
    torch.manual_seed(2)
    train(config, options(tmp_path / "data", tmp_path / "one"))
    assert_alike(tmp_path / "one", tmp_path / "0" / "lost")
    assert [row["iteration"] for row in rows_of(tmp_path / "0" / "lost")] == list(range(6))


def test_processes_share_the_micro_batches(monkeypatch):
    config = replace(small_config().train, accumulate=2)
    assert list(micro_batches(3, config, Processes("cpu"))) == [6, 7]
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "1")
    second = Processes("cpu")
    config = replace(config, accumulate=5)
    assert list(micro_batches(3, config, second)) == [16, 19] and not second.first
    assert second.share() == Share(1, 3)


def test_fewer_micro_batches_than_processes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="train.accumulate: expected at least the 2 processes"):
        train(small_config(), options(tmp_path / "data", tmp_path / "one"))


def test_restarts_that_may_hang_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    with pytest.raises(ValueError, match="TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        Processes("cpu")


SLOW_VALIDATION = (
    "import datetime, functools, time\n"
    "from torch import distributed\n"
    "import t2g_core.training.train as module\n"
    "limit = datetime.timedelta(seconds=5)\n"
    "distributed.init_process_group = functools.partial(\n"
    "    distributed.init_process_group, timeout=limit\n"
    ")\n"
    "module.validate = lambda *_: time.sleep(8) or 'slow'\n"
)


@pytest.mark.long
def test_a_validation_may_take_longer_than_a_sum_over_the_processes(tmp_path):
    """The others wait for it with another patience than for gradients, here five seconds."""
    write_run(tmp_path, "linear", 2, stages=stages(2))
    (tmp_path / "slow.py").write_text(SLOW_VALIDATION + RUNNER)
    words = ("--validate-every", "1")
    output = finished(torchrun(tmp_path, "out", 2, *words, runner="slow.py"))
    assert "iteration 1: slow" in output and "iteration 2: slow" in output

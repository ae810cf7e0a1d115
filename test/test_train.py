"""`t2g train` on a tiny data set: it learns, writes what it says, and resumes exactly."""

from __future__ import annotations

import argparse
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from small_model import small_config
from test_clips import write_camvid

from t2g_core.train import balanced_weights, learning_rate_factor, train


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


def arguments(root, out) -> argparse.Namespace:
    return argparse.Namespace(
        root=str(root), out=str(out), cache=None, device="cpu", save_every=2, validate_every=100,
        validation_frames=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("camvid")
    write_camvid(root)
    return root


@pytest.mark.parametrize("head", ["time2general", "conv"])
def test_a_killed_run_resumes_on_the_same_trajectory(data, tmp_path, monkeypatch, head):
    config = small_config(head)
    torch.manual_seed(2)  # the random encoder
    train(config, arguments(data, tmp_path / "whole"))

    import t2g_core.train as module

    real, calls = module.log_losses, []

    def killed_at_third(*args):
        calls.append(args)
        if len(calls) == 4:
            raise Killed
        real(*args)

    monkeypatch.setattr(module, "log_losses", killed_at_third)
    torch.manual_seed(2)
    with pytest.raises(Killed):
        train(config, arguments(data, tmp_path / "parts"))
    monkeypatch.setattr(module, "log_losses", real)
    torch.manual_seed(2)
    train(config, arguments(data, tmp_path / "parts"))

    whole, parts = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    logs = [(tmp_path / run / "log.csv").read_text() for run in ("whole", "parts")]
    assert logs[0] == logs[1]
    assert len(logs[0].splitlines()) == config.train.iterations
    assert (tmp_path / "whole" / "curves.png").stat().st_size > 1000


def test_the_loss_falls(data, tmp_path):
    config = small_config()
    config = replace(config, train=replace(config.train, iterations=40, cached_clips=2))
    torch.manual_seed(2)
    train(config, arguments(data, tmp_path))
    rows = (tmp_path / "log.csv").read_text().splitlines()
    pixel = [float(row.split(",")[1]) for row in rows]
    assert sum(pixel[-5:]) < 0.9 * sum(pixel[:5])


def test_another_config_does_not_continue_a_run(data, tmp_path):
    config = small_config("linear")
    train(config, arguments(data, tmp_path))
    other = replace(config, train=replace(config.train, learning_rate=0.5))
    with pytest.raises(ValueError, match="another config: choose another --out"):
        train(other, arguments(data, tmp_path))


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_batch(data, tmp_path):
    config = small_config("linear")
    config = replace(config, train=replace(config.train, pixel_weight=float("nan")))
    with pytest.raises(FloatingPointError, match="at iteration 0"):
        train(config, arguments(data, tmp_path))
    assert (tmp_path / "nan_batch.pt").is_file()


def test_class_weights_by_hand(tmp_path):
    videos = write_camvid(tmp_path)
    weights = balanced_weights(videos, 11, exponent=0.0)
    torch.testing.assert_close(weights, torch.ones(11))
    assert balanced_weights(videos, 12, exponent=0.5)[11] == 0.0  # a class without a pixel


def test_learning_rate_warms_up_and_ends_at_zero():
    config = replace(small_config().train, iterations=100, warmup=10)
    assert learning_rate_factor(config, 0) == pytest.approx(0.1)
    assert learning_rate_factor(config, 50) == pytest.approx(0.5**0.9)
    assert learning_rate_factor(config, 100) == 0.0

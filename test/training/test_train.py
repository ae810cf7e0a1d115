"""`t2g train` on a tiny data set: it learns, writes what it says, and resumes exactly."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from small_model import small_config
from small_runs import arguments, brightness_videos

from t2g_core.training.losses import pixel_loss
from t2g_core.training.run_state import best_so_far, keep_best
from t2g_core.training.train import balanced_weights, learning_rate_factor, train


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("camvid")
    brightness_videos(root)
    return root


@pytest.mark.parametrize("head", ["time2general", "no_memory", "conv"])
def test_a_killed_run_resumes_on_the_same_trajectory(data, tmp_path, monkeypatch, head):
    config = small_config(head)
    torch.manual_seed(2)  # the random encoder
    train(config, arguments(data, tmp_path / "whole"))

    import t2g_core.training.train as module

    real, calls = module.share, []

    def killed_at_third(*args):
        calls.append(args)
        if len(calls) == 4:
            raise Killed
        return real(*args)

    monkeypatch.setattr(module, "share", killed_at_third)
    torch.manual_seed(2)
    with pytest.raises(Killed):
        train(config, arguments(data, tmp_path / "parts"))
    monkeypatch.setattr(module, "share", real)
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
    config = replace(config, train=replace(config.train, cycles=(40,), cached_clips=2))
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
    videos = brightness_videos(tmp_path)
    weights = balanced_weights(videos, 11, exponent=0.0)
    torch.testing.assert_close(weights, torch.ones(11))
    assert balanced_weights(videos, 12, exponent=0.5)[11] == 0.0  # a class without a pixel


def test_learning_rate_warms_up_and_ends_at_zero():
    config = replace(small_config().train, cycles=(100,), warmup=10)
    assert learning_rate_factor(config, 0) == pytest.approx(0.1)
    assert learning_rate_factor(config, 50) == pytest.approx(0.5**0.9)
    assert learning_rate_factor(config, 100) == 0.0


def test_learning_rate_restarts_at_half_its_height():
    config = replace(small_config().train, cycles=(100, 40), warmup=0)
    assert config.iterations == 140
    assert learning_rate_factor(config, 100) == pytest.approx(0.5)
    assert learning_rate_factor(config, 120) == pytest.approx(0.5 * 0.5**0.9)
    assert learning_rate_factor(config, 140) == 0.0


def test_ctrl_c_saves_and_the_same_command_goes_on(data, tmp_path, monkeypatch):
    import t2g_core.training.train as module

    config = small_config("conv")
    torch.manual_seed(2)
    assert train(config, arguments(data, tmp_path / "whole"))

    real = module.accumulate_gradients

    def interrupted(loss, batches, config, iteration, *rest):
        if iteration == 2:
            signal.raise_signal(signal.SIGINT)
        return real(loss, batches, config, iteration, *rest)

    monkeypatch.setattr(module, "accumulate_gradients", interrupted)
    torch.manual_seed(2)
    before = signal.getsignal(signal.SIGINT)
    args = arguments(data, tmp_path / "parts")
    args.save_every = 100
    assert not train(config, args)
    assert signal.getsignal(signal.SIGINT) is before
    assert torch.load(tmp_path / "parts" / "last.pt", weights_only=True)["iteration"] == 3
    monkeypatch.setattr(module, "accumulate_gradients", real)
    torch.manual_seed(2)
    assert train(config, args)
    whole, parts = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_state_without_a_key_of_today_goes_on(data, tmp_path):
    """As one that an earlier version saved: the key counts as its default."""
    config = small_config("linear")
    train(config, arguments(data, tmp_path))
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    older = json.loads(state["config"])
    del older["train"]["accumulate"]
    torch.save(state | {"config": json.dumps(older)}, tmp_path / "last.pt")
    assert train(config, arguments(data, tmp_path))
    other = replace(config, train=replace(config.train, accumulate=2))
    with pytest.raises(ValueError, match="another config"):
        train(other, arguments(data, tmp_path))


def test_the_best_validation_is_kept_beside_the_last(data, tmp_path):
    checkpoint = tmp_path / "model.safetensors"
    for iteration, score, content in ((1, 0.4, b"a"), (2, 0.6, b"b"), (3, 0.5, b"c")):
        checkpoint.write_bytes(content)
        assert keep_best(checkpoint, score, iteration) == (iteration < 3)
    assert (tmp_path / "best.safetensors").read_bytes() == b"b"
    assert best_so_far(tmp_path) == 0.6


def test_validation_and_tensorboard_of_a_run(data, tmp_path):
    shutil.copytree(data / "train", data / "val", dirs_exist_ok=True)
    args = arguments(data, tmp_path)
    args.validation_frames, args.validate_every = 2, 2
    train(small_config("linear"), args)
    record = json.loads((tmp_path / "best.json").read_text())
    assert record["iteration"] in (2, 4) and (tmp_path / "best.safetensors").is_file()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    logged = [event.value for event in events.Scalars("loss/pixel")]
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert logged == pytest.approx([float(row.split(",")[1]) for row in rows], abs=1e-5)


def test_workers_change_nothing(data, tmp_path):
    config = small_config("conv")
    config = replace(config, train=replace(config.train, cached_clips=0, plain_share=0.0))
    for workers in (0, 1):
        torch.manual_seed(2)
        args = arguments(data, tmp_path / str(workers))
        args.workers = workers
        train(config, args)
    alone, helped = (load_file(tmp_path / run / "model.safetensors") for run in ("0", "1"))
    assert all(torch.equal(alone[name], helped[name]) for name in alone)


def test_a_batch_without_a_label_costs_nothing():
    probs = torch.full((1, 1, 3, 4, 4), 1 / 3, requires_grad=True)
    loss = pixel_loss(probs, torch.full((1, 1, 16, 16), 255), torch.ones(3))
    loss.backward()
    assert loss == 0 and (probs.grad == 0).all()

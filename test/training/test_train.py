# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g train` on a tiny data set: it learns, writes what it says, and resumes exactly."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import yaml
from dataset_trees import write_apolloscape, write_camvid_full, write_kitti360
from PIL import Image
from safetensors.torch import load_file
from small_model import small_config, small_method, stages, write_small_checkpoint
from small_runs import brightness_videos, options, plain

from t2g_core.checkpoint import load_checkpoint
from t2g_core.config import Config
from t2g_core.labels import CAMVID_CLASSES
from t2g_core.losses.common import pixel_loss
from t2g_core.methods.method import Method
from t2g_core.schedule import FRAME_PATH, TEMPORAL
from t2g_core.training.run_state import best_so_far, keep_best
from t2g_core.training.train import (
    balanced_weights,
    begin_from,
    learning_rate,
    make_optimizer,
    take_frame_path,
    train,
)


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("camvid")
    brightness_videos(root)
    return root


@pytest.mark.parametrize(
    "head", ["time2general", "no_memory", "conv", "rein", "depthforge", "ssp", "tv3s"]
)
def test_a_killed_run_resumes_on_the_same_trajectory(data, tmp_path, monkeypatch, head):
    config = small_config(head)
    torch.manual_seed(2)  # the random encoder
    train(config, options(data, tmp_path / "whole"))

    import t2g_core.training.train as module

    real, calls = module.total_of, []

    def killed_at_third(*args):
        calls.append(args)
        if len(calls) == 4:
            raise Killed
        return real(*args)

    monkeypatch.setattr(module, "total_of", killed_at_third)
    torch.manual_seed(2)
    with pytest.raises(Killed):
        train(config, options(data, tmp_path / "parts"))
    monkeypatch.setattr(module, "total_of", real)
    torch.manual_seed(2)
    train(config, options(data, tmp_path / "parts"))

    whole, parts = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    logs = [(tmp_path / run / "log.csv").read_text() for run in ("whole", "parts")]
    assert logs[0] == logs[1]
    assert len(logs[0].splitlines()) == 1 + config.train.iterations
    assert (tmp_path / "whole" / "curves.png").stat().st_size > 1000
    assert (tmp_path / "whole" / "crops.png").stat().st_size > 1000


def test_the_loss_falls(data, tmp_path, device):
    config = small_config()
    config = replace(
        config, train=replace(config.train, stages=stages(40, learning_rate=4e-3), cached_clips=2)
    )
    torch.manual_seed(2)
    train(config, options(data, tmp_path, device=device))
    rows = (tmp_path / "log.csv").read_text().splitlines()[1:]
    pixel = [float(row.split(",")[1]) for row in rows]
    assert sum(pixel[-5:]) < 0.9 * sum(pixel[:5])


def test_another_config_does_not_continue_a_run(data, tmp_path):
    config = small_config("linear")
    train(config, options(data, tmp_path))
    other = replace(config, train=replace(config.train, stages=stages(4, learning_rate=0.5)))
    with pytest.raises(ValueError, match="another config: choose another --out"):
        train(other, options(data, tmp_path))


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_batch(data, tmp_path):
    config = small_config("linear")
    config = replace(config, train=replace(config.train, pixel_weight=float("nan")))
    with pytest.raises(FloatingPointError, match="at iteration 0"):
        train(config, options(data, tmp_path))
    assert (tmp_path / "nan_batch.pt").is_file()


def test_an_output_that_is_not_a_number_keeps_the_batch(data, tmp_path, monkeypatch):
    """Queries of NaN: the matching, which cannot take them, is not what fails."""
    from t2g_core.methods.time2general.time2general import Time2General

    begin = Time2General.begin_training

    def poisoned(self, *args):
        begin(self, *args)
        with torch.no_grad():
            self.head.stability_queries.queries.fill_(float("nan"))

    monkeypatch.setattr(Time2General, "begin_training", poisoned)
    config = small_config()
    config = replace(config, train=replace(config.train, stages=stages(2)))
    with pytest.raises(FloatingPointError, match="not finite at iteration 0; its batch is"):
        train(config, options(data, tmp_path))
    assert torch.load(tmp_path / "nan_batch.pt")[0]["features"][0].ndim == 4


def test_class_weights_by_hand():
    assert balanced_weights(np.array([3, 1]), exponent=0.0).tolist() == [1, 1]
    weights = balanced_weights(np.array([900, 100, 0]), exponent=0.5)  # f^-0.5: 1.054, 3.162
    mean = 0.9 * 0.9**-0.5 + 0.1 * 0.1**-0.5
    assert weights.tolist() == pytest.approx([0.9**-0.5 / mean, 0.1**-0.5 / mean, 0.0])


def test_a_run_is_taken_up_on_its_device(data, tmp_path, device):
    config = small_config("linear")
    for iterations in (2, 2):
        torch.manual_seed(2)
        config = replace(config, train=replace(config.train, stages=stages(iterations)))
        train(config, options(data, tmp_path, device=device))
    assert (tmp_path / "model.safetensors").is_file()


def test_a_run_does_not_go_on_with_other_frames_or_weights(data, tmp_path):
    config = small_config("linear")
    torch.manual_seed(2)
    train(config, options(data, tmp_path / "run"))
    with pytest.raises(ValueError, match="with other weights: choose another --out"):
        train(config, options(data, tmp_path / "run"))  # the random encoder is another one
    root = tmp_path / "other"
    shutil.copytree(data, root)
    image = next((root / "train" / "images").iterdir())
    image.write_bytes(image.read_bytes() + b"\0")
    torch.manual_seed(2)
    with pytest.raises(ValueError, match="with other frames: choose another --out"):
        train(config, options(root, tmp_path / "run"))


def test_a_run_that_is_over_by_its_state_has_its_model(data, tmp_path, monkeypatch):
    """Killed anywhere after the last iteration: the same command ends with the model there."""
    import t2g_core.training.train as module

    def killed(*_):
        raise Killed

    for name in ("save_checkpoint", "save_state", "validate"):
        out = tmp_path / name
        torch.manual_seed(2)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(module, name, killed)
            train(small_config("linear"), options(data, out, save_every=100))
        assert not list(out.glob(".*partial*"))
        torch.manual_seed(2)
        train(small_config("linear"), options(data, out))
        assert (out / "model.safetensors").is_file()


@pytest.mark.parametrize("fault", ["size", "torn"])
def test_faulty_files_are_found_before_the_first_iteration(data, tmp_path, fault):
    root = tmp_path / "camvid"
    shutil.copytree(data, root)
    label = sorted((root / "train" / "labels").iterdir())[3]
    if fault == "size":
        cv2.imwrite(str(label), np.zeros((5, 6), np.uint8))
    else:
        label.write_bytes(label.read_bytes()[:60])
    with pytest.raises(ValueError, match=f"(?s)1 faulty files:.*{label.name}"):
        train(small_config("linear"), options(root, tmp_path / "run"))


def test_a_missing_validation_split_is_found_at_the_start(data, tmp_path):
    with pytest.raises(FileNotFoundError, match="val"):
        train(small_config("linear"), options(data, tmp_path, validation_frames=2))
    assert not (tmp_path / "log.csv").exists()


def test_ctrl_c_before_the_loop_ends_at_once_with_a_sentence(data, tmp_path, monkeypatch, capsys):
    import t2g_core.training.train as module
    from t2g_core.cli import main

    monkeypatch.setattr(module, "check_source", lambda *_: signal.raise_signal(signal.SIGINT))
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(plain(small_config("linear").as_mapping())))
    words = ["train", config, "--root", data, "--out", tmp_path, "--validation-frames", 0]
    assert main([str(word) for word in words]) == 130
    assert capsys.readouterr().err.endswith("t2g train: stopped\n")


def test_learning_rate_warms_up_and_ends_at_zero():
    config = replace(small_config().train, stages=stages(100, learning_rate=2.0), warmup=10)
    assert learning_rate(config, 0) == pytest.approx(2 * 0.1)
    assert learning_rate(config, 50) == pytest.approx(2 * 0.5**0.9)
    assert learning_rate(config, 100) == 0.0


def test_each_stage_has_a_learning_rate_of_its_own():
    both = stages(100, learning_rate=1.0) + stages(40, learning_rate=0.5)
    config = replace(small_config().train, stages=both, warmup=0)
    assert config.iterations == 140
    assert learning_rate(config, 100) == pytest.approx(0.5)
    assert learning_rate(config, 120) == pytest.approx(0.5 * 0.5**0.9)
    assert learning_rate(config, 140) == 0.0


def test_a_stage_of_the_frame_path_leaves_the_rest_as_it_was(data, tmp_path):
    """The pixels learn; neither decoder nor pixel memory does, and no set loss is computed."""
    config = small_config()
    alone = stages(2, frames_per_clip=1, trains=FRAME_PATH)
    train(replace(config, train=replace(config.train, stages=alone)), options(data, tmp_path))
    found = load_file(tmp_path / "model.safetensors")
    encoder = small_method().encoder
    torch.manual_seed(config.train.seed)
    fresh = config.build_method(encoder, 11)
    fresh.head.stability_queries.text.copy_(found["head.stability_queries.text"])
    fresh = fresh.trained_state()
    moved = {name for name, value in fresh.items() if not torch.equal(value.half(), found[name])}
    assert (
        "head.pixel_classifier.context.weight" in moved and "head.fusion.context8.0.weight" in moved
    )
    untouched = ("decoder", "pixel_memory", "stability_queries")
    assert not [name for name in moved if any(part in name for part in untouched)]
    assert all(row.endswith(",,") for row in (tmp_path / "log.csv").read_text().splitlines()[1:])


def test_a_stage_of_the_temporal_parts_leaves_the_averaged_frame_path_as_it_was(data, tmp_path):
    """Its batch norms too: they are those of plain frames, whatever the clips hold."""
    config = small_config()
    frames = stages(2, frames_per_clip=1, trains=FRAME_PATH, plain_share=1.0)
    rates = {"resting": 0.0, "learning": 1e-2}
    for name, rate in rates.items():
        clips = stages(2, learning_rate=rate, trains=TEMPORAL, plain_share=0.0, dropout=0.5)
        run = replace(config, train=replace(config.train, stages=frames + clips))
        torch.manual_seed(2)  # the random encoder
        train(run, options(data, tmp_path / name))
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in rates)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"head.to_class.weight", "head.pixel_memory.retention.2.weight"} <= moved
    temporal = ("stability_queries", "decoder", "query_norm", "to_class", "to_mask", "to_pixels")
    temporal += ("pixel_memory",)
    assert not [name for name in moved if name.split(".")[1] not in temporal]


def test_a_frame_path_is_taken_from_a_checkpoint_and_the_rest_is_trained(data, tmp_path):
    config = small_config()
    frames = stages(2, frames_per_clip=1, trains=FRAME_PATH)
    whole = replace(config, train=replace(config.train, stages=frames + stages(2, trains=TEMPORAL)))
    torch.manual_seed(2)  # the random encoder
    train(whole, options(data, tmp_path / "first"))
    checkpoint = tmp_path / "first" / "model.safetensors"
    torch.manual_seed(2)
    train(whole, options(data, tmp_path / "second", frame_path=checkpoint))
    first, second = (load_file(tmp_path / n / "model.safetensors") for n in ("first", "second"))
    path = load_checkpoint(checkpoint).build().frame_path_state()
    weights = [name for name in path if "running" not in name and "num_batches" not in name]
    assert "head.pixel_classifier.context.weight" in weights and "standardize.mean" in weights
    assert all(torch.equal(first[name], second[name]) for name in weights)
    assert len((tmp_path / "second" / "log.csv").read_text().splitlines()) == 1 + 2
    for changed, sentence in (
        (small_config("queries_alone"), "another frame path, first head.fusion"),
        (replace(config, train=replace(config.train, stages=frames)), "the frame path alone"),
    ):
        with pytest.raises(ValueError, match=sentence):
            train(changed, options(data, tmp_path / sentence[:9], frame_path=checkpoint))


def test_a_run_begins_with_the_weights_of_a_checkpoint_and_new_parts_begin_new(data, tmp_path):
    config, larger = small_config(), small_config("stem")
    torch.manual_seed(2)  # the random encoder
    train(config, options(data, tmp_path / "first"))
    checkpoint = tmp_path / "first" / "model.safetensors"
    given = load_checkpoint(checkpoint).build().trained_state()
    methods = [build_small(larger) for _ in range(2)]
    new = begin_from(checkpoint, methods)
    assert new and all("stem" in name or name.endswith("detail") for name in new)
    for method in methods:
        own = method.trained_state()
        assert all(torch.equal(own[name], weight) for name, weight in given.items())
    torch.manual_seed(2)
    train(larger, options(data, tmp_path / "second", begin_from=checkpoint))
    assert len((tmp_path / "second" / "log.csv").read_text().splitlines()) == 1 + 4
    with pytest.raises(ValueError, match="the config none"):
        begin_from(tmp_path / "second" / "model.safetensors", [build_small(config)])


def build_small(config: Config) -> Method:
    return config.build_method(config.build_encoder("cpu"), len(CAMVID_CLASSES))


@pytest.mark.parametrize(
    "changes",
    [
        {"write_back": "none"},
        {"text_bias": "mean"},
        {"attention": "deformable"},
        {"num_blocks": 1},
        {"pixel_memory": False},
        {"clip_length": 1, "pixel_memory": False},
    ],
)
def test_rows_that_change_queries_decoder_or_memory_stand_on_one_frame_path(changes, tmp_path):
    """As pixels come from the tokens; text may be missing too."""
    path = tmp_path / "model.safetensors"
    write_small_checkpoint(path)
    config = small_config()
    given = load_checkpoint(path).build().frame_path_state()
    for text in (config.method.text, None):
        changed = replace(config, method=replace(config.method, text=text, **changes))
        method = changed.build_method(small_method().encoder, 11)
        assert take_frame_path(path, [method], config.train) == 2
        state = method.state_dict()
        assert all(torch.equal(state[name], value) for name, value in given.items())


def test_a_frame_by_frame_head_has_no_temporal_stage():
    config = small_config("conv")
    with pytest.raises(ValueError, match="has no temporal parts"):
        replace(config, train=replace(config.train, stages=stages(2, trains=TEMPORAL)))


def test_a_stage_of_the_frame_path_needs_a_pixel_classifier(data, tmp_path):
    config = small_config("queries_alone")
    with pytest.raises(ValueError, match="needs time2general.pixel_classifier"):
        train(config, options(data, tmp_path))


def test_ctrl_c_saves_and_the_same_command_goes_on(data, tmp_path, monkeypatch):
    import t2g_core.training.train as module

    config = small_config("conv")
    torch.manual_seed(2)
    assert train(config, options(data, tmp_path / "whole"))

    real = module.accumulate_gradients

    def interrupted(loss, batches, config, iteration, *rest):
        if iteration == 2:
            signal.raise_signal(signal.SIGINT)
        return real(loss, batches, config, iteration, *rest)

    monkeypatch.setattr(module, "accumulate_gradients", interrupted)
    torch.manual_seed(2)
    before = signal.getsignal(signal.SIGINT)
    args = options(data, tmp_path / "parts", save_every=100)
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
    torch.manual_seed(2)  # the random encoder
    train(config, options(data, tmp_path))
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    older = json.loads(state["config"])
    del older["train"]["accumulate"]
    torch.save(state | {"config": json.dumps(older)}, tmp_path / "last.pt")
    torch.manual_seed(2)
    assert train(config, options(data, tmp_path))
    other = replace(config, train=replace(config.train, accumulate=2))
    torch.manual_seed(2)
    with pytest.raises(ValueError, match="another config"):
        train(other, options(data, tmp_path))


def test_the_best_validation_is_kept_beside_the_last(data, tmp_path):
    checkpoint = tmp_path / "model.safetensors"
    for iteration, score, content in ((1, 0.4, b"a"), (2, 0.6, b"b"), (3, 0.5, b"c")):
        checkpoint.write_bytes(content)
        assert keep_best(checkpoint, score, iteration) == (iteration < 3)
    assert (tmp_path / "best.safetensors").read_bytes() == b"b"
    assert best_so_far(tmp_path) == 0.6


def test_validation_and_tensorboard_of_a_run(data, tmp_path):
    shutil.copytree(data / "train", data / "val", dirs_exist_ok=True)
    args = options(data, tmp_path, validation_frames=2, validate_every=2)
    train(small_config("linear"), args)
    record = json.loads((tmp_path / "best.json").read_text())
    assert record["iteration"] in (2, 4)
    for name in ("best", "model"):  # how sure it is on the validation frames
        confidence = load_checkpoint(tmp_path / f"{name}.safetensors").source_confidence
        assert 1 / len(CAMVID_CLASSES) < confidence <= 1
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    logged = [event.value for event in events.Scalars("loss/pixel")]
    rows = (tmp_path / "log.csv").read_text().splitlines()[1:]
    assert logged == pytest.approx([float(row.split(",")[1]) for row in rows], abs=1e-5)


def test_depth_gates_learn_at_a_rate_of_their_own_and_do_not_decay():
    """Decay would pull beta back to a half, and one scalar at the stage's rate hardly moves."""
    config = small_config("depth")
    method = replace(config.method, depth_gate_rate=30.0, pixel_memory_rate=10.0)
    built = replace(config, method=method).build_method(
        replace(config, method=method).build_encoder(), 11
    )
    (stage,) = stages(1)
    groups = make_optimizer(built, stage, config.train, None).param_groups
    found = [(len(g["params"]), g["rate"], g["weight_decay"]) for g in groups]
    assert found[1:] == [(6, 10.0, 0.05), (2, 30.0, 0.0)] and found[0][1:] == (1.0, 0.05)
    assert sum(count for count, *_ in found) == len(list(built.head.parameters()))


def test_a_dry_run_looks_at_everything_and_trains_nothing(data, tmp_path, capsys):
    config = small_config()
    assert train(config, options(data, tmp_path, dry_run=True))
    out = capsys.readouterr().out
    assert "camvid, split train: 1 videos, 6 frames, 6 labelled" in out
    assert "frames of 90x60, 96x64 at inference; in a crop of 96x64 things are 1.1 to 2" in out
    assert "Time2General: 0." in out and "s an iteration" in out and "peak memory" in out
    with Image.open(tmp_path / "crops.png") as sheet:
        assert sheet.width == 4 * 96 and sheet.height > 2 * 64
    assert not list(tmp_path.glob("*.safetensors")) and not (tmp_path / "last.pt").exists()
    assert not (tmp_path / "log.csv").exists()


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("kitti360", write_kitti360),
        ("apolloscape", write_apolloscape),
        ("camvid15", write_camvid_full),
    ],
)
def test_a_dry_run_on_each_of_the_papers_sources(name, write, tmp_path, capsys):
    """Small trees in their layout; every command of docs/reproduce.md begins so."""
    root = write(tmp_path / "data")
    config = small_config("queries_alone")
    changes = {"clip_frames": 2, "strides": (1,)}
    changes["stages"] = stages(4, frames_per_clip=2, plain_share=0.0)  # crops alone, as the paper's
    method = replace(config.method, clip_length=2)
    config = replace(config, method=method, train=replace(config.train, **changes))
    assert train(config, options(root, tmp_path / "out", data=name, dry_run=True))
    assert f"{name}, split train: " in capsys.readouterr().out
    assert (tmp_path / "out" / "crops.png").stat().st_size > 1000


def test_workers_change_nothing(data, tmp_path):
    config = small_config("conv")
    config = replace(
        config, train=replace(config.train, cached_clips=0, stages=stages(4, plain_share=0.0))
    )
    for workers in (0, 1):
        torch.manual_seed(2)
        args = options(data, tmp_path / str(workers), workers=workers)
        train(config, args)
    alone, helped = (load_file(tmp_path / run / "model.safetensors") for run in ("0", "1"))
    assert all(torch.equal(alone[name], helped[name]) for name in alone)


def drawn_anew(head: str = "conv"):
    """A config whose clips are not kept, with the field's distortion."""
    config = small_config(head)
    changes = {"cached_clips": 0, "distortion": "photometric"}
    changes |= {"stages": stages(4, plain_share=0.5)}
    return replace(config, train=replace(config.train, **changes))


def assert_close_runs(one, other):
    """Losses of the first iteration to a hundredth: AdamW enlarges the rest of the difference."""
    rows = [(run / "log.csv").read_text().splitlines()[1] for run in (one, other)]
    found = [[float(x) for x in row.split(",") if x] for row in rows]
    assert found[0] == pytest.approx(found[1], rel=1e-2)


@pytest.mark.parametrize("head", ["conv", "time2general"])
def test_clips_distorted_on_the_device_train_alike(data, tmp_path, device, head):
    for name, chosen in (("workers", False), ("device", True)):
        torch.manual_seed(2)
        args = options(data, tmp_path / name, device=device, distort_on_device=chosen)
        assert train(drawn_anew(head), args)
    assert_close_runs(tmp_path / "workers", tmp_path / "device")
    kept = replace(drawn_anew(), train=replace(drawn_anew().train, cached_clips=2))
    with pytest.raises(ValueError, match="--distort-on-device: expected.*cached_clips 0, got"):
        train(kept, options(data, tmp_path / "kept", distort_on_device=True))


@pytest.mark.parametrize(
    "ways", [("fused", "channels-last"), pytest.param(("compile",), marks=pytest.mark.long)]
)
def test_ways_to_run_faster_train_alike_and_go_on_from_one_another(data, tmp_path, ways):
    for name, chosen in (("plain", ()), ("ways", ways)):
        torch.manual_seed(2)
        assert train(drawn_anew(), options(data, tmp_path / name, ways=chosen))
    assert_close_runs(tmp_path / "plain", tmp_path / "ways")
    state = torch.load(tmp_path / "ways" / "last.pt", weights_only=True)
    torch.save(state | {"iteration": 3}, tmp_path / "ways" / "last.pt")
    torch.manual_seed(2)
    assert train(drawn_anew(), options(data, tmp_path / "ways"))  # without them


def test_a_batch_without_a_label_costs_nothing():
    probs = torch.full((1, 1, 3, 4, 4), 1 / 3, requires_grad=True)
    loss = pixel_loss(probs, torch.full((1, 1, 16, 16), 255), torch.ones(3))
    loss.backward()
    assert loss == 0 and (probs.grad == 0).all()

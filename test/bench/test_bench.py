# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g bench`: its arithmetic by hand, and the command on small models."""

from __future__ import annotations

import json
import mmap
import time

import pytest
import torch
import yaml
from small_checkpoint import write_vit_s_checkpoint
from small_model import small_config
from small_runs import plain
from torch import nn

from t2g_core.bench.meters import Meters
from t2g_core.bench.soak import soak
from t2g_core.bench.timing import ratio, timing
from t2g_core.cli import main


@pytest.fixture
def config_file(tmp_path):
    def write(head: str = "time2general"):
        path = tmp_path / f"{head}.yaml"
        path.write_text(yaml.safe_dump(plain(small_config(head).as_mapping())))
        return path

    return write


def test_ratios_are_those_of_rounds_not_of_medians():
    assert ratio([2.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == 2.0  # the slow round changes nothing
    found = timing([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.median_s, found.p10_s, found.p90_s) == (3.0, 1.4, 4.6)


class Sleep(nn.Module):
    def forward(self, x):
        time.sleep(0.02)
        return x


def test_meters_add_up_what_a_module_takes_and_leave_it_as_it_was():
    module = Sleep()
    with Meters({"sleep": module, "idle": Sleep()}, time.perf_counter) as meters:
        for _ in range(3):
            module(1)
    module(1)
    assert 0.06 <= meters.spent["sleep"] < 0.2 and meters.spent["idle"] == 0.0


def test_the_command_as_json(config_file, capsys):
    words = ["bench", str(config_file()), "--rounds", "3", "--size", "64x48"]
    words += ["--set", "time2general.clip_length=2"]
    assert main([*words, "--precision", "fp32", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["size"], found["precision"]) == (2, [64, 48], "fp32")
    assert found["ratios"]["step_over_encoder"] > 1
    assert found["frames_per_s"] == pytest.approx(
        1 / found["timings"]["streaming step"]["median_s"]
    )
    parts = found["parts_of_step"]
    assert {"RGB encoder", "Stability Queries", "memory decoder", "pixel fusion", "rest"} <= set(
        parts
    )
    assert sum(parts.values()) == pytest.approx(1, abs=0.4)  # medians of shares
    assert found["gflops_of_step"] > 0 and found["rate_share"] > 0 and found["peak_bytes"] > 1e8


@pytest.mark.parametrize("head", ["depth", "conv"])
def test_the_table_and_a_trace(head, config_file, tmp_path, capsys):
    trace = tmp_path / "trace.json"
    assert main(["bench", str(config_file(head)), "--rounds", "1", "--trace", str(trace)]) == 0
    out = capsys.readouterr().out
    assert "step_over_encoder" in out and "% of the rate of a matrix product" in out
    assert ("depth encoder" in out) == (head == "depth")
    assert json.loads(trace.read_text())["traceEvents"]


def test_a_long_stream_keeps_its_memory(config_file, capsys):
    words = ["bench", str(config_file()), "--soak", "200", "--size", "64x48", "--precision", "fp32"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["size"]) == (200, [64, 48])
    assert abs(found["late_bytes"] - found["early_bytes"]) < 20e6 < found["late_bytes"]
    assert 0 < found["late_step_s"] < 10 * found["early_step_s"]
    assert main([*words]) == 0
    assert "200 frames streamed" in capsys.readouterr().out


def test_a_step_beside_load_takes_longer_and_says_how_long(config_file, capsys):
    words = ["bench", str(config_file()), "--rounds", "3", "--size", "64x48", "--threads", "1"]
    try:
        assert main([*words, "--beside-load", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["threads"] == 1 and found["ratio"] > 0 and found["cores"] >= 1
        assert main([*words, "--beside-load"]) == 0
        assert "1 threads" in capsys.readouterr().out
        assert main([*words[:-1], "-1"]) == 2
        assert "threads: expected 0 or more, got -1" in capsys.readouterr().err
    finally:
        torch.set_num_threads(2)


def test_a_soak_reports_the_frames_that_are_kept_for_ever():
    """A segmenter that leaks a megabyte a frame, in pages of its own: on the heap it would first
    fill what earlier tests have freed.
    """

    class Leaking:
        device, precision = "cpu", "fp32"

        def start(self):
            return []

        def step(self, image, state):
            pages = mmap.mmap(-1, 1_000_000)
            pages.write(b"1" * 1_000_000)
            return None, [*state, pages]

    found = soak("leaking", Leaking(), (32, 16), 100)
    assert 60e6 < found.late_bytes - found.early_bytes < 100e6


def test_wrong_numbers_are_named(config_file, capsys):
    assert main(["bench", str(config_file()), "--rounds", "0"]) == 2
    assert main(["bench", str(config_file()), "--soak", "5"]) == 2
    err = capsys.readouterr().err
    for sentence in (
        "--soak: expected at least 20",
        "--rounds: expected at least 1",
    ):
        assert sentence in err


@pytest.mark.parametrize(
    "sweep",
    [
        ["time2general.clip_length", "1", "3"],
        ["time2general.pixels_from", "tokens", "maps"],
        ["time2general.pixel_memory", "true", "false"],
        ["size", "64x48"],
        ["cameras", "1", "2"],
        ["precision", "fp32", "bf16"],
        ["time2general.depth", "{weights: random}", "null"],
    ],
)
def test_a_sweep_times_every_value_in_one_run(sweep, config_file, tmp_path, capsys):
    picture = tmp_path / "sweep.png"
    words = ["bench", str(config_file()), "--rounds", "2", "--precision", "fp32", "--json"]
    assert main([*words, "--plot", str(picture), "--sweep", *sweep]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [found["sweep"], *(point["value"] for point in found["points"])] == sweep
    assert found["points"][0]["step_over_first"] == 1.0
    assert all(point["step_over_encoder"] > 0.2 for point in found["points"])
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize(
    ("sweep", "sentence"),
    [
        (["size"], "expected what and its values"),
        (["time2general.legs", "4"], "unknown key legs; known are"),
        (["clip_length", "4"], "unknown key clip_length; known are"),
        (["time2general.clip_length", "x"], "clip_length: expected int, got 'x'"),
        (["time2general.clip_length", "0"], "clip_length: expected 1 or more, got 0"),
        (["time2general.pixels_from", "both"], "pixels_from: expected maps or tokens, got 'both'"),
        (["cameras", "0"], "above 0"),
        (["precision", "int8"], "expected some of"),
    ],
)
def test_a_sweep_that_cannot_be_is_said(sweep, sentence, config_file, capsys):
    assert main(["bench", str(config_file()), "--sweep", *sweep]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.long
def test_runtimes_are_timed_each_in_a_process_of_its_own(tmp_path, capsys):
    write_vit_s_checkpoint(tmp_path / "small.safetensors")
    spec = f"{tmp_path / 'small.safetensors'}@cpu/fp32"
    words = ["bench", "--runtime", spec, spec, "--size", "64x48", "--rounds", "1"]
    assert main([*words, "--beside-load", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["runtimes"]
    assert first["step_ratio"] == first["encoder_ratio"] == 1 and first["runs_on"] == "cpu, fp32"
    assert 0.1 < second["step_ratio"] < 10 and second["beside_load"] > 0.5
    assert 0 < first["encoder_s"] < first["step_s"] < first["first_mask_s"]
    assert 1e8 < first["resident_bytes"] < 4e9


@pytest.mark.long
def test_the_table_of_runtimes(tmp_path, capsys):
    write_vit_s_checkpoint(tmp_path / "small.safetensors")
    spec = f"{tmp_path / 'small.safetensors'}@cpu/fp32"
    assert main(["bench", "--runtime", spec, "--size", "64x48", "--rounds", "1"]) == 0
    assert "first mask" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--runtime", "absent"], "--runtime: no checkpoint or export absent"),
        (["--runtime", "a@b@c"], "expected PATH[@DEVICE[/PRECISION]], got 'a@b@c'"),
        (["--runtime", "shipped@gpu"], "device: expected auto, cpu,"),
        ([], "expected a config, or --runtime with checkpoints or exports"),
    ],
)
def test_what_cannot_be_timed_is_said(words, sentence, capsys):
    assert main(["bench", *words]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.long
def test_ways_to_train_are_timed_beside_the_plain_one(config_file, capsys):
    """Of an adapter also with its activations kept; the compiler needs half a minute."""
    words = ["bench", str(config_file("rein")), "--train", "--rounds", "2"]
    assert main([*words, "--json"]) == 0
    ways = {way["name"]: way for way in json.loads(capsys.readouterr().out)["train"]}
    assert list(ways) == [
        "plain",
        "fused AdamW",
        "channels last",
        "compiled encoder",
        "activations kept",
    ]
    assert ways["plain"]["step_ratio"] == 1.0 and ways["plain"]["encode_ratio"] is None
    assert all(0.01 < way["step_ratio"] < 100 for way in ways.values())


def test_a_training_that_cannot_be_timed_is_said(tmp_path, capsys):
    config = small_config()
    path = tmp_path / "config.yaml"
    mapping = plain(config.as_mapping())
    del mapping["train"]
    path.write_text(yaml.safe_dump(mapping))
    assert main(["bench", str(path), "--train"]) == 2
    assert "--train: the config has no section train" in capsys.readouterr().err

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g compare`: a plan of two methods, two targets and a report that needs no other file."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest
import yaml
from dataset_trees import (
    write_apolloscape,
    write_camvid_full,
    write_cityscapes,
    write_kitti360,
)
from safetensors.torch import save_file
from small_model import ENCODER, small_config, stages
from small_runs import brightness_videos, plain

from t2g_core.cli import main
from t2g_core.compare.costs import Cost
from t2g_core.compare.page import write_page
from t2g_core.compare.plan import MethodPlan, Plan, read_plan
from t2g_core.compare.report import Score, cell, margins_of, mean_scores, tables_of
from t2g_core.encoders.frozen_vit import FrozenEncoder
from t2g_core.evaluation.figures import Figures

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CONFIGS = Path(__file__).parents[1] / "config" / "compare"
PLANS = sorted(CONFIGS.glob("*.yaml"))


def score(method: str, seed: int, miou: float | None, condition: str = "clean") -> Score:
    return Score(method, "a", "b", condition, seed, miou, 50.0, None, {"road": 1.0})


def test_cells_are_means_over_the_seeds_by_hand():
    assert cell([score("x", 0, 10.0), score("x", 1, 14.0)]) == "12.0 ± 2.8 / 50.0 ± 0.0 / -"
    assert cell([score("x", 0, None)]) == "- / 50.0 / -"
    lines = tables_of([score("x", 0, 1.0), score("x", 0, 2.0, "fog"), score("y", 0, 3.0)])["a → b"]
    assert lines == [
        ["method", "clean", "fog"],
        ["x", "1.0 / 50.0 / -", "2.0 / 50.0 / -"],
        ["y", "3.0 / 50.0 / -", "- / - / -"],
    ]


def test_the_mean_over_targets_is_of_those_that_all_have():
    scores = [score("x", 0, 10.0), replace(score("x", 0, 30.0), target="c", vc8=None)]
    (found,) = mean_scores(scores)
    assert (found.source, found.target, found.miou, found.vc8) == ("all", "their mean", 20.0, None)
    assert found.iou == {"road": 1.0} and found.seed == 0


def test_how_far_the_reference_is_ahead_of_the_best_other_method():
    scores = [score("x", 0, 12.0), score("x", 1, 14.0), score("y", 0, 11.5), score("z", 0, 9.0)]
    scores += [score("x, frame path", 0, 99.0), score("y", 0, 15.0, "fog")]
    methods = {name: MethodPlan("a.yaml") for name in "xyz"}
    assert margins_of(Plan(methods, {}, {}, "x"), scores)["a → b"] == [
        ["condition", "mIoU", "VC8", "VC16"],
        ["clean", "+1.5 to y", "+0.0 to y", "-"],
        ["fog", "-", "-", "-"],
    ]


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_plans_of_the_repository_can_be_read(path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1])
    plan = read_plan(path)
    assert plan.reference in plan.methods and plan.roots()


TREES = {
    "camvid": (write_camvid_full,),
    "apolloscape": (write_apolloscape, partial(write_apolloscape, split="val")),
    "kitti360": (write_kitti360, partial(write_kitti360, split="val", numbers=(400, 401))),
    "cityscapes": (write_cityscapes,),
}


@pytest.mark.long
@pytest.mark.parametrize("table", [1, 2, 3, 4])
def test_the_papers_tables_on_small_trees_of_their_data_sets(table, tmp_path, monkeypatch, capsys):
    """The plans as they are, but for a small method in the place of theirs."""
    mapping = yaml.safe_load((CONFIGS / f"table{table}.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    save_file(FrozenEncoder(ENCODER).vit.state_dict(), tmp_path / "encoder.safetensors")
    config = small_config("conv")
    encoder = replace(config.encoder, weights=str(tmp_path / "encoder.safetensors"))
    train = replace(config.train, strides=(1,), clip_frames=2, stages=stages(1, frames_per_clip=2))
    Path("conv.yaml").write_text(
        yaml.safe_dump(plain(replace(config, encoder=encoder, train=train).as_mapping()))
    )
    for target in mapping["targets"].values():
        target["corruptions"] = ["clean"]
    mapping |= {"reference": "conv", "methods": {"conv": {"config": "conv.yaml"}}}
    Path("plan.yaml").write_text(yaml.safe_dump(mapping))
    words = ["compare", "plan.yaml", "--out", "out", "--rounds", "0"]
    for name in read_plan(Path("plan.yaml")).roots():
        for write in TREES[name]:
            write(tmp_path / name)
        words += ["--root", f"{name}={name}"]
    assert main(words) == 0
    out = capsys.readouterr().out
    pairs = [(s, n) for n, t in mapping["targets"].items() for s in t["sources"]]
    assert "Cost" not in out
    assert all(f"## {source} → {target}" in out for source, target in pairs)
    assert len(json.loads(Path("out/report.json").read_text())["scores"]) == len(pairs)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Two methods on six frames, which are their own targets."""
    monkeypatch.chdir(tmp_path)
    brightness_videos(tmp_path / "data")
    shutil.copytree(tmp_path / "data" / "train", tmp_path / "data" / "val")
    save_file(FrozenEncoder(ENCODER).vit.state_dict(), tmp_path / "encoder.safetensors")
    for name in ("conv", "tv3s"):
        config = small_config(name)
        encoder = replace(config.encoder, weights=str(tmp_path / "encoder.safetensors"))
        config = replace(config, encoder=encoder)
        Path(f"{name}.yaml").write_text(yaml.safe_dump(plain(config.as_mapping())))
    mapping = {
        "reference": "conv",
        "running_means": [0.5],
        "windows": "64/32",
        "note": "One.\n\nTwo & three.",
        "changes": {"train.stages": [vars(stage) for stage in stages(3, frames_per_step=3)]},
        "methods": {name: {"config": f"{name}.yaml"} for name in ("conv", "tv3s")},
        "sources": {"drive": {"root": "here", "iterations": 0.5}},
        "targets": {
            "val": {"root": "here", "sources": ["drive"], "corruptions": ["clean", "fog"]},
            "slow": {"root": "here", "sources": ["drive"], "every": 2, "windows": "64/32"},
        },
    }
    Path("plan.yaml").write_text(yaml.safe_dump(mapping))
    return mapping


def test_a_method_differs_in_the_keys_that_it_changes(plan):
    changed = {"config": "conv.yaml", "changes": {"train.stages.0.learning_rate": 0.5}}
    path = Path("changed.yaml")
    path.write_text(yaml.safe_dump(plan | {"methods": plan["methods"] | {"faster": changed}}))
    found = read_plan(path)
    usual, faster = (found.config(name, 3, "drive").train for name in ("conv", "faster"))
    assert faster.stages[0].learning_rate == 0.5 != usual.stages[0].learning_rate
    assert replace(faster, stages=usual.stages) == usual and usual.seed == 3


class Page(HTMLParser):
    """What a browser would have to load, and the cells of tables."""

    def __init__(self, text: str):
        super().__init__()
        self.sources: list[str] = []
        self.cells: list[str] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._in_cell = tag in ("td", "th")
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        if self._in_cell:
            self.cells.append(data)
            self._in_cell = False


PLANNED = {"config": "conv.yaml"}
WORDS = ["compare", "plan.yaml", "--root", "here=data", "--out", "out", "--rounds", "1"]


def test_a_plan_is_trained_tried_timed_and_reported_once(plan, capsys):
    assert main(WORDS) == 0
    first = capsys.readouterr()
    assert (
        "Two & three." in first.out
        and "<p>Two &amp; three.</p>" in Path("out/report.html").read_text()
    )
    assert len(Path("out/runs/drive/tv3s/seed0/log.csv").read_text().splitlines()) == 1 + 2
    assert first.out.count("| tv3s |") == 4  # on two targets, on whole frames and windows
    page = Page(Path("out/report.html").read_text())
    assert len(page.sources) >= 6  # scatters, classes, sheets, costs, losses
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert {"conv", "conv + mean 0.5", "tv3s", "step ÷ reference"} <= set(page.cells)
    document = json.loads(Path("out/report.json").read_text())
    assert len(document["scores"]) == 3 * 3 and len(document["costs"]) == 2 * 2
    assert all(1e8 < cost["peak_bytes"] < 2e9 for cost in document["costs"])
    whole, windows = (c["gflops"] for c in document["costs"] if c["method"] == "conv")
    assert 1.2 * whole < windows
    ones = [c["over_reference"] for c in document["costs"] if c["method"] == "conv"]
    assert ones == [1.0, 1.0]
    with Path("out/scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(r["miou"]) for r in rows] == [s["miou"] for s in document["scores"]]
    stamps = {path: path.stat().st_mtime_ns for path in Path("out").rglob("scores.json")}
    stamps[Path("out/costs.json")] = Path("out/costs.json").stat().st_mtime_ns
    assert main(WORDS) == 0
    assert capsys.readouterr().out == first.out
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


@pytest.mark.long
def test_a_method_that_changes_is_evaluated_alone_and_the_pictures_have_all(plan, capsys):
    words = [*WORDS[:-1], "0"]
    assert main(words) == 0
    capsys.readouterr()
    tried = Path("out/tried/drive_val_seed0")
    before = json.loads((tried / "scores.json").read_text())
    config = yaml.safe_load(Path("conv.yaml").read_text())
    config["train"]["weight_decay"] = 0.01
    Path("conv.yaml").write_text(yaml.safe_dump(config))
    shutil.rmtree("out/runs/drive/conv")
    assert main(words) == 0
    after = json.loads((tried / "scores.json").read_text())
    assert after["tv3s"] == before["tv3s"] and after["conv"]["key"] != before["conv"]["key"]
    paths = [tried / f"{name}.npz" for name in ("conv", "tv3s")]
    names = ["conv", "conv + mean 0.5", "tv3s"]
    found = Figures.joined(paths, names)
    assert [name for condition, name, number in found.panels if condition == "fog"] == [
        name for name in names for _ in found.numbers
    ]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")
def test_a_browser_shows_tables_and_pictures(tmp_path):
    scores = [score(name, 0, 10.0 * k) for k, name in enumerate(("one", "<two>"), start=1)]
    costs = [Cost(s.method, "none", 1_000_000, 2.0, 0.1, 1.0, 0, 10**9) for s in scores]
    plan = Plan({"one": MethodPlan("one.yaml")}, {}, {}, "one")
    write_page(tmp_path, "a & b", plan, scores, costs)
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    quiet += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    words = [CHROMIUM, *quiet, f"--user-data-dir={tmp_path / 'user'}", "--window-size=1200,1600"]
    shot = tmp_path / "page.png"
    page = (tmp_path / "report.html").as_uri()
    subprocess.run([*words, f"--screenshot={shot}", page], check=True, timeout=60)
    pixels = cv2.imread(str(shot))
    saturation = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)[..., 1]
    assert (saturation > 100).sum() > 5_000  # bars and dots of pictures that were decoded
    dom = subprocess.run(
        [*words, "--dump-dom", page], check=True, timeout=60, capture_output=True, text=True
    ).stdout
    assert "&lt;two&gt;" in dom and "<two>" not in dom and dom.count("<img") == 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"methods": None}, "plan.yaml.methods: expected names"),
        ({"reference": "none"}, "reference: expected a method of the plan, got 'none'"),
        ({"sources": {"drive": {"root": "here", "data": "x"}}}, "data: expected one of"),
        ({"targets": {"v": {"root": "here", "sources": ["y"]}}}, "no source y in the plan"),
        ({"frame_path": True}, "reference conv: the frame path alone: expected a model with"),
        ({"reference": "tv3s"}, "running_means: expected a reference that looks at each frame"),
        (
            {"sources": {"drive": {"root": "here", "iterations": 0}}},
            "iterations: expected a factor above 0, got 0",
        ),
        (
            {"methods": {"conv": PLANNED, "tv3s": {"config": "tv3s.yaml", "seeds": [3]}}},
            "methods.conv.seeds: expected those of all other methods too, to be compared with, "
            "without 3",
        ),
        ({"seed": 1}, "unknown key seed; did you mean seeds"),
    ],
)
def test_a_faulty_plan_is_refused_by_name(plan, change, sentence, capsys):
    Path("plan.yaml").write_text(yaml.safe_dump(plan | change))
    assert main(WORDS) == 2
    assert re.search(re.escape(sentence), capsys.readouterr().err)


def test_folders_are_named_on_the_command_line(plan, capsys):
    words = [word for word in WORDS if word not in ("--root", "here=data")]
    assert main(words) == 2
    assert "expected NAME=DIR of here, got none" in capsys.readouterr().err
    assert main([*words, "--root", "here=nowhere"]) == 2
    assert "--root here: no folder nowhere" in capsys.readouterr().err

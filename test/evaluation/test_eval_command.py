# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The eval command: rows, tables, files and pictures."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from colour_segmenter import ColourSegmenter, write_camvid
from dataset_trees import write_cityscapes
from PIL import Image
from small_model import write_small_checkpoint

from t2g_core.checkpoint import save_checkpoint
from t2g_core.cli import main
from t2g_core.config import load_config
from t2g_core.data.camvid import load_camvid
from t2g_core.data.corrupted_images import write_corrupted
from t2g_core.data.corruptions import Weather
from t2g_core.encoders.depth_anything import RGBDepthEncoder
from t2g_core.encoders.frozen_vit import FrozenEncoder
from t2g_core.evaluation.command import add_arguments, options_of
from t2g_core.evaluation.comparison import (
    EvaluateOptions,
    check_early,
    evaluate_all,
    load_segmenters,
)
from t2g_core.evaluation.contact_sheet import Sample, contact_sheet
from t2g_core.evaluation.figures import Figures
from t2g_core.evaluation.tables import format_tables, mean_row, paper_table, write_report
from t2g_core.labels import CAMVID_CLASSES, IGNORE_INDEX, PALETTE

CONFIG = Path(__file__).parents[2] / "config" / "linear_head.yaml"
WEATHERS = ["fog", "frost", "snow", "spatter"]


def parse(*words: str) -> EvaluateOptions:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return options_of(parser.parse_args(["--device", "cpu", *(str(word) for word in words)]))


@pytest.fixture
def root(tmp_path):
    """Nine frames of sky and road, of which one road pixel is void."""
    labels = np.zeros((9, 36, 40), np.uint8)
    labels[:, 18:] = 3
    labels[:, 35, 39] = IGNORE_INDEX
    return write_camvid(tmp_path / "camvid", labels)


def rows_of(root, *words: str) -> list[dict]:
    args = parse("--root", root, *words)
    videos = load_camvid(root, "val")
    return evaluate_all({"runs/a.st": ColourSegmenter()}, videos, CAMVID_CLASSES, args)


def test_a_row_holds_the_scores_in_percent_and_the_settings(root):
    (row,) = rows_of(root)
    assert row["miou"] == 100.0
    assert row["iou"]["sky"] == row["iou"]["road"] == 100.0
    assert row["iou"]["car"] is None and list(row["iou"]) == list(CAMVID_CLASSES)
    assert row["vc8"] == {
        "stable": 100.0,
        "correct": 100.0,
        "vspw": 100.0,
        "windows": 2,
        "skipped_windows": 0,
        "short_videos": 0,
    }
    assert row["vc16"]["correct"] is None and row["vc16"]["short_videos"] == 1
    assert row["frames"] == 9 and row["seconds"] > 0
    settings = {"checkpoint": "runs/a.st", "mode": "stream", "corruption": "clean", "split": "val"}
    assert settings.items() <= row.items()
    assert row["severity"] is None and row["seeding"] is None
    assert (row["protocol"], row["videos"], row["unscored_classes"]) == ("dense", 1, [])
    assert row["ci95"] == {"miou": None, "vc8": None, "vc16": None}  # one video has no spread
    json.loads(json.dumps(row, allow_nan=False))  # no NaN: it is not JSON


def test_a_row_of_weather_says_severity_and_seeding(root):
    (row,) = rows_of(root, "--corruption", "fog", "--severity", "2", "--mode", "clip")
    assert (row["corruption"], row["severity"], row["mode"]) == ("fog", 2, "clip")
    assert "crc32('WEATHER:VIDEO:NUMBER')" in row["seeding"]
    (row,) = rows_of(root, "--corruption", "fog", "--seeding", "video")
    assert "crc32('WEATHER:VIDEO')" in row["seeding"]


def test_a_slower_camera_gives_fewer_frames_at_a_lower_rate(root):
    (row,) = rows_of(root, "--every", "3")
    assert (row["frames"], row["every"]) == (3, 3)
    (video,) = (video.every(3) for video in load_camvid(root, "val"))
    (whole,) = load_camvid(root, "val")
    assert video.frames == whole.frames[::3] and video.rate_hz == whole.rate_hz / 3
    with pytest.raises(ValueError, match="--every: expected 1 or more, got 0"):
        parse("--root", str(root), "--every", "0")


def test_all_conditions_end_with_the_mean_of_the_four(root):
    rows = rows_of(root, "--corruption", "all")
    assert [row["corruption"] for row in rows] == ["clean", *WEATHERS, "mean"]
    mean, weathers = rows[-1], rows[1:5]
    assert mean["mean_of"] == WEATHERS
    assert mean["miou"] == pytest.approx(np.mean([row["miou"] for row in weathers]), abs=1e-3)
    vc8 = np.mean([row["vc8"]["correct"] for row in weathers])
    assert mean["vc8"]["correct"] == pytest.approx(vc8, abs=1e-3)
    assert mean["vc16"]["correct"] is None and mean["frames"] == 36


def test_mean_by_hand():
    def row(corruption: str, miou: float, car: float | None) -> dict:
        vc = {"stable": miou, "correct": 1.0, "vspw": None, "windows": 3}
        iou = {"sky": miou, "car": car}
        run = {"frames": 5, "seconds": 0.5, "corruption": corruption, "mode": "clip"}
        scores = {"miou": miou, "miou_with_absent": miou / 2, "iou": iou}
        return {**scores, "vc8": vc, "vc16": vc, **run}

    mean = mean_row([row("fog", 10.0, 1.0), row("snow", 30.0, None)])
    assert (mean["miou"], mean["miou_with_absent"]) == (20.0, 10.0)
    assert mean["iou"] == {"sky": 20.0, "car": None}
    assert mean["vc8"] == {"correct": 1.0, "stable": 20.0, "vspw": None}
    assert (mean["frames"], mean["seconds"]) == (10, 1.0)
    assert mean["mode"] == "clip" and mean["mean_of"] == ["fog", "snow"]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, ["clean"]),
        (["snow"], ["snow"]),
        (["all"], ["clean", *WEATHERS]),
        (["fog", "all", "fog"], ["fog", "clean", "frost", "snow", "spatter"]),
    ],
)
def test_conditions_are_spelt_out_once_each(chosen, expected):
    words = [word for name in chosen or [] for word in ("--corruption", name)]
    found = parse("--root", "x", *words).conditions
    assert ["clean" if weather is None else weather.name for weather in found] == expected


def test_the_table_shows_each_row_and_the_classes(root):
    text = format_tables(rows_of(root) + rows_of(root, "--mode", "frame"))
    lines = text.splitlines()
    assert lines[0].split()[:4] == ["checkpoint", "mode", "condition", "mIoU"]
    assert "VC8 correct" in lines[0] and "VC16 vspw" in lines[0]
    assert lines[1].split()[:5] == ["runs/a.st", "stream", "clean", "100.0", "100.0"]
    assert lines[2].split()[1] == "frame"
    assert "traffic sign" in text and "0 to 100" in text and "weather" not in text
    widths = {len(line) for line in lines[:3]}
    assert len(widths) == 1  # numbers are aligned to the right


def test_a_class_that_is_predicted_without_being_there_is_said(root):
    (row,) = rows_of(root)
    assert "other code" not in format_tables([row])
    table = format_tables([{**row, "miou_with_absent": 50.0}])
    assert "true pixel counts as zero: runs/a.st clean 50.0" in table


def test_the_report_folder_has_json_csv_and_a_picture(root, tmp_path):
    out = tmp_path / "out"
    rows = rows_of(root, "--out", out)
    write_report(out, rows[0], rows)
    assert json.loads((out / "results.json").read_text()) == rows[0]
    with (out / "results.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert line["miou"] == "100.0" and line["vc8.correct"] == "100.0" and line["iou.car"] == ""
    with Image.open(out / "runs_a_stream_clean.png") as sheet:
        assert sheet.width == 4 * 40 and sheet.height > 6 * 36


def test_the_sheet_shows_image_truth_prediction_and_errors():
    image = np.full((20, 30, 3), 100, np.uint8)
    target = np.zeros((20, 30), np.uint8)
    target[0, 0] = IGNORE_INDEX
    mask = np.ones((20, 30), np.uint8)
    mask[10:] = 0
    palette = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    sheet = contact_sheet([Sample("S 1", image, target, mask)], ("sky", "car"), palette)
    row = sheet[32:52]  # under the bar of titles and the bar of the caption
    assert (row[:, :30] == 100).all()
    assert row[5, 40].tolist() == [1, 2, 3] and row[0, 30].tolist() == [0, 0, 0]
    assert row[5, 70].tolist() == [4, 5, 6] and row[15, 70].tolist() == [1, 2, 3]
    assert row[5, 100].tolist() == [255, 40, 40] and row[15, 100].tolist() == [50, 50, 50]
    assert row[0, 90].tolist() == [50, 50, 50]  # void is no error


def test_a_sheet_needs_samples_of_one_size():
    with pytest.raises(ValueError, match="one size"):
        contact_sheet([], ("sky",), np.zeros((1, 3), np.uint8))


def test_a_missing_checkpoint_is_found_before_the_work(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.st does not exist"):
        check_early(parse("--root", tmp_path, "--checkpoint", tmp_path / "none.st"))


@pytest.mark.parametrize(
    "words", [["--severity", "9"], ["--corruption", "rain"], ["--mode", "x"], ["--data", "x"]]
)
def test_unknown_choices_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        parse("--root", ".", *words)
    assert "invalid choice" in capsys.readouterr().err


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """A real checkpoint: the linear head on the real frozen encoder, at a tiny input size."""
    config = dataclasses.replace(load_config(CONFIG), input_size=(64, 48))
    torch.manual_seed(0)
    encoder = config.without_weights().build_encoder()
    method = config.build_method(encoder, len(CAMVID_CLASSES))
    path = tmp_path_factory.mktemp("checkpoint") / "untrained.safetensors"
    save_checkpoint(path, method, config, CAMVID_CLASSES, "untrained, for a test")
    return path


def eval_json(capsys, *words) -> dict:
    capsys.readouterr()
    assert main(["eval", "--json", *(str(word) for word in words)]) == 0
    return json.loads(capsys.readouterr().out)  # stdout is the object and nothing else


def test_windows_are_averaged_and_stand_in_the_row(root, untrained, capsys):
    words = ("--root", root, "--checkpoint", untrained)
    whole = eval_json(capsys, *words)
    covering = eval_json(capsys, *words, "--windows", "64/64")
    small = eval_json(capsys, *words, "--windows", "32/16")
    assert (whole["windows"], covering["windows"], small["windows"]) == ("none", "64/64", "32/16")
    assert covering["iou"] == whole["iou"]
    assert main(["eval", "--root", str(root), "--windows", "500/16"]) == 2
    assert "expected SIZE/STRIDE in pixels such as 512/341" in capsys.readouterr().err


def test_running_means_are_rows_of_their_own(root, untrained, capsys):
    out = untrained.parent / "out"
    words = ("--root", root, "--checkpoint", untrained, "--running-mean", 0.3, 0.7, "--out", out)
    rows = eval_json(capsys, *words)["results"]
    names = [str(untrained), f"{untrained} + mean 0.3", f"{untrained} + mean 0.7"]
    assert [row["checkpoint"] for row in rows] == names
    assert len(list(out.glob("*.png"))) == 3  # a picture each, none in another's place
    assert main(["eval", "--root", str(root), "--running-mean", "0.5"]) == 2
    assert "no checkpoint here looks at each frame alone" in capsys.readouterr().err


def test_a_frame_path_alone_is_a_row_with_running_means_of_its_own(root, tmp_path, capsys):
    path = tmp_path / "small.safetensors"
    write_small_checkpoint(path)
    words = ("--root", root, "--checkpoint", path, "--frame-path", "--running-mean", 0.5)
    rows = eval_json(capsys, *words)["results"]
    names = [str(path), f"{path}, frame path", f"{path}, frame path + mean 0.5"]
    assert [row["checkpoint"] for row in rows] == names
    write_small_checkpoint(path, "queries_alone")
    words = ["--root", str(root), "--checkpoint", str(path), "--frame-path"]
    assert main(["eval", *words]) == 2
    assert "expected a model with a pixel classifier" in capsys.readouterr().err


def test_figures_show_checkpoints_beside_one_another(root, untrained, tmp_path, capsys):
    """A row a condition and a column a checkpoint; a strip of neighbours in time for each."""
    figures = tmp_path / "figures"
    words = ("--root", root, "--checkpoint", untrained, "--running-mean", 0.5)
    eval_json(capsys, *words, "--corruption", "clean", "--corruption", "fog", "--figures", figures)
    names = {path.name for path in figures.iterdir()}
    assert names == {"methods.png", "timeline_clean.png", "timeline_fog.png", "panels.npz"}
    kept = Figures.joined([figures / "panels.npz"], [f"{untrained} + mean 0.5"])
    assert {name for _, name, _ in kept.panels} == {f"{untrained} + mean 0.5"}
    assert {condition for condition, _, _ in kept.panels} == {"clean", "fog"}
    with (
        Image.open(figures / "methods.png") as sheet,
        Image.open(figures / "timeline_fog.png") as strip,
    ):
        assert sheet.width == 4 * 40  # image, ground truth, head, its running mean
        assert sheet.height == 16 + 2 * (16 + 36) + 11 * 16  # titles, clean and fog, a legend
        assert strip.width == 8 * 40 and strip.height > 3 * 36  # eight frames of all three
        pixels = np.asarray(sheet)
    truth = pixels[32:68, 40:80]  # below the bar of titles and the caption of the row
    sky, road = (tuple(PALETTE[name]) for name in ("sky", "road"))
    assert tuple(truth[0, 0]) == sky and tuple(truth[30, 0]) == road
    assert not np.array_equal(pixels[32:68, :40], pixels[84:120, :40])  # fog is another picture


def test_the_command_prints_one_flat_object_for_one_checkpoint(root, untrained, capsys):
    by_mode = {
        mode: eval_json(capsys, "--root", root, "--checkpoint", untrained, "--mode", mode)
        for mode in ("stream", "clip", "frame")
    }
    row = by_mode["stream"]
    assert {"miou", "iou", "vc8", "vc16", "frames", "seconds"} <= row.keys()
    assert row["checkpoint"] == str(untrained) and row["frames"] == 9
    for other in by_mode.values():  # a head without memory cannot tell the modes apart
        assert (other["miou"], other["iou"], other["vc8"]) == (row["miou"], row["iou"], row["vc8"])


def test_a_model_with_depth_is_also_evaluated_without(root, tmp_path, capsys):
    path = tmp_path / "depth.safetensors"
    write_small_checkpoint(path, "depth")
    for depth, kind in ((True, RGBDepthEncoder), (False, FrozenEncoder)):
        (segmenter,) = load_segmenters([path], "cpu", depth=depth).values()
        assert isinstance(segmenter.runtime.method.encoder, kind)
    row = eval_json(capsys, "--root", root, "--checkpoint", path, "--without-depth")
    assert row["without_depth"] and row["frames"] == 9


def test_the_command_lists_several_results_and_writes_them(root, untrained, tmp_path, capsys):
    out = tmp_path / "out"
    twin = tmp_path / "twin.safetensors"
    twin.write_bytes(untrained.read_bytes())
    words = ["--root", root, "--checkpoint", untrained, "--checkpoint", twin]
    results = eval_json(
        capsys, *words, "--corruption", "clean", "--corruption", "fog", "--out", out
    )["results"]
    assert [row["corruption"] for row in results] == ["clean", "fog", "clean", "fog"]
    for first, second in zip(results[:2], results[2:], strict=True):
        own = {"seconds": 0, "checkpoint": ""}
        assert {**first, **own} == {**second, **own}  # repeatable
    assert json.loads((out / "results.json").read_text())["results"] == results


def test_the_command_ends_with_a_sentence_when_the_data_is_missing(tmp_path, capsys):
    assert main(["eval", "--root", str(tmp_path)]) == 2
    assert "images is not a folder" in capsys.readouterr().err


def test_the_paper_s_table_has_a_line_a_checkpoint(root):
    rows = rows_of(root, "--corruption", "all")
    header, line = paper_table(rows)
    assert header[:4] == ["checkpoint", "clean mIoU", "clean mVC8", "clean mVC16"]
    assert header[-3:] == ["mean mIoU", "mean mVC8", "mean mVC16"] and len(line) == 1 + 6 * 3
    assert line[:4] == ["runs/a.st", "100.0", "100.0", "-"]


def test_two_videos_have_intervals_in_table_and_csv(root, tmp_path):
    labels = np.zeros((9, 36, 40), np.uint8)
    write_camvid(root, labels, video="T")
    rows = rows_of(root)
    assert rows[0]["ci95"]["vc8"] == [100.0, 100.0] and rows[0]["ci95"]["vc16"] is None
    assert "95 % over 2 videos, runs/a.st clean: mIoU 100.0 to 100.0, VC8" in format_tables(rows)
    write_report(tmp_path / "out", rows[0], rows)
    with (tmp_path / "out" / "results.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert line["ci95.vc8"] == "100.0 100.0"


def test_weather_on_disk_of_another_severity_is_found_before_the_work(root, tmp_path):
    write_corrupted(load_camvid(root, "val"), root, tmp_path / "w", Weather("fog", 2))
    words = ["--root", root, "--weather", tmp_path / "w", "--corruption", "fog"]
    with pytest.raises(ValueError, match="'severity': 2"):
        check_early(parse(*words))
    check_early(parse(*words, "--severity", "2"))
    with pytest.raises(ValueError, match="VIDEO"):
        check_early(parse(*words, "--severity", "2", "--seeding", "video"))


def test_a_camvid_checkpoint_on_cityscapes_snippets_in_fog(tmp_path, untrained, capsys):
    """Eleven classes meet fifteen by name; snippets with one label go by Eq. 13."""
    root = write_cityscapes(tmp_path / "cityscapes")
    words = ["--root", root, "--data", "cityscapes", "--checkpoint", untrained]
    row = eval_json(capsys, *words, "--corruption", "fog", "--mode", "clip")
    assert row["protocol"] == "approx" and (row["videos"], row["frames"]) == (2, 60)
    assert row["unscored_classes"] == ["wall", "traffic light", "truck & bus", "motorcycle"]
    scored = [name for name, value in row["iou"].items() if value is not None]
    assert scored == ["sky", "road"]
    assert row["static8"] == row["static16"] == 100.0  # the clean snippets stand still
    assert (row["vc16"]["windows"], row["vc16"]["vspw"], row["severity"]) == (2, None, 3)
    shared = eval_json(
        capsys, *words, "--corruption", "fog", "--mode", "clip", "--classes", "shared15"
    )
    assert shared["iou"] == row["iou"] and shared["miou"] == row["miou"]  # the names are the same
    assert main(["eval", *map(str, words), "--static-threshold", "20"]) == 0
    out = capsys.readouterr().out
    assert "Eq. 13 (sparse labels); static pixels (within 20 of 255): 100.0 % for n = 8" in out
    assert "does not know count as void: wall, traffic light" in out

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The demo at a tiny size: the real node as a process, real DDS, real bags."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from small_checkpoint import write_vit_s_checkpoint

from t2g_core.recordings.bag import image_topics, read_masks

pytest.importorskip("rclpy", reason="needs ROS 2")
TemporalConsistency = pytest.importorskip(
    "t2g_ros.msg", reason="needs the built package (make setup)"
).TemporalConsistency

ROOT = Path(__file__).parents[2]


def demo(*words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "ROS_DOMAIN_ID": str((os.getpid() + 50) % 100 + 1)}
    return subprocess.run(
        [sys.executable, "-m", "t2g_ros.demo", *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=150,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run on five small frames of the rendered street; returns its folder and what it said."""
    folder = tmp_path_factory.mktemp("demo")
    checkpoint, out = folder / "small.safetensors", folder / "out"
    write_vit_s_checkpoint(checkpoint)
    words = ["--frames", "5", "--size", "96", "72", "--device", "cpu", "--out", str(out)]
    result = demo(*words, "--checkpoint", str(checkpoint))
    assert result.returncode == 0, result.stderr
    return out, result.stdout


@pytest.mark.long  # test_lifecycle.py has four cameras on one node
def test_several_cameras_share_the_node(tmp_path):
    checkpoint, out = tmp_path / "small.safetensors", tmp_path / "out"
    write_vit_s_checkpoint(checkpoint)
    words = ["--cameras", "3", "--frames", "3", "--device", "cpu", "--out", str(out)]
    result = demo(*words, "--checkpoint", str(checkpoint))
    assert result.returncode == 0, result.stderr
    report = json.loads((out / "report.json").read_text())
    assert list(report) == ["front", "left", "right"]
    assert len({tuple(camera["size"]) for camera in report.values()}) == 3
    for camera in report.values():
        assert camera["frames_sent"] == camera["masks_received"] == 3
        assert camera["latency_ms"]["p50"] > 0
    for name in ("cameras.png", "cameras.mp4"):
        assert (out / name).stat().st_size > 300 and str(out / name) in result.stdout


def test_it_says_where_the_results_are(finished):
    out, said = finished
    for name in ("segmentation.mp4", "timeline.png", "report.json"):
        assert (out / name).stat().st_size > 300
        assert str(out / name) in said


def test_the_report_counts_what_went_over_dds(finished):
    out, _ = finished
    report = json.loads((out / "report.json").read_text())
    assert report["frames_sent"] == 5
    assert report["masks_received"] + report["dropped"] == 5
    assert report["masks_received"] >= 3  # replayed slower than the node is
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p95"]
    assert 0 <= report["miou"] <= 100 and report["clip_rate_hz"] == pytest.approx(15, abs=0.1)


def test_the_answers_belong_to_the_clip(finished):
    out, _ = finished
    clip, answers = out / "clip_bag", out / "answers_bag"
    assert image_topics(clip) == {"/camera/image_raw": 5, "/camera/labels": 5}
    stamps = [mask.header_ns for mask in read_masks(clip, "/camera/labels")]
    steps = np.diff(stamps) / 1e9
    np.testing.assert_allclose(steps, 1 / 15, atol=1e-6)
    masks = {m.header_ns: m.pixels for m in read_masks(answers, "/segmenter/mask")}
    assert masks and set(masks) <= set(stamps)
    assert all(mask.shape == (72, 96) for mask in masks.values())


def test_the_clip_begins_with_an_empty_buffer_and_consistency_is_recorded(finished):
    out, _ = finished
    with AnyReader([out / "answers_bag"]) as reader:
        of_topic = [c for c in reader.connections if c.topic == "/segmenter/temporal_consistency"]
        reports = [reader.deserialize(cdr, c.msgtype) for c, _, cdr in reader.messages(of_topic)]
        topics = {c.topic for c in reader.connections}
    assert "/diagnostics" in topics
    first = next(report for report in reports if report.reset_reason)
    assert first.reset_reason == TemporalConsistency.RESET_STAMP_WENT_BACK
    assert first.memory_fill == 1 / 8
    assert reports[-1].memory_fill > 1 / 8


def test_a_clip_that_does_not_exist_ends_with_a_sentence(tmp_path):
    result = demo("--clip", str(tmp_path / "missing"), "--out", str(tmp_path / "out"))
    assert result.returncode == 1
    assert "no such clip" in result.stderr and "Traceback" not in result.stderr

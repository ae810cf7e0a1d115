# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Counters, rates and latencies by hand, and the level and sentence that follow from them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from diagnostic_msgs.msg import DiagnosticStatus

from t2g_core.health.findings import BLACKOUT, FRAME_DROPS, Finding, Level
from t2g_ros.diagnostics import FAILED, LOADING, RUNNING, NodeHealth, diagnostic_status, judge
from t2g_ros.stream_statistics import BAD_IMAGE, INFERENCE_ERROR, NEWER_FRAME, StreamStatistics

HEALTH = NodeHealth(
    state=RUNNING,
    state_detail="",
    image_topic="/camera",
    no_image_warning_s=5.0,
    no_mask_error_s=20.0,
    reliability="reliable",
    checkpoint="shipped",
    device="cpu",
)


def test_a_runtime_that_was_not_had_is_a_warning_while_all_else_is_well():
    snapshot = StreamStatistics(now_s=100.0).snapshot(now_s=100.5)
    health = replace(HEALTH, warnings=("the GPU is not used: no library",))
    assert judge(HEALTH, snapshot, snapshot)[0] == DiagnosticStatus.OK
    assert judge(health, snapshot, snapshot) == (DiagnosticStatus.WARN, health.warnings[0])


def test_nothing_has_come_yet():
    snapshot = StreamStatistics(now_s=100.0).snapshot(now_s=103.0)
    assert (snapshot.received, snapshot.masks, sum(snapshot.dropped.values())) == (0, 0, 0)
    assert snapshot.input_rate_hz == snapshot.mask_rate_hz == 0.0
    assert math.isnan(snapshot.latency_p50_ms)
    assert snapshot.silence_s == 3.0


def test_rates_latencies_and_drops():
    statistics = StreamStatistics(now_s=0.0)
    for number in range(40):  # 4 images a second for 10 s, every second one with a mask
        statistics.image_received(number / 4)
        if number % 2:
            latency_s = 0.1 if number < 20 else 0.3
            statistics.mask_published(number / 4, number / 4 + latency_s)
        else:
            statistics.image_dropped(NEWER_FRAME)
    snapshot = statistics.snapshot(now_s=10.0)
    assert snapshot.input_rate_hz == pytest.approx(4.0)
    assert snapshot.mask_rate_hz == pytest.approx(2.0, abs=0.1)
    assert snapshot.latency_p50_ms == pytest.approx(200.0)  # between ten of 100 and ten of 300
    assert snapshot.latency_p95_ms == pytest.approx(300.0)
    assert snapshot.dropped[NEWER_FRAME] == 20
    assert statistics.snapshot(now_s=100.0).input_rate_hz == 0.0  # rates are of late


def test_latencies_are_of_the_last_half_minute():
    statistics = StreamStatistics(now_s=0.0)
    statistics.mask_published(0.0, 5.0)
    statistics.mask_published(39.9, 40.0)
    assert statistics.snapshot(now_s=41.0).latency_p95_ms == pytest.approx(100.0)
    assert math.isnan(statistics.snapshot(now_s=80.0).latency_p50_ms)


def test_images_without_a_mask_are_seen():
    statistics = StreamStatistics(now_s=0.0)
    statistics.image_received(1.0)
    statistics.image_offered(1.0)
    statistics.mask_published(1.0, 1.2)
    assert statistics.snapshot(9.0).unanswered_s == 0.0
    for second in (10.0, 11.0, 12.0):  # nothing leaves: inference hangs
        statistics.image_received(second)
        statistics.image_offered(second)
        statistics.image_dropped(NEWER_FRAME)
    statistics.image_dropped(BAD_IMAGE, "too short", 30.0)  # says nothing about inference
    snapshot = statistics.snapshot(31.0)
    assert snapshot.unanswered_s == 21.0
    level, sentence = judge(HEALTH, snapshot, snapshot)
    assert (level, sentence) == (DiagnosticStatus.ERROR, "images come, but no mask for 21 s")
    statistics.mask_published(12.0, 32.0)
    assert statistics.snapshot(33.0).unanswered_s == 0.0
    statistics.image_offered(40.0)
    statistics.image_answered()  # it failed on it: an answer too
    assert statistics.snapshot(70.0).unanswered_s == 0.0


def test_lost_images_are_counted_and_said():
    statistics = StreamStatistics(now_s=0.0)
    before = statistics.snapshot(0.5)
    statistics.images_lost(3)
    now = statistics.snapshot(1.0)
    assert judge(HEALTH, now, before)[1] == "3 images were lost on their way"
    assert judge(HEALTH, now, now)[0] == DiagnosticStatus.OK


def test_the_last_error_is_kept_for_a_minute_with_its_age_and_no_more_than_its_beginning():
    statistics = StreamStatistics(now_s=0.0)
    assert statistics.image_dropped(BAD_IMAGE, "too short", 1.0) == 1
    assert statistics.image_dropped(BAD_IMAGE, "too long", 2.0) == 2
    statistics.image_dropped(NEWER_FRAME)
    assert statistics.snapshot(5.0).last_error == "too long (3 s ago)"
    assert statistics.snapshot(63.0).last_error == ""
    statistics.image_dropped(BAD_IMAGE, "x" * 20_000, 70.0)
    assert len(statistics.snapshot(70.0).last_error) < 350
    with pytest.raises(ValueError, match="cause: expected one of"):
        statistics.image_dropped("bad luck")


def test_the_worst_decides():
    quiet = StreamStatistics(now_s=0.0).snapshot(now_s=1.0)
    assert judge(HEALTH, quiet, quiet) == (DiagnosticStatus.OK, "0.0 masks/s of 0.0 images/s")
    silent = replace(quiet, silence_s=6.0)
    assert judge(HEALTH, silent, quiet) == (DiagnosticStatus.WARN, "no image on /camera for 6 s")
    bad = replace(silent, dropped={**quiet.dropped, BAD_IMAGE: 2}, last_error="too short")
    expected = (DiagnosticStatus.WARN, "2 images cannot be read: too short")
    assert judge(HEALTH, bad, quiet) == expected
    assert judge(HEALTH, bad, bad)[1].startswith("no image")  # they are history now
    loading = replace(HEALTH, state=LOADING, state_detail="loading for 3 s")
    assert judge(loading, bad, quiet) == (DiagnosticStatus.WARN, "loading for 3 s")
    failing = replace(bad, dropped={**bad.dropped, INFERENCE_ERROR: 1})
    assert judge(loading, failing, bad)[0] == DiagnosticStatus.ERROR
    failed = replace(HEALTH, state=FAILED, state_detail="no such file")
    assert judge(failed, failing, bad) == (DiagnosticStatus.ERROR, "no such file")


def test_what_is_wrong_with_images_and_masks_is_said_after_what_explains_it():
    statistics = StreamStatistics(now_s=0.0)
    before = statistics.snapshot(now_s=1.0)
    statistics.images_lost(2)
    now = statistics.snapshot(now_s=2.0)
    drops = Finding(FRAME_DROPS, Level.WARN, "2 of the last 14 images are missing")
    black = Finding(BLACKOUT, Level.ERROR, "the image is black")
    warned, alarmed = (replace(HEALTH, findings=f) for f in ((drops,), (black, drops)))
    assert judge(warned, now, now) == (DiagnosticStatus.WARN, drops.sentence)
    assert judge(warned, now, before)[1] == "2 images were lost on their way"  # which is why
    sentences = f"{black.sentence}; {drops.sentence}"
    assert judge(alarmed, now, before) == (DiagnosticStatus.ERROR, sentences)
    off = replace(alarmed, enabled=False)
    assert judge(off, now, now)[0] == DiagnosticStatus.OK
    values = {v.key: v.value for v in diagnostic_status("", alarmed, now, now).values}
    assert values["findings"] == "blackout, frame_drops"
    assert values["flicker"] == values["confidence"] == "nan"  # before the first mask


def test_the_status_has_every_figure_as_text():
    snapshot = StreamStatistics(now_s=0.0).snapshot(now_s=1.0)
    status = diagnostic_status("/segmenter: segmentation", HEALTH, snapshot, snapshot)
    values = {value.key: value.value for value in status.values}
    assert status.hardware_id == values["device"] == "cpu"
    assert values["state"] == "running"
    assert values["latency_p50_ms"] == "nan"
    assert values["dropped_newer_frame"] == "0"

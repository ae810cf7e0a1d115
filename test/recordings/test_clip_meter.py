# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The figures of a run, worked out by hand, and its pictures."""

from __future__ import annotations

import json

import av
import cv2
import numpy as np
import pytest

from t2g_core.images.overlay import overlay
from t2g_core.metrics.flicker_map import FlickerMap
from t2g_core.recordings.clip_meter import ClipMeter, latency_summary
from t2g_core.recordings.clip_source import ClipFrame
from t2g_core.recordings.pictures import (
    OVERLAY_OPACITY,
    Mp4Writer,
    TimelineStrip,
    flicker_picture,
)
from t2g_core.recordings.result_folder import MaskedFrame, headline, write_pictures, write_report

PALETTE = np.array([[255, 0, 0], [0, 255, 0]], np.uint8)


def test_flicker_and_miou_of_two_masks():
    meter = ClipMeter(("a", "b"))
    labels = np.array([[0, 0, 1, 1]], np.uint8)
    meter.update(np.array([[0, 0, 1, 1]], np.uint8), 0.0, labels)
    meter.update(np.array([[0, 0, 0, 1]], np.uint8), 0.1, labels)
    summary = meter.compute()
    assert summary["flicker"] == 0.25  # one of four pixels
    # a: 2 in both, 3 in either; b: 1 of 2
    assert summary["flicker_by_class"] == {"a": pytest.approx(1 / 3, abs=1e-5), "b": 0.5}
    # a: 4 right, 1 too many; b: 3 right, 1 missing
    assert summary["iou"] == {"a": 80.0, "b": 75.0}
    assert summary["miou"] == 77.5
    assert summary["vc8"]["windows"] == 0 and summary["vc8"]["correct"] is None


def test_consistency_windows_do_not_cross_a_gap():
    mask = np.zeros((2, 2), np.uint8)
    whole, cut = ClipMeter(("a",)), ClipMeter(("a",))
    for index in range(10):
        whole.update(mask, index, mask)
        cut.update(mask, index, mask, gap=index == 5)
    assert whole.compute()["vc8"] == {"stable": 100, "correct": 100, "vspw": 100, "windows": 3}
    assert cut.compute()["vc8"]["windows"] == 0


def test_a_change_across_a_gap_is_no_flicker():
    meter = ClipMeter(("a", "b"))
    meter.update(np.zeros((2, 2), np.uint8), 0.0, None)
    meter.update(np.ones((2, 2), np.uint8), 1.0, None, gap=True)
    assert meter.compute()["flicker"] is None


def test_without_labels_there_is_no_accuracy():
    meter = ClipMeter(("a",))
    meter.update(np.zeros((2, 2), np.uint8), 0.0, None)
    summary = meter.compute()
    assert [summary[key] for key in ("miou", "iou", "vc8", "vc16")] == [None] * 4


def test_latency_percentiles():
    assert latency_summary([]) == {"p50": None, "p95": None}
    assert latency_summary([10.0, 20.0, 30.0]) == {"p50": 20.0, "p95": 29.0}


def test_flicker_map_counts_changes_over_the_window():
    flicker = FlickerMap(window=3)  # three masks are two pairs
    masks = [np.array([[0, 0]], np.uint8), np.array([[0, 1]], np.uint8)]
    assert flicker.update(masks[0]).tolist() == [[0, 0]]
    assert flicker.update(masks[1]).tolist() == [[0, 1]]
    assert flicker.update(masks[1]).tolist() == [[0, 0.5]]
    assert flicker.update(masks[1]).tolist() == [[0, 0]]


def test_overlay_leaves_void_as_it_is_and_flicker_glows_where_it_is():
    image = np.full((1, 2, 3), 100, np.uint8)
    painted = overlay(image, np.array([[0, 255]], np.uint8), PALETTE, OVERLAY_OPACITY)
    assert painted[0, 1].tolist() == [100, 100, 100]
    assert painted[0, 0].tolist() == [185, 45, 45]  # 0.45 * 100 + 0.55 * (255, 0, 0)
    glow = flicker_picture(image, np.array([[0.0, 1.0]], np.float32))
    assert glow[0, 0].tolist() == [35, 35, 35] and glow[0, 1].min() > 200


def test_the_mp4_is_h264_with_every_frame(tmp_path):
    path = tmp_path / "odd.mp4"
    with Mp4Writer(path, 15.0) as video:
        for value in (0, 128, 255):
            video.write(np.full((33, 47, 3), value, np.uint8))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("h264", 15)
        assert (stream.width, stream.height, stream.pix_fmt) == (46, 32, "yuv420p")
        greys = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(stream)]
    np.testing.assert_allclose(greys, [0, 128, 255], atol=3)


def test_the_timeline_shows_one_slice_a_frame():
    strip = TimelineStrip(PALETTE)
    for k in (0, 1):
        strip.update(np.full((5, 20, 3), 50, np.uint8), np.full((5, 20), k, np.uint8), None)
    picture = strip.picture()
    assert picture.shape == (5 * 3 + 2 * 4, 16, 3)
    assert picture[10, 3].tolist() == [255, 0, 0] and picture[10, 12].tolist() == [0, 255, 0]
    with pytest.raises(ValueError, match="at least one"):
        TimelineStrip(PALETTE).picture()


def test_dropped_frames_are_gaps_in_the_scores(tmp_path):
    masks = [np.zeros((32, 32), np.uint8), None, np.ones((32, 32), np.uint8)]
    image = np.zeros((32, 32, 3), np.uint8)
    frames = [MaskedFrame(ClipFrame(i, image, None), mask) for i, mask in enumerate(masks)]
    scores = write_pictures(tmp_path, frames, ("a", "b"), PALETTE, 10.0, max_gap_s=3.0)
    assert scores["flicker"] is None
    assert cv2.imread(str(tmp_path / "timeline.png")).shape[1] == 16
    report = {"frames_sent": 3, "masks_received": 2, "dropped": 1, "fps": 1.0}
    report |= {"latency_ms": latency_summary([5.0]), **scores}
    write_report(tmp_path, report)
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert "dropped 1" in headline(report)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The node as a process of its own, fed over DDS; a small model with random weights runs in it."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

import torch
from diagnostic_msgs.msg import DiagnosticStatus
from node_harness import (
    HEIGHT,
    WIDTH,
    in_bgr_with_padded_rows,
    message_of,
    picture,
    running,
    start_node,
)
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import DescribeParameters, ListParameters, SetParameters
from sensor_msgs.msg import Image
from small_checkpoint import write_vit_s_checkpoint

from t2g_core.health.limits import HealthLimits
from t2g_core.health.stream_health import StreamHealth
from t2g_core.images.overlay import overlay
from t2g_core.streaming.continuity import FrameInfo
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.streaming.video_segmenter import VideoSegmenter
from t2g_ros.msg import TemporalConsistency

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    write_vit_s_checkpoint(path)
    return path


@pytest.fixture(scope="module")
def harness(checkpoint, tmp_path_factory):
    """A running node with its model loaded; ends it as Ctrl-C does, which has to succeed."""
    folder = tmp_path_factory.mktemp("node")
    with running(folder, checkpoint, no_image_warning_s=1.0) as harness:
        harness.wait_for(lambda: "no image on" in harness.words(), "the warning of silence")
        yield harness


def broken_messages() -> list[Image]:
    """One of each kind: unknown encoding, too little data, rows too short, no pixels."""
    messages = [message_of(picture(0), 0.0) for _ in range(4)]
    messages[0].encoding = "h264"
    messages[1].data = messages[1].data[:-1]
    messages[2].step = 1
    messages[3].height = 0
    return messages


def array_of(message: Image) -> np.ndarray:
    channels = {"mono8": 1, "rgb8": 3}[message.encoding]
    shape = (message.height, message.width, channels)
    assert message.step == message.width * channels
    return np.frombuffer(message.data, np.uint8).reshape(shape).squeeze()


def test_results_equal_the_offline_model_with_broken_images_in_between(harness, checkpoint):
    torch.set_num_threads(1)
    offline = StreamingSegmenter.from_checkpoint(checkpoint)
    video, health = VideoSegmenter(offline), StreamHealth(offline)
    bad_before = int(harness.values()["dropped_bad_image"])
    for number in range(8):
        image = picture(number)
        stamp_ns = (1000 + number) * 10**8
        segmented = video.segment(image, FrameInfo(stamp_ns, image.shape[:2]), max_gap_s=3.0)
        result = segmented.result
        report = health.update(image, segmented, stamp_ns, HealthLimits()).report
        message = message_of(image, 100.0 + number / 10)
        if number % 2:
            harness.images.publish(broken_messages()[number // 2])
            time.sleep(0.1)
            message = in_bgr_with_padded_rows(message)
        harness.segment(message)

        for output in harness.outputs:
            assert len(output) == 1
            assert output[0].header == message.header
        assert harness.mask[0].encoding == harness.confidence[0].encoding == "mono8"
        np.testing.assert_array_equal(array_of(harness.mask[0]), result.mask)
        np.testing.assert_array_equal(array_of(harness.confidence[0]), result.confidence)
        painted = overlay(image, result.mask, offline.palette, opacity=0.5)
        np.testing.assert_array_equal(array_of(harness.overlay[0]), painted)
        told = harness.consistency[0]
        for field in ("interval_s", "compared_share", "agreement", "stable_share", "flicker"):
            expected = getattr(report, field)
            np.testing.assert_allclose(getattr(told, field), expected, rtol=1e-5, err_msg=field)
        assert told.motion_corrected
        assert tuple(told.class_names) == offline.class_names
        assert told.memory_fill == pytest.approx(segmented.memory_fill)
        assert (told.window_fill, told.window_length) == (report.fill, 8)
        assert told.mean_confidence == pytest.approx(result.confidence.mean() / 255, abs=1e-6)
    assert len(np.unique(result.mask)) > 1  # or equality would prove little
    assert int(harness.values()["dropped_bad_image"]) == bad_before + 4
    assert "expected one of rgb8" in harness.words()


@pytest.mark.parametrize(
    ("stamps_s", "sizes", "reason"),
    [
        ((200.0, 200.5), ((HEIGHT, WIDTH),) * 2, TemporalConsistency.RESET_NONE),
        ((300.0, 299.9), ((HEIGHT, WIDTH),) * 2, TemporalConsistency.RESET_STAMP_WENT_BACK),
        ((400.0, 403.5), ((HEIGHT, WIDTH),) * 2, TemporalConsistency.RESET_GAP),
        ((500.0, 500.1), ((HEIGHT, WIDTH), (60, 90)), TemporalConsistency.RESET_IMAGE_SIZE),
    ],
)
def test_a_break_in_the_video_empties_the_buffer(harness, stamps_s, sizes, reason):
    for number, (stamp_s, size) in enumerate(zip(stamps_s, sizes, strict=True)):
        harness.segment(message_of(picture(number, *size), stamp_s))
    told = harness.consistency[0]
    assert told.reset_reason == reason
    assert bool(told.reset_detail) == bool(reason)
    assert (harness.mask[0].height, harness.mask[0].width) == sizes[-1]
    assert told.window_fill == 8 * told.memory_fill == (1 if reason else 2)
    assert math.isnan(told.agreement) == bool(reason)


def test_more_images_than_it_can_take_are_counted_not_queued(harness):
    before = harness.values()
    for number in range(40):
        harness.images.publish(message_of(picture(number), 600.0 + number / 30))
        time.sleep(0.01)
    harness.segment(message_of(picture(0), 700.0))
    after = harness.values()
    grown = {
        key: int(after[key]) - int(before[key])
        for key in ("images_received", "masks_published", "dropped_newer_frame")
    }
    assert grown["dropped_newer_frame"] > 0
    assert grown["images_received"] == grown["masks_published"] + grown["dropped_newer_frame"]


def test_diagnostics_hold_rates_latency_drops_and_errors(harness):
    harness.segment(message_of(picture(0), 800.0))
    values = harness.values()
    status = harness.diagnostics[-1].status[0]
    assert status.name == "/segmenter: segmentation"
    assert status.level in (DiagnosticStatus.OK, DiagnosticStatus.WARN)
    assert values["state"] == "running"
    assert values["image_topic"] == "/camera/image_raw"
    assert values["device"] == "cpu"
    assert 0 < float(values["mask_rate_hz"]) <= float(values["input_rate_hz"])
    assert 0 < float(values["latency_p50_ms"]) <= float(values["latency_p95_ms"]) < 10_000
    assert int(values["dropped_inference_error"]) == 0
    assert "step" in values["last_error"] or "size" in values["last_error"]


def test_a_camera_that_freezes_is_an_error_that_passes(harness):
    def status_after(images: int, frozen: bool, start_s: float) -> DiagnosticStatus:
        for number in range(images):
            harness.segment(message_of(picture(0 if frozen else number), start_s + number / 10))
        harness.values()
        return harness.diagnostics[-1].status[0]

    status = status_after(8, True, 900.0)
    values = {value.key: value.value for value in status.values}
    assert status.level == DiagnosticStatus.ERROR
    assert "images are the same, though their stamps go on" in status.message
    assert values["findings"].split(", ")[0] == "frozen"
    assert 0 < float(values["confidence"]) <= 1 and 0 <= float(values["flicker"]) <= 1
    assert values["confidence_drop"] == "nan"  # the tests' checkpoint does not know what is usual
    status_after(3, False, 910.0)
    assert "the same" not in status_after(3, False, 920.0).message


def test_parameters_are_described_and_the_file_has_them_all(harness):
    names = harness.call(ListParameters, "list_parameters", ListParameters.Request()).result.names
    own = sorted(n for n in names if n != "use_sim_time" and not n.startswith(("qos_", "start_")))
    written = yaml.safe_load((ROOT / "config" / "segmenter.yaml").read_text())
    assert sorted(written["/**"]["ros__parameters"]) == own
    request = DescribeParameters.Request(names=own)
    described = harness.call(DescribeParameters, "describe_parameters", request).descriptors
    for descriptor in described:
        assert descriptor.description, descriptor.name
        has_no_range = descriptor.type in (1, 4, 9)  # a switch, text, names
        assert has_no_range or descriptor.floating_point_range or descriptor.integer_range


def test_parameters_that_may_change_do_and_others_say_that_they_may_not(harness):
    def set_parameter(name: str, value: ParameterValue):
        request = SetParameters.Request(parameters=[Parameter(name=name, value=value)])
        return harness.call(SetParameters, "set_parameters", request).results[0]

    opaque = ParameterValue(type=3, double_value=1.0)
    assert set_parameter("overlay_opacity", opaque).successful
    harness.segment(message_of(picture(0), 900.0))
    colours = {tuple(colour) for colour in array_of(harness.overlay[0]).reshape(-1, 3)}
    assert len(colours) == len(np.unique(array_of(harness.mask[0])))  # nothing of the image left

    beyond = set_parameter("overlay_opacity", ParameterValue(type=3, double_value=1.5))
    assert not beyond.successful
    assert "range" in beyond.reason
    fixed = set_parameter("device", ParameterValue(type=4, string_value="cpu"))
    assert not fixed.successful
    assert "read-only" in fixed.reason


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"checkpoint": "/nowhere/model.safetensors"}, "no checkpoint /nowhere/model.safetensors"),
        ({"max_gap_s": -1.0}, "cannot start"),
    ],
)
def test_a_node_that_cannot_start_says_why_and_ends(tmp_path, parameters, sentence):
    process = start_node(tmp_path / "log.txt", **parameters)
    assert process.wait(timeout=60.0) == 1
    assert sentence in (tmp_path / "log.txt").read_text()

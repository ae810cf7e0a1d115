# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What others ask of a running node and send to it: odd values, odd names, odd stamps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from node_harness import message_of, picture, running
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from small_checkpoint import write_vit_s_checkpoint
from std_srvs.srv import SetBool, Trigger

from t2g_core.labels import CAMVID_CLASSES, PALETTE
from t2g_ros.msg import ClassList, TemporalConsistency


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    """One node for all of these; one of its parameters is misspelt."""
    folder = tmp_path_factory.mktemp("node")
    checkpoint = folder / "small.safetensors"
    write_vit_s_checkpoint(checkpoint)
    with running(folder, checkpoint, max_gap_s=3, mx_gap_s=1.0) as harness:
        yield harness


def test_a_request_that_rclpy_cannot_read_costs_nothing_but_an_answer(harness):
    client = harness.node.create_client(SetParameters, "/segmenter/set_parameters")
    assert client.wait_for_service(10.0)
    value = ParameterValue(type=77)
    client.call_async(SetParameters.Request(parameters=[Parameter(name="max_gap_s", value=value)]))
    harness.wait_for(lambda: "a request failed" in harness.words(), "the log")
    harness.segment(message_of(picture(0), 5.0))


def test_integers_are_numbers(harness):
    for value in (
        ParameterValue(type=2, integer_value=2),
        ParameterValue(type=3, double_value=2.5),
    ):
        request = SetParameters.Request(parameters=[Parameter(name="max_gap_s", value=value)])
        assert harness.call(SetParameters, "set_parameters", request).results[0].successful
    for value in (
        ParameterValue(type=2, integer_value=0),
        ParameterValue(type=4, string_value="2"),
    ):
        request = SetParameters.Request(parameters=[Parameter(name="max_gap_s", value=value)])
        (result,) = harness.call(SetParameters, "set_parameters", request).results
        assert not result.successful and "range 0.01 to 3600" in result.reason


def test_a_misspelt_parameter_is_named(harness):
    assert "there is no parameter mx_gap_s; did you mean max_gap_s?" in harness.words()


def test_two_cameras_on_one_topic_and_negative_stamps(harness):
    first, second = message_of(picture(0), 5.0), message_of(picture(1), 5.1)
    second.header.frame_id = "rear_camera"
    harness.segment(first)
    harness.segment(second)
    assert harness.consistency[0].reset_reason == TemporalConsistency.RESET_FRAME_ID
    assert "'rear_camera' after 'front_camera_optical'" in harness.consistency[0].reset_detail
    assert "two cameras on one topic?" in harness.words() and "first frame" in harness.words()
    second.header.stamp.sec, second.header.stamp.nanosec = -3, 100
    harness.segment(second)
    assert harness.consistency[0].reset_reason == TemporalConsistency.RESET_STAMP_WENT_BACK
    second.header.stamp.nanosec = 99  # a nanosecond back, which a float of seconds cannot tell
    harness.segment(second)
    assert harness.consistency[0].reset_reason == TemporalConsistency.RESET_STAMP_WENT_BACK


def test_whoever_comes_late_gets_the_classes(harness):
    found = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    harness.node.create_subscription(ClassList, "/segmenter/classes", found.append, latched)
    harness.wait_for(lambda: found, "the classes")
    assert tuple(found[0].names) == CAMVID_CLASSES
    red, green, blue = PALETTE[CAMVID_CLASSES[0]]
    colour = found[0].colors[0]
    assert [round(255 * c) for c in (colour.r, colour.g, colour.b)] == [red, green, blue]


def test_a_reset_on_request_starts_a_new_clip(harness):
    for number in range(2):
        harness.segment(message_of(picture(number), 20 + number / 10))
    assert harness.consistency[0].memory_fill == 2 / 8
    assert harness.call(Trigger, "reset", Trigger.Request()).success
    harness.segment(message_of(picture(2), 20.2))
    message = harness.consistency[0]
    assert (message.memory_fill, message.reset_reason) == (1 / 8, TemporalConsistency.RESET_REQUEST)
    harness.segment(message_of(picture(3), 20.3))
    assert harness.consistency[0].memory_fill == 2 / 8  # once


def test_switched_off_it_counts_images_and_goes_on_when_switched_on(harness):
    answer = harness.call(SetBool, "set_enabled", SetBool.Request(data=False))
    assert answer.success and answer.message == "segmentation is off"
    before = int(harness.values()["dropped_disabled"])
    harness.mask.clear()
    for number in range(3):
        harness.images.publish(message_of(picture(number), 30 + number / 10))
    harness.wait_for(
        lambda: int(harness.values()["dropped_disabled"]) == before + 3, "the images counted"
    )
    assert not harness.mask and harness.values()["state"] == "disabled"
    assert "switched off" in harness.diagnostics[-1].status[0].message
    harness.call(SetBool, "set_enabled", SetBool.Request(data=True))
    harness.segment(message_of(picture(4), 30.5))
    assert harness.values()["state"] == "running"


def test_the_rate_can_be_limited_while_it_runs(harness):
    def limit(rate_hz: float) -> None:
        value = ParameterValue(type=3, double_value=rate_hz)
        request = SetParameters.Request(parameters=[Parameter(name="max_rate_hz", value=value)])
        assert harness.call(SetParameters, "set_parameters", request).results[0].successful

    limit(0.05)
    harness.segment(message_of(picture(0), 40.0))
    before = int(harness.values()["dropped_rate_limit"])
    for number in range(3):
        harness.images.publish(message_of(picture(number), 40.1 + number / 10))
    harness.wait_for(
        lambda: int(harness.values()["dropped_rate_limit"]) >= before + 2, "the images counted"
    )
    limit(20.0)  # holds at once, not after the 20 s that the old rate would wait
    harness.segment(message_of(picture(4), 41.0))
    limit(0.0)


def test_instability_shows_where_masks_changed_and_starts_with_its_listener(harness):
    heat = harness.collect(Image, "/segmenter/instability")
    harness.wait_for(lambda: harness.node.count_publishers("/segmenter/instability"), "discovery")
    masks = []
    for number in range(3):
        heat.clear()
        harness.segment(message_of(picture(5 * number), 50 + number / 10))
        harness.wait_for(lambda: heat, "the heat map")
        masks.append(np.frombuffer(harness.mask[0].data, np.uint8))
    first, second = (a != b for a, b in itertools.pairwise(masks))
    found = np.frombuffer(heat[0].data, np.uint8)
    np.testing.assert_array_equal(found, np.round(127.5 * (first.astype(float) + second)))
    assert heat[0].encoding == "mono8" and heat[0].header == harness.mask[0].header


def test_camera_info_goes_on_with_the_masks_header(harness):
    camera = harness.node.create_publisher(CameraInfo, "/camera_info", 5)
    passed_on = harness.collect(CameraInfo, "/segmenter/camera_info")
    harness.wait_for(camera.get_subscription_count, "discovery")
    info = CameraInfo(width=120, height=80, k=[100.0, 0.0, 60.0, 0.0, 100.0, 40.0, 0.0, 0.0, 1.0])
    number = 0
    while not passed_on:  # the first ones may pass before the relay and its listener have met
        camera.publish(info)
        harness.segment(message_of(picture(number), 60 + number / 10))
        number += 1
        assert number < 20
    assert passed_on[0].k.tolist() == info.k.tolist() and passed_on[0].width == 120
    assert passed_on[0].header.frame_id == "front_camera_optical"

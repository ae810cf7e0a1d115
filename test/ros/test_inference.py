# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The inference thread with a real small model, in this process."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

import rclpy
from node_harness import DOMAIN_ID, message_of, picture
from rclpy.parameter import Parameter
from small_model import small_segmenter

from t2g_core.images.encodings import to_rgb
from t2g_ros.camera import Camera, Frame
from t2g_ros.inference import MOST_FAILURES, Inference
from t2g_ros.model_loading import Model
from t2g_ros.parameters import declare_parameters, read_parameters
from t2g_ros.stream_statistics import INFERENCE_ERROR

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
NAMES = ["front", "left", "right"]


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN_ID)
    node = rclpy.create_node(
        "segmenter", context=context, parameter_overrides=[Parameter("cameras", value=NAMES)]
    )
    declare_parameters(node)
    yield node
    node.destroy_node()
    context.try_shutdown()


@pytest.fixture
def cameras(node) -> list[Camera]:
    cameras = [Camera(node, name) for name in NAMES]
    for camera in cameras:
        camera.open_outputs()
    return cameras


def wait_for(condition) -> None:
    end_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def frame(camera: Camera, number: int) -> Frame:
    return Frame(camera, message_of(picture(number), 10 + number / 10), time.monotonic())


def test_cameras_that_wait_are_encoded_in_one_pass(node, cameras, monkeypatch):
    segmenter = small_segmenter()
    passes, busy, release = [], threading.Event(), threading.Event()
    encode = segmenter.runtime.encode

    def watched(images):
        passes.append(len(images))
        busy.set()
        assert release.wait(30)
        return encode(images)

    monkeypatch.setattr(segmenter.runtime, "encode", watched)
    inference = Inference(Model(segmenter, "cpu", ""), to_rgb, lambda: read_parameters(node), print)
    inference.offer(frame(cameras[0], 0))
    assert busy.wait(30)
    for camera in cameras:
        assert not inference.offer(frame(camera, 1))
    release.set()
    wait_for(lambda: all(c.statistics.snapshot(0.0).masks for c in cameras))
    assert inference.stop(10)
    assert passes == [1, 3]
    assert [c.statistics.snapshot(0.0).masks for c in cameras] == [2, 1, 1]


def test_a_model_that_fails_again_and_again_ends_the_thread(node, cameras, monkeypatch):
    segmenter, errors = small_segmenter(), []

    def fail(*_):
        raise RuntimeError("device lost")

    monkeypatch.setattr(segmenter, "step_encoded", fail)
    inference = Inference(
        Model(segmenter, "cpu", ""), to_rgb, lambda: read_parameters(node), errors.append
    )
    for number in range(MOST_FAILURES):
        wait_for(lambda n=number: cameras[0].statistics.snapshot(0.0).dropped[INFERENCE_ERROR] == n)
        assert not errors
        inference.offer(frame(cameras[0], number))
    wait_for(lambda: errors)
    assert "failed on 5 images in a row" in str(errors[0]) and "device lost" in str(errors[0])


def test_a_model_that_is_swapped_in_starts_the_clips_anew(node, cameras, monkeypatch):
    first, second = small_segmenter(), small_segmenter("conv")
    inference = Inference(Model(first, "cpu", ""), to_rgb, lambda: read_parameters(node), print)
    published = []
    monkeypatch.setattr(
        cameras[0].outputs, "publish", lambda *args: published.append((args[2], args[4]))
    )
    for number in range(4):
        if number == 2:
            inference.swap(Model(second, "cpu", "other"))
        inference.offer(frame(cameras[0], number))
        wait_for(lambda n=number: len(published) == n + 1)
    assert inference.stop(10)
    assert [segmenter for _, segmenter in published] == [first, first, second, second]
    assert [f.memory_fill for f, _ in published] == [
        1 / 3,
        2 / 3,
        None,
        None,
    ]  # the second has no memory
    assert [f.reset is not None for f, _ in published] == [True, False, True, False]
    assert np.array_equal(
        published[2][0].result.mask, second.step(picture(2), second.start())[0].mask
    )

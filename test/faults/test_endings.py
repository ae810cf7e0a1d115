# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Signals at random moments, partners that are killed, and hundreds of lifecycles."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from fault_scale import note, open_files, size, status_of
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_harness import (
    Harness,
    message_of,
    node_and_harness,
    picture,
    running,
    start_cameras,
    start_node,
)
from small_checkpoint import write_vit_s_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    write_vit_s_checkpoint(path)
    return path


@pytest.mark.long
def test_a_signal_at_a_random_moment(tmp_path, checkpoint):
    """From the first moment at which Python can be asked to steady state under load."""
    rng, slowest_s, count = random.Random(0), 0.0, size(100, 3)
    camera = start_cameras(["/camera/image_raw"], 15, 8.0 * count + 30)
    try:
        for number in range(count):
            log = tmp_path / f"log_{number}.txt"
            process = start_node(log, checkpoint=checkpoint, device="cpu")
            try:
                time.sleep(rng.uniform(0.15, 7.0))
                begun = time.monotonic()
                process.send_signal(rng.choice([signal.SIGINT, signal.SIGTERM]))
                code = process.wait(timeout=20.0)
                took_s = time.monotonic() - begun
            finally:
                process.kill()
                process.wait()
            words = log.read_text()
            assert code == 0 and "Traceback" not in words, (number, words)
            slowest_s = max(slowest_s, took_s)
    finally:
        camera.kill()
        camera.wait()
    note(
        f"SIGINT or SIGTERM at {count} random moments",
        f"exit code 0 and no traceback each time, the slowest ended after {slowest_s:.2f} s",
    )
    assert slowest_s < 2.2


@pytest.mark.long
def test_a_camera_that_is_killed_and_one_that_comes_after_it(tmp_path, checkpoint):
    with running(tmp_path, checkpoint, no_image_warning_s=1.0) as harness:
        camera = start_cameras(["/camera/image_raw"], 15, 60.0)
        harness.wait_for(lambda: len(harness.mask) > 3, "masks of the first camera")
        camera.kill()
        camera.wait()
        harness.wait_for(lambda: "no image on" in harness.words(), "a sentence on the silence")
        harness.mask.clear()
        camera = start_cameras(["/camera/image_raw"], 15, 60.0)
        begun = time.monotonic()
        harness.wait_for(lambda: harness.mask, "masks of the second camera")
        took_s = time.monotonic() - begun
        note("a camera killed by SIGKILL", f"masks of the next one {took_s:.1f} s after it began")
        camera.kill()
        camera.wait()


@pytest.mark.long
def test_one_who_listens_is_killed_in_the_middle(tmp_path, checkpoint):
    with running(tmp_path, checkpoint) as harness:
        listener = start_node(
            tmp_path / "other.txt",
            "image:=/segmenter/overlay",
            "__node:=other",
            checkpoint=checkpoint,
            device="cpu",
        )
        images = (message_of(picture(n), 10 + n / 15) for n in range(1000))
        harness.wait_for(
            lambda: "ready after" in (tmp_path / "other.txt").read_text(), "the listener", 60.0
        )
        for _ in range(5):
            harness.segment(next(images))
        listener.kill()
        listener.wait()
        for _ in range(15):
            harness.segment(next(images))


@pytest.mark.long
def test_lifecycles_leave_nothing_behind(tmp_path, checkpoint):
    cycles = size(100, 3)
    with node_and_harness(tmp_path, checkpoint=checkpoint, device="cpu", autostart=False) as (
        process,
        harness,
    ):
        harness.wait_for(lambda: harness.diagnostics, "diagnostics", 60.0)
        rows = []
        for number in range(cycles):
            for name in ("CONFIGURE", "ACTIVATE"):
                change(harness, name)
            harness.segment_once(message_of(picture(number), 10.0 + number))
            for name in ("DEACTIVATE", "CLEANUP"):
                change(harness, name)
            pid = process.pid
            rows.append((status_of(pid, "VmRSS"), status_of(pid, "Threads"), open_files(pid)))
        first, last = rows[min(len(rows) // 5, 10)], rows[-1]
        note(
            f"{cycles} times configure, activate, deactivate, cleanup",
            f"memory {first[0] / 1e3:.0f} to {last[0] / 1e3:.0f} MB, threads {first[1]} to "
            f"{last[1]}, file descriptors {first[2]} to {last[2]}",
        )
        assert last[0] < first[0] + 50_000
        assert last[1] <= first[1] + 1 and last[2] <= first[2] + 2
        process.terminate()
        assert process.wait(timeout=10.0) == 0


def change(harness: Harness, name: str) -> None:
    """Lead the node through a transition."""
    transition = Transition(id=getattr(Transition, f"TRANSITION_{name}"))
    assert harness.call(
        ChangeState, "change_state", ChangeState.Request(transition=transition)
    ).success

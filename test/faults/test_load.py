# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""More images than the machine can take, for long: nothing queues, grows or goes uncounted."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from fault_scale import note, open_files, size, status_of
from node_harness import node_and_harness, start_cameras
from sensor_msgs.msg import Image
from small_checkpoint import write_vit_s_checkpoint

CAMERAS = ("front", "left", "right", "rear")
RATE_HZ = 30


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    write_vit_s_checkpoint(path)
    return path


def test_four_cameras_at_30_hz(tmp_path, checkpoint):
    seconds = size(600.0, 4.0)
    remappings = [f"{name}/image:=/{name}/image" for name in CAMERAS]
    names = f"[{','.join(CAMERAS)}]"
    latencies, steps, last = [], [], dict.fromkeys(CAMERAS, 0.0)

    def heard(name: str, message: Image) -> None:
        now_s, stamp = time.time(), message.header.stamp
        latencies.append(now_s - stamp.sec - stamp.nanosec / 1e9)
        if last[name]:
            steps.append(now_s - last[name])
        last[name] = now_s

    with node_and_harness(
        tmp_path, *remappings, checkpoint=checkpoint, device="cpu", cameras=names
    ) as (process, harness):
        for name in CAMERAS:
            harness.node.create_subscription(
                Image, f"/segmenter/{name}/mask", lambda m, name=name: heard(name, m), 50
            )
        harness.wait_for(lambda: "ready after" in harness.words(), "the model", timeout_s=90.0)
        harness.wait_for(lambda: harness.diagnostics, "diagnostics")
        cameras = start_cameras([f"/{name}/image" for name in CAMERAS], RATE_HZ, seconds + 3)
        harness.wait_for(lambda: len(latencies) > 40, "masks", timeout_s=30.0)
        for kept in (latencies, steps, harness.diagnostics):
            kept.clear()
        memory = [status_of(process.pid, "VmRSS")]
        begin_s = time.monotonic()
        while time.monotonic() - begin_s < seconds:
            harness.executor.spin_once(timeout_sec=0.05)
            if time.monotonic() - begin_s > len(memory) * seconds / 20:
                memory.append(status_of(process.pid, "VmRSS"))
        statuses = len(harness.diagnostics)
        p50, p99 = np.percentile(latencies, [50, 99])
        step_s = float(np.percentile(steps, 90))
        assert cameras.wait(timeout=30.0) == 0

        def sums() -> list[tuple[int, int]]:
            harness.diagnostics.clear()
            harness.wait_for(lambda: harness.diagnostics, "diagnostics")
            found = []
            for status in harness.diagnostics[-1].status:
                values = {v.key: int(v.value) for v in status.values if v.value.isdigit()}
                dropped = sum(n for key, n in values.items() if key.startswith("dropped_"))
                found.append((values["images_received"], values["masks_published"] + dropped))
            return found

        harness.wait_for(
            lambda: all(received == answered for received, answered in sums()),
            "received = answered + dropped",
        )
        received = sum(received for received, _ in sums())
        note(
            f"4 cameras at {RATE_HZ} Hz for {seconds:.0f} s",
            f"{received} images received, each answered or counted; {len(latencies) / seconds:.1f} "
            f"masks/s; latency p50 {1e3 * p50:.0f} ms, p99 {1e3 * p99:.0f} ms, where a step takes "
            f"{1e3 * step_s:.0f} ms; memory {memory[2] / 1e3:.0f} to {memory[-1] / 1e3:.0f} MB; "
            f"{statuses} diagnostics",
        )
        assert p99 < step_s + 1 / RATE_HZ + size(0.05, 0.5)
        assert statuses >= seconds - 2
        assert memory[-1] < memory[2] + 30_000
        process.terminate()
        assert process.wait(timeout=10.0) == 0
        assert "Traceback" not in harness.words()


@pytest.mark.long
def test_a_long_run_at_camera_rate_leaves_memory_threads_and_files_as_they_were(
    tmp_path, checkpoint
):
    seconds = size(1800.0, 5.0)
    with node_and_harness(tmp_path, checkpoint=checkpoint, device="cpu") as (process, harness):
        harness.wait_for(lambda: "ready after" in harness.words(), "the model", timeout_s=90.0)
        camera = start_cameras(["/camera/image_raw"], 15, seconds + 5)
        harness.wait_for(lambda: len(harness.mask) > 20, "masks")

        def figures() -> tuple[int, int, int]:
            pid = process.pid
            return status_of(pid, "VmRSS"), status_of(pid, "Threads"), open_files(pid)

        rows, begin_s = [figures()], time.monotonic()
        while time.monotonic() - begin_s < seconds:
            harness.executor.spin_once(timeout_sec=0.1)
            harness.mask.clear()
            if time.monotonic() - begin_s > len(rows) * seconds / 30:
                rows.append(figures())
        first, last = rows[len(rows) // 6], rows[-1]
        note(
            f"a camera at 15 Hz for {seconds:.0f} s",
            f"memory {first[0] / 1e3:.0f} to {last[0] / 1e3:.0f} MB, threads {first[1]} to "
            f"{last[1]}, file descriptors {first[2]} to {last[2]}",
        )
        assert last[0] < first[0] + 30_000
        assert last[1] <= first[1] and last[2] <= first[2] + 2
        camera.kill()
        camera.wait()
        process.terminate()
        assert process.wait(timeout=10.0) == 0

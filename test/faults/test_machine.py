# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a machine does to a node: a model that fails or hangs, a clock that jumps, a full disk."""

from __future__ import annotations

import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from diagnostic_msgs.msg import DiagnosticStatus
from fault_scale import note, size
from node_harness import message_of, node_and_harness, picture, running
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from small_checkpoint import write_vit_s_checkpoint
from small_model import small_config
from small_runs import brightness_videos, options

from t2g_core.training import train as training
from t2g_ros.msg import TemporalConsistency

# The node, whose model does not encode some frames of which the top left pixel is red.
FAULTY_NODE = """
import sys, time
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
encode = StreamingSegmenter.encode_together
def faulty(self, frames):
    red = int(frames[0][0, 0, 0]), int(frames[0][0, 0, 1])
    if red == (255, 1):
        raise RuntimeError("the GPU has fallen off the bus")
    if red == (255, 2):
        raise MemoryError("CUDA out of memory")
    if red == (255, 3):
        time.sleep(4.0)
    return encode(self, frames)
StreamingSegmenter.encode_together = faulty
from t2g_ros.process import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    write_vit_s_checkpoint(path)
    return path


def marked(number: int, fault: int):
    image = picture(number)
    image[0, 0] = (255, fault, 0)
    return image


def test_a_model_that_raises_runs_out_of_memory_or_hangs_is_counted_said_and_over(
    tmp_path, checkpoint
):
    program = tmp_path / "node.py"
    program.write_text(FAULTY_NODE)
    with node_and_harness(
        tmp_path, program=program, checkpoint=checkpoint, device="cpu", no_mask_error_s=1.0
    ) as (process, harness):
        harness.wait_until_ready()
        harness.segment(message_of(picture(0), 1.0))

        def fault_at(fault: int, stamp_s: float, sentence: str) -> None:
            harness.diagnostics.clear()
            harness.images.publish(message_of(marked(0, fault), stamp_s))

            def said() -> bool:
                return any(
                    sentence in status.message and status.level == DiagnosticStatus.ERROR
                    for message in harness.diagnostics
                    for status in message.status
                )

            harness.wait_for(said, sentence)

        fault_at(1, 1.1, "the GPU has fallen off the bus")
        fault_at(2, 1.2, "MemoryError: CUDA out of memory")
        harness.segment(message_of(picture(0), 1.3))
        assert harness.consistency[0].reset_reason == TemporalConsistency.RESET_INFERENCE_ERROR
        fault_at(3, 1.4, "images come, but no mask for")
        harness.wait_for(lambda: len(harness.mask) == 2, "the mask of the step that hung")
        harness.segment(message_of(picture(0), 1.5))
        values = harness.values()
        assert values["dropped_inference_error"] == "2"
        note(
            "a model that raises, runs out of memory, hangs for 4 s",
            "an error on /diagnostics with its reason each time, and masks again afterwards",
        )
        process.terminate()
        assert process.wait(timeout=10.0) == 0


def test_clocks_that_jump_and_a_storm_of_parameters(tmp_path, checkpoint):
    count = size(2000, 60)
    with running(tmp_path, checkpoint) as harness:
        stamps = (10.0, 1e9, 1e9 + 0.1, 5.0, 5.1, 0.0, 2**31 - 2.0, 5.2)
        for number, stamp_s in enumerate(stamps):
            harness.segment(message_of(picture(number), stamp_s))
        client = harness.node.create_client(SetParameters, "/segmenter/set_parameters")
        assert client.wait_for_service(10.0)
        futures, masks = [], 0
        for number in range(count):
            good = number % 2 == 0
            value = 0.1 + number % 9 / 10 if good else (-1.0, "x", 7.5, 10**9)[number // 2 % 4]
            parameter = Parameter("overlay_opacity", value=value).to_parameter_msg()
            futures.append((good, client.call_async(SetParameters.Request(parameters=[parameter]))))
            # As many as a service's queue holds; ROS drops what comes on top of it.
            harness.wait_for(
                lambda: sum(not future.done() for _, future in futures[-9:]) < 8, "an answer"
            )
            if number % 20 == 0:
                harness.segment(message_of(picture(number), 20.0 + number / 30))
                masks += 1
        harness.wait_for(lambda: all(f.done() for _, f in futures), "answers", 60.0)
        for good, future in futures:
            assert future.result().results[0].successful == good
        note(
            f"{count} parameter calls, eight at a time, half of them wrong",
            f"each answered, {masks} of {masks} images segmented meanwhile",
        )


@contextmanager
def full_disk(most: int):
    """No file can grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_is_a_sentence_of_the_command(tmp_path, checkpoint):
    from PIL import Image

    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(picture(number)).save(folder / f"{number}.png")
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)); " \
        "from t2g_core.cli import main; sys.exit(main())"  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", code, "segment", str(folder), "--checkpoint", str(checkpoint)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "t2g segment: [Errno 27] File too large" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_disk_that_fills_up_while_training_leaves_the_state_before(tmp_path, monkeypatch):
    brightness_videos(tmp_path / "data")
    out, save = tmp_path / "out", training.save_state
    config = small_config("linear")
    with pytest.raises((OSError, RuntimeError)):

        def save_then_fill(path, iteration, *rest):
            if iteration == 2:
                return save(path, iteration, *rest)
            with full_disk(1000):
                return save(path, iteration, *rest)

        monkeypatch.setattr(training, "save_state", save_then_fill)
        torch.manual_seed(2)  # the random encoder
        training.train(config, options(tmp_path / "data", out))
    monkeypatch.setattr(training, "save_state", save)
    assert not list(out.glob("*partial*"))
    torch.manual_seed(2)
    training.train(config, options(tmp_path / "data", out))
    rows = (out / "log.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == list(range(len(rows)))

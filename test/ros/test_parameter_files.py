# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A parameter file for another node: by name alone, and what the real node says of it."""

from __future__ import annotations

import signal
import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from node_harness import start_node

from t2g_ros.parameter_files import files_without_entry

ENTRY = "ros__parameters: {max_gap_s: 2.0}"


@pytest.mark.parametrize(
    ("text", "node", "names"),
    [
        (f"/**: {{{ENTRY}}}", "/robot/segmenter", None),
        (f"segmenter: {{{ENTRY}}}", "/segmenter", None),
        (f"/robot/segmenter: {{{ENTRY}}}", "/robot/segmenter", None),
        (f"robot: {{segmenter: {{{ENTRY}}}}}", "/robot/segmenter", None),
        (f"/*/segmenter: {{{ENTRY}}}", "/robot/segmenter", None),
        (f"/**/segmenter: {{{ENTRY}}}", "/a/b/segmenter", None),
        (f"/**/segmenter: {{{ENTRY}}}", "/segmenter", None),
        (f"segmenter: {{{ENTRY}}}", "/robot/segmenter", "/segmenter"),
        (f"/*: {{{ENTRY}}}", "/robot/segmenter", "/*"),
        (f"a: {{{ENTRY}}}\nrobot: {{b: {{{ENTRY}}}}}", "/segmenter", "/a, /robot/b"),
        ("# empty", "/segmenter", "none"),
    ],
)
def test_the_entry_is_found_as_rcl_finds_it(tmp_path, text, node, names):
    path = tmp_path / "parameters.yaml"
    path.write_text(text)
    sentences = files_without_entry(["node", "--ros-args", "--params-file", str(path)], node)
    if names is None:
        assert not sentences
    else:
        (sentence,) = sentences
        assert f"has no entry for {node}" in sentence and sentence.endswith(f"it has: {names}")


@pytest.mark.parametrize(("node", "is_said"), [("other", True), ("segmenter", False)])
def test_the_node_says_which_name_was_looked_for(tmp_path, node, is_said):
    path = tmp_path / "parameters.yaml"
    path.write_text(f"{node}:\n  ros__parameters:\n    checkpoint: /nowhere.safetensors\n")
    log = tmp_path / "log.txt"
    process = start_node(log, params_file=path)
    if not is_said:  # it takes the file's checkpoint, which is not there
        assert process.wait(timeout=30.0) == 1
        assert "no checkpoint /nowhere.safetensors" in log.read_text()
        assert "has no entry" not in log.read_text()
        return
    try:
        end_s = time.monotonic() + 30.0
        while "loading" not in log.read_text() and time.monotonic() < end_s:
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=10.0)
    said = "has no entry for /segmenter, which starts without its parameters; it has: /other"
    assert said in log.read_text()

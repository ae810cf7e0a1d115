# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""docs/reference.md says what the node has; the parameter file its defaults."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

import rclpy
import yaml
from node_harness import DOMAIN_ID

from t2g_ros.parameters import SegmenterParameters, declare_parameters, read_parameters
from t2g_ros.reference import PUBLISHED, SERVICES, SUBSCRIBED

TOP = Path(__file__).parents[2]
PAGE, FILE, POLICY = (
    TOP / name for name in ("docs/reference.md", "config/segmenter.yaml", "config/sros2_policy.xml")
)


def test_page_and_parameter_file_are_what_the_node_would_write(tmp_path):
    environment = {**os.environ, "ROS_DOMAIN_ID": str(DOMAIN_ID)}
    for folder in ("docs", "config"):
        (tmp_path / folder).mkdir()
    command = [sys.executable, "-m", "t2g_ros.reference"]
    subprocess.run(command, env=environment, timeout=60, check=True, cwd=tmp_path)
    for path in (PAGE, FILE, POLICY):
        written = (tmp_path / path.relative_to(TOP)).read_text()
        assert written == path.read_text(), f"{path}: {' '.join(command[1:])}"
    for name in (*SUBSCRIBED, *PUBLISHED, *SERVICES):
        assert f"| `{name}` |" in PAGE.read_text()


def test_a_node_with_the_parameter_file_has_the_defaults():
    context = rclpy.Context()
    rclpy.init(
        context=context, domain_id=DOMAIN_ID, args=["--ros-args", "--params-file", str(FILE)]
    )
    node = rclpy.create_node("segmenter", context=context)
    try:
        declare_parameters(node)
        assert read_parameters(node) == SegmenterParameters()
        names = yaml.safe_load(FILE.read_text())["/**"]["ros__parameters"]
        assert set(names) == set(SegmenterParameters.__dataclass_fields__)
        told = node.describe_parameter("max_gap_s")
        assert "between the stamps" in told.description and not told.read_only
        assert told.floating_point_range[0].to_value == 3600.0
        assert node.describe_parameter("device").read_only
    finally:
        node.destroy_node()
        context.try_shutdown()


@pytest.mark.parametrize(
    "name",
    [
        "segmenter.rviz",
        "four_cameras.rviz",
        "segmenter.foxglove.json",
        "four_cameras.foxglove.json",
    ],
)
def test_views_show_topics_that_there_are(name):
    text = (PAGE.parents[1] / "config" / name).read_text()
    found = set(re.findall(r"segmenter/(?:(?:front|left|right|rear)/)?(\w+)", text))
    assert found and {f"~/{topic}" for topic in found} <= set(PUBLISHED)
    assert ("front/" in text) == name.startswith("four")
    yaml.safe_load(text)  # JSON is YAML

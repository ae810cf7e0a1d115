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

from t2g_ros.parameters import declare_parameters
from t2g_ros.reference import HEARD, PUBLISHED, SERVICES, own_parameters, written_parameters

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


def test_the_page_is_what_the_node_would_write():
    environment = {**os.environ, "ROS_DOMAIN_ID": str(DOMAIN_ID)}
    command = [sys.executable, "-m", "t2g_ros.reference"]
    written = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=60, check=True
    ).stdout
    assert written == PAGE.read_text(), f"{' '.join(command[1:])} > docs/reference.md"
    for name in (*HEARD, *PUBLISHED, *SERVICES):
        assert f"| `{name}` |" in written


def test_the_parameter_file_has_the_defaults():
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN_ID)
    node = rclpy.create_node("segmenter", context=context)
    declare_parameters(node)
    declared = {name: node.get_parameter(name).value for name in own_parameters(node)}
    assert written_parameters() == declared
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

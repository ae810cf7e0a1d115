# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""nav2's bond: heard by another node, with bond_core's message, which is built for the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from node_harness import NODE_ENVIRONMENT, Harness, start_node
from small_checkpoint import write_vit_s_checkpoint
from test_lifecycle import change

PACKAGE = """<?xml version="1.0"?>
<package format="3">
  <name>bond</name><version>0.0.0</version><description>the message alone</description>
  <maintainer email="nobody@example.com">nobody</maintainer><license>BSD</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  <depend>std_msgs</depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""
CMAKE = """cmake_minimum_required(VERSION 3.16)
project(bond)
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
find_package(std_msgs REQUIRED)
rosidl_generate_interfaces(bond msg/Status.msg DEPENDENCIES std_msgs)
ament_package()
"""
STATUS = """std_msgs/Header header
string id
string instance_id
bool active
float32 heartbeat_timeout
float32 heartbeat_period
"""
LISTENER = """
import sys, time, rclpy
from bond.msg import Status
rclpy.init()
node, seen = rclpy.create_node("manager"), []
node.create_subscription(Status, "/bond", seen.append, 100)
while not (seen and not seen[-1].active):
    rclpy.spin_once(node, timeout_sec=0.1)
    if len(seen) == 10:
        print("ten", flush=True)
beats = [s for s in seen if s.active]
print({s.id for s in seen}, len({s.instance_id for s in seen}), beats[0].heartbeat_period)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """With bond/msg/Status, built as a robot has it."""
    root = tmp_path_factory.mktemp("bond")
    (root / "msg").mkdir()
    for name, text in (("package.xml", PACKAGE), ("CMakeLists.txt", CMAKE)):
        (root / name).write_text(text)
    (root / "msg" / "Status.msg").write_text(STATUS)
    prefix = Path(sys.executable).parents[1]
    options = [f"-DPython3_EXECUTABLE={sys.executable}", f"-DCMAKE_PREFIX_PATH={prefix}"]
    path = f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["colcon", "build", "--cmake-args", *options],
        cwd=root, check=True, env={**os.environ, "PATH": path}, capture_output=True,
    )  # fmt: skip
    printed = subprocess.run(
        ["bash", "-c", "source install/setup.bash && env -0"],
        cwd=root, check=True, env=NODE_ENVIRONMENT, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return dict(line.split("=", 1) for line in printed.split("\0") if "=" in line)


def test_a_manager_hears_the_node_while_it_is_active(tmp_path, environment):
    write_vit_s_checkpoint(tmp_path / "small.safetensors")
    log = tmp_path / "log.txt"
    process = start_node(
        log, environment=environment, checkpoint=tmp_path / "small.safetensors", autostart="false"
    )
    listener = subprocess.Popen(
        [sys.executable, "-c", LISTENER], env=environment, stdout=subprocess.PIPE, text=True
    )
    harness = Harness(log)
    try:
        assert change(harness, "configure") and change(harness, "activate")
        assert listener.stdout.readline() == "ten\n"
        assert change(harness, "deactivate")
        said, _ = listener.communicate(timeout=20.0)
        assert said.splitlines()[-1].startswith("{'segmenter'} 1 0.1")
    finally:
        for child in (process, listener):
            child.kill()
            child.wait()
        harness.close()

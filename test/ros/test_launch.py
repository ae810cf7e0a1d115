"""The launch file through the real `launch`: its arguments, and the node it starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip(
    "launch_ros", reason="`launch` and `launch_ros` come with a ROS distribution, not as wheels"
)

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchService
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    IncludeLaunchDescription,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessIO
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node
from small_checkpoint import write_vit_s_checkpoint

ARGUMENTS = {
    "image_topic",
    "checkpoint",
    "device",
    "encoder_weights",
    "params_file",
    "namespace",
    "use_sim_time",
    "log_level",
    "rviz",
}


@pytest.fixture
def source() -> PythonLaunchDescriptionSource:
    share = Path(get_package_share_directory("t2g_ros"))
    return PythonLaunchDescriptionSource(str(share / "launch" / "segmenter.launch.py"))


def test_every_argument_is_described(source):
    description = source.get_launch_description(LaunchContext())
    declared = [item for item in description.entities if isinstance(item, DeclareLaunchArgument)]
    assert {argument.name for argument in declared} == ARGUMENTS
    assert all(argument.description for argument in declared)


def test_rviz_starts_only_if_asked_for(source):
    for asked in ("true", "false"):
        context = LaunchContext()
        context.launch_configurations["rviz"] = asked
        description = source.get_launch_description(context)
        for argument in description.entities[:-1]:
            argument.visit(context)
        nodes = description.entities[-1].visit(context)
        assert all(isinstance(node, Node) for node in nodes)
        assert nodes[1].condition.evaluate(context) == (asked == "true")


def test_the_launched_node_loads_its_model_on_the_topic_asked_for(source, tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str((os.getpid() + 50) % 100 + 1))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    checkpoint = tmp_path / "small.safetensors"
    write_vit_s_checkpoint(checkpoint)
    words = []

    def listen(event):
        words.append(event.text.decode())
        return [EmitEvent(event=Shutdown())] if "ready after" in words[-1] else []

    arguments = {"image_topic": "/front", "namespace": "car", "checkpoint": str(checkpoint)}
    service = LaunchService()
    service.include_launch_description(
        LaunchDescription(
            [
                RegisterEventHandler(OnProcessIO(on_stdout=listen, on_stderr=listen)),
                IncludeLaunchDescription(source, launch_arguments=arguments.items()),
            ]
        )
    )
    assert service.run() == 0
    text = "".join(words)
    assert "[car.segmenter]: images are awaited on /front" in text
    assert f"loading {checkpoint}" in text

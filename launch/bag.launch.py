# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""An example to copy: play a bag and segment it, with the bag's own time."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

SEGMENTER = Path(get_package_share_directory("t2g_ros"), "launch", "segmenter.launch.py")


def generate_launch_description() -> LaunchDescription:
    """`ros2 bag play` with /clock, slowly enough for a CPU, and the segmenter on its time."""
    bag = DeclareLaunchArgument("bag", description="The bag: a folder, an MCAP or sqlite3 file.")
    topic = DeclareLaunchArgument(
        "image_topic", default_value="/camera/image_raw", description="The bag's image topic."
    )
    rate = DeclareLaunchArgument(
        "rate", default_value="1.0", description="Speed of the replay: 0.1 is a tenth."
    )
    delay = DeclareLaunchArgument(
        "delay", default_value="15.0", description="Wait so long for the model before it plays [s]."
    )
    play = ExecuteProcess(
        cmd=[
            "ros2", "bag", "play", "--clock", "100",
            "--rate", LaunchConfiguration("rate"),
            "--delay", LaunchConfiguration("delay"),
            LaunchConfiguration("bag"),
        ],
        output="screen",
    )  # fmt: skip
    arguments = {"image_topic": LaunchConfiguration("image_topic"), "use_sim_time": "true"}
    segmenter = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SEGMENTER)), launch_arguments=arguments.items()
    )
    return LaunchDescription([bag, topic, rate, delay, segmenter, play])

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""An example to copy: four cameras around a robot on one model.

Their drivers publish on /front/image_raw, /left/image_raw, /right/image_raw and /rear/image_raw;
masks come on /segmenter/front/mask and so on.
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

SEGMENTER = Path(get_package_share_directory("t2g_ros"), "launch", "segmenter.launch.py")


def generate_launch_description() -> LaunchDescription:
    """The segmenter for these four; every other argument of segmenter.launch.py is open too."""
    cameras = DeclareLaunchArgument(
        "cameras",
        default_value="front,left,right,rear",
        description="Names of the cameras that share the model, with commas.",
    )
    topic = DeclareLaunchArgument(
        "image_topic",
        default_value="/{camera}/image_raw",
        description="Topic of their images; {camera} stands for each one's name.",
    )
    arguments = {name: LaunchConfiguration(name) for name in ("cameras", "image_topic")}
    segmenter = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SEGMENTER)), launch_arguments=arguments.items()
    )
    return LaunchDescription([cameras, topic, segmenter])

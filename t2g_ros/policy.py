# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g policy`: the SROS 2 policy of the node, as sros2's `create_permission` takes it.

It is written from a node that exists, with the remappings and parameters that are given: what it
subscribes to, publishes and answers, and nothing else.
"""

from __future__ import annotations

import argparse
import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import rclpy

from t2g_ros.segmenter import Segmenter

VERSION = "0.2.0"
# Where vision_msgs and bond_core are installed, which is not where this is written.
OPTIONAL = "~/label_info", "bond"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``t2g policy``."""
    parser.description = (
        "Print the SROS 2 policy of the segmenter: the topics and services that it needs, and no "
        "others. Give the remappings and parameters that it is started with. Use: t2g policy -r "
        "image:=/camera/image_raw > policy.xml; ros2 security create_permission KEYSTORE "
        "/segmenter policy.xml"
    )
    parser.add_argument(
        "-r", "--remap", action="append", default=[], metavar="FROM:=TO", help="as ROS has it"
    )
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME:=VALUE", help="as ROS has it"
    )


def run(args: argparse.Namespace) -> int:
    """Print the policy of a node with these arguments."""
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    print(policy_of(args.remap, args.param), end="")
    return 0


def policy_of(remappings: Sequence[str] = (), parameters: Sequence[str] = ()) -> str:
    """The policy of a node that is started with these remappings and parameters.

    Raises:
        ValueError: ROS, or the node, does not take them.
    """
    given = ["--ros-args"]
    for remapping in remappings:
        given += ["-r", remapping]
    for parameter in (*parameters, "autostart:=false"):
        given += ["-p", parameter]
    try:
        rclpy.init(args=given)
        node = Segmenter()
    except Exception as error:  # rclpy's own errors have many types
        rclpy.try_shutdown()
        raise ValueError(f"no node starts with {' '.join(given)}: {error}") from error
    try:
        return written(node)
    finally:
        node.stop()
        node.destroy_node()
        rclpy.try_shutdown()


def written(node: Segmenter) -> str:
    """The policy of a node that is configured to no more than its topics."""
    for camera in node.cameras:
        camera.open_outputs()
        camera.start("auto", False, lambda frame: False)
    name, space = node.get_name(), node.get_namespace()
    own = node.get_fully_qualified_name()

    def names(found: list[tuple[str, list[str]]]) -> list[str]:
        return sorted({topic for topic, _ in found})

    subscribed = names(node.get_subscriber_names_and_types_by_node(name, space))
    published = names(node.get_publisher_names_and_types_by_node(name, space))
    published += [node.resolve_topic_name(topic) for topic in ("~/classes", *OPTIONAL)]
    answered = names(node.get_service_names_and_types_by_node(name, space))
    if "/clock" not in subscribed:
        subscribed.append("/clock")  # use_sim_time may be set at any time

    policy = ET.Element("policy", version=VERSION)
    enclave = ET.SubElement(ET.SubElement(policy, "enclaves"), "enclave", path=own)
    profile = ET.SubElement(ET.SubElement(enclave, "profiles"), "profile", ns=space, node=name)
    for kind, right, items in (
        ("topic", "subscribe", subscribed),
        ("topic", "publish", published),
        ("service", "reply", answered),
    ):
        section = ET.SubElement(profile, f"{kind}s", {right: "ALLOW"})
        for item in sorted(set(items)):
            ET.SubElement(section, kind).text = item
    ET.indent(policy)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(policy, encoding="unicode")}\n'

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Plain words for the commonest trouble on a robot: nothing arrives, and nobody says why."""

from __future__ import annotations

from rclpy.event_handler import QoSOfferedIncompatibleQoSInfo, QoSRequestedIncompatibleQoSInfo
from rclpy.node import Node
from rclpy.qos import qos_policy_name_from_kind

SERVED = {"reliability": "reliable or best effort", "durability": "volatile"}
IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"


def why_no_image(node: Node, topic: str, silence_s: float) -> str:
    """A sentence on why no image may have come on `topic` (full name) for `silence_s` seconds."""
    publishers = node.count_publishers(topic)
    silence = f"no image on {topic} for {silence_s:.0f} s"
    foreign = foreign_types(node, topic)
    if foreign:
        return (
            f"{silence}: what is published there is {', '.join(foreign)}, and this node takes "
            f"{IMAGE_TYPE} or {COMPRESSED_TYPE}"
        )
    if publishers:
        return (
            f"{silence}, though {publishers} publisher(s) are there: is the camera running, or "
            "does the network drop large messages?"
        )
    others = other_image_topics(node, topic)
    if others:
        return f"{silence} and nobody publishes there; image topics here: {', '.join(others)}"
    return f"{silence} and nobody publishes images here: camera not started, other ROS_DOMAIN_ID?"


def foreign_types(node: Node, topic: str) -> list[str]:
    """Types other than images' that somebody publishes on `topic`."""
    offered = {info.topic_type for info in node.get_publishers_info_by_topic(topic)}
    return sorted(offered - {IMAGE_TYPE, COMPRESSED_TYPE})


def other_image_topics(node: Node, topic: str) -> list[str]:
    """Topics of images that somebody else publishes, without `topic` itself."""
    own = node.get_fully_qualified_name() + "/"
    return sorted(
        name
        for name, types in node.get_topic_names_and_types()
        if {IMAGE_TYPE, COMPRESSED_TYPE} & set(types)
        and name != topic
        and not name.startswith(own)
        and node.count_publishers(name)
    )


def unheard_publisher(topic: str, event: QoSRequestedIncompatibleQoSInfo) -> str:
    """A sentence for a publisher whose images cannot come because of its quality of service."""
    policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
    if policy == "reliability":
        return (
            f"a publisher on {topic} is best effort and this node was told to be reliable: its "
            "images do not come; start the node with reliability:=auto"
        )
    return (
        f"a publisher on {topic} offers a {policy} that this node cannot take: its images do not "
        f"come; change its quality of service ({policy})"
    )


def unserved_subscriber(topic: str, event: QoSOfferedIncompatibleQoSInfo) -> str:
    """A sentence for a subscriber that cannot get this node's messages."""
    policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
    return (
        f"a subscriber of {topic} asks for a {policy} that this node does not offer: it gets no "
        f"messages; let it ask for {SERVED.get(policy, 'no ' + policy)}"
    )

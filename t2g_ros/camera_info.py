# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The camera's calibration, passed on with each mask: what projects a mask needs both."""

from __future__ import annotations

import copy

from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header


class CameraInfoRelay:
    """Hears a camera's information and publishes the last one with the header of each mask.

    Nothing goes out before the camera has said anything, or while nobody listens.
    """

    def __init__(self, node: Node, source: str, target: str) -> None:
        """source, target: topics that it is heard and published on."""
        self._node = node
        self._last: CameraInfo | None = None
        self._publisher = node.create_publisher(CameraInfo, target, 5)
        # Best effort hears every publisher, and a small message that is lost comes again.
        self._subscription = node.create_subscription(
            CameraInfo, source, self._keep, qos_profile_sensor_data
        )

    def close(self) -> None:
        """Hear and say nothing more."""
        self._node.destroy_subscription(self._subscription)
        self._node.destroy_publisher(self._publisher)

    def has_subscribers(self) -> bool:
        """Whether anybody subscribes to what is passed on."""
        return self._publisher.get_subscription_count() > 0

    def publish(self, header: Header) -> None:
        """With the header of the image that a mask belongs to."""
        if self._last is None or not self.has_subscribers():
            return
        message = copy.copy(self._last)
        message.header = header
        self._publisher.publish(message)

    def _keep(self, message: CameraInfo) -> None:
        self._last = message

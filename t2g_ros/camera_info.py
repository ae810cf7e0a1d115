"""The camera's calibration, passed on with each mask: what projects a mask needs both."""

from __future__ import annotations

import copy

from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header


class CameraInfoRelay:
    """Hears `camera_info` and publishes the last one on `~/camera_info` with a mask's header.

    Nothing goes out before the camera has said anything, or while nobody listens.
    """

    def __init__(self, node: Node) -> None:
        self._last: CameraInfo | None = None
        self._publisher = node.create_publisher(CameraInfo, "~/camera_info", 5)
        # Best effort hears every publisher, and a small message that is lost comes again.
        node.create_subscription(CameraInfo, "camera_info", self._keep, qos_profile_sensor_data)

    def publish(self, header: Header) -> None:
        """With the header of the image that a mask belongs to."""
        if self._last is None or not self._publisher.get_subscription_count():
            return
        message = copy.copy(self._last)
        message.header = header
        self._publisher.publish(message)

    def _keep(self, message: CameraInfo) -> None:
        self._last = message

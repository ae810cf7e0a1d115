# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The node's publishers, and what goes out for one segmented image."""

from __future__ import annotations

import numpy as np
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from t2g_core.health.stream_health import FrameHealth
from t2g_core.images.overlay import overlay
from t2g_core.metrics.flicker_map import FlickerMap
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.streaming.video_segmenter import SegmentedFrame
from t2g_ros.camera_info import CameraInfoRelay
from t2g_ros.input_watch import unserved_subscriber
from t2g_ros.messages import class_list_message, image_message, temporal_consistency_message
from t2g_ros.msg import ClassList, TemporalConsistency
from t2g_ros.parameters import SegmenterParameters

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ModuleNotFoundError:  # it is on robots, and in no wheel
    LabelInfo = VisionClass = None

# Reliable and shallow: every subscriber can take it.
OUTPUT_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class Outputs:
    """Of one camera: mask and temporal_consistency always; confidence, overlay and instability
    while someone listens; camera_info while the camera sends one.

    All carry the header of the image they belong to, and pictures have its size.
    """

    def __init__(self, node: Node, own: str, camera_info: str) -> None:
        """own: the namespace of the topics; camera_info: where the camera publishes it."""
        self._node = node
        self._publishers: list[Publisher] = []
        self._mask = self._publisher(Image, f"{own}/mask")
        self._consistency = self._publisher(TemporalConsistency, f"{own}/temporal_consistency")
        self._confidence = self._publisher(Image, f"{own}/confidence")
        self._overlay = self._publisher(Image, f"{own}/overlay")
        self._instability = self._publisher(Image, f"{own}/instability")
        self._flicker = FlickerMap()
        self._camera_info = CameraInfoRelay(node, camera_info, f"{own}/camera_info")

    def close(self) -> None:
        """Take the publishers away."""
        self._camera_info.close()
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)

    def has_subscribers(self) -> bool:
        """Whether anybody subscribes to one of them."""
        counts = [publisher.get_subscription_count() for publisher in self._publishers]
        return any(counts) or self._camera_info.has_subscribers()

    def publish(
        self,
        header: Header,
        image: np.ndarray,
        frame: SegmentedFrame,
        health: FrameHealth,
        segmenter: StreamingSegmenter,
        parameters: SegmenterParameters,
    ) -> None:
        """Publish everything for one image, (H, W, 3) uint8 RGB; header is that of its message."""
        mask = frame.result.mask
        self._mask.publish(image_message(mask, "mono8", header))
        self._consistency.publish(
            temporal_consistency_message(
                frame, health, parameters.motion_correction, segmenter.class_names, header
            )
        )
        self._camera_info.publish(header)
        watched = self._instability.get_subscription_count() > 0
        if frame.reset is not None or not watched:
            self._flicker = FlickerMap()  # what it has seen does not reach across
        if watched:
            changes = (255 * self._flicker.update(mask)).round().astype(np.uint8)
            self._instability.publish(image_message(changes, "mono8", header))
        if self._confidence.get_subscription_count():
            self._confidence.publish(image_message(frame.result.confidence, "mono8", header))
        if self._overlay.get_subscription_count():
            painted = overlay(image, mask, segmenter.palette, parameters.overlay_opacity)
            self._overlay.publish(image_message(painted, "rgb8", header))

    def _publisher(self, message_type: type, topic: str) -> Publisher:
        name = self._node.resolve_topic_name(topic)
        logger = self._node.get_logger()
        events = PublisherEventCallbacks(
            incompatible_qos=lambda event: logger.warning(unserved_subscriber(name, event))
        )
        publisher = self._node.create_publisher(
            message_type, topic, OUTPUT_QOS, event_callbacks=events
        )
        self._publishers.append(publisher)
        return publisher


class ClassesOutput:
    """~/classes, once for each model; and ~/label_info with the names for those who know
    vision_msgs, where it is installed.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._classes = node.create_publisher(ClassList, "~/classes", LATCHED_QOS)
        self._label_info = None
        if LabelInfo is not None:
            self._label_info = node.create_publisher(LabelInfo, "~/label_info", LATCHED_QOS)

    def publish(self, segmenter: StreamingSegmenter) -> None:
        """Say what the values of the masks mean from now on."""
        header = Header(stamp=self._node.get_clock().now().to_msg())
        message = class_list_message(segmenter.class_names, segmenter.palette, header)
        self._classes.publish(message)
        if self._label_info is not None:
            names = enumerate(segmenter.class_names)
            class_map = [VisionClass(class_id=number, class_name=name) for number, name in names]
            self._label_info.publish(LabelInfo(header=header, class_map=class_map, threshold=0.0))

    def close(self) -> None:
        """Take the publishers away."""
        for publisher in (self._classes, self._label_info):
            if publisher is not None:
                self._node.destroy_publisher(publisher)

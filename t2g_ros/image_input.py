# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The subscription to the camera: it takes what publishers offer, and says what does not come.

The type of the topic is what is published there: raw images, or compressed ones (JPEG, PNG).
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.event_handler import QoSMessageLostInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

from t2g_core.images.encodings import check_compressed, check_image
from t2g_ros.input_watch import COMPRESSED_TYPE, IMAGE_TYPE, unheard_publisher
from t2g_ros.rclpy_internals import given_parameters

AUTO, RELIABLE, BEST_EFFORT = "auto", "reliable", "best_effort"
KINDS = {IMAGE_TYPE: Image, COMPRESSED_TYPE: CompressedImage}
POLICIES = {RELIABLE: ReliabilityPolicy.RELIABLE, BEST_EFFORT: ReliabilityPolicy.BEST_EFFORT}
# Some depth, so that images which come while this process is busy are counted, not lost unseen.
DEPTH = 5


class ImageInput:
    """Images of one topic, `Image` or `CompressedImage` as its publishers send them.

    reliability: `reliable` gets large images whole, but nothing from a best-effort publisher;
    `best_effort` hears every publisher and loses large images where shared memory is small;
    `auto` is reliable as long as all publishers are, and best effort from the moment one is not.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        reliability: str,
        on_image: Callable[[Image | CompressedImage], None],
        on_lost: Callable[[int], None],
    ) -> None:
        self._node, self._topic, self._on_image, self._on_lost = node, topic, on_image, on_lost
        self._auto = reliability == AUTO
        self.reliability = RELIABLE if self._auto else reliability
        self._kind = IMAGE_TYPE
        self._subscription = self._subscribe()

    def close(self) -> None:
        """Hear nothing more."""
        self._node.destroy_subscription(self._subscription)

    @property
    def topic(self) -> str:
        """The full name."""
        return self._subscription.topic_name

    def match_publishers(self) -> None:
        """Take up the type that the publishers send now and, with `auto`, their reliability.

        Where raw and compressed images come on one topic, the raw ones are taken.
        """
        offered = self._node.get_publishers_info_by_topic(self.topic)
        offered = [offer for offer in offered if offer.topic_type in KINDS]
        if not offered:
            return
        kinds = {offer.topic_type for offer in offered}
        kind = IMAGE_TYPE if IMAGE_TYPE in kinds else COMPRESSED_TYPE
        heard = [offer.qos_profile.reliability for offer in offered if offer.topic_type == kind]
        reliability = self.reliability
        if self._auto:
            lossy = ReliabilityPolicy.BEST_EFFORT in heard
            reliability = BEST_EFFORT if lossy else RELIABLE
        if (kind, reliability) != (self._kind, self.reliability):
            self._kind, self.reliability = kind, reliability
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()
            self._node.get_logger().info(
                f"subscribed to {self.topic}, {kind}, as {reliability.replace('_', ' ')}: what its "
                "publishers offer"
            )

    def _subscribe(self):
        qos = QoSProfile(depth=DEPTH, reliability=POLICIES[self.reliability])
        events = SubscriptionEventCallbacks(
            incompatible_qos=self._on_incompatible, message_lost=self._count_lost
        )
        return self._node.create_subscription(
            KINDS[self._kind],
            self._topic,
            self._on_image,
            qos,
            event_callbacks=events,
            qos_overriding_options=QoSOverridingOptions(self._overridable()),
        )

    def _overridable(self) -> list[QoSPolicyKind]:
        """Policies that `qos_overrides.<topic>.subscription.<policy>` may set.

        Reliability only where it is set there: declared, it would hold `auto` to its first choice.
        """
        kinds = [QoSPolicyKind.DEPTH, QoSPolicyKind.HISTORY, QoSPolicyKind.DURABILITY]
        name = self._node.resolve_topic_name(self._topic)
        override = f"qos_overrides.{name}.subscription.reliability"
        given = given_parameters(self._node)
        if override in given:
            kinds.append(QoSPolicyKind.RELIABILITY)
            self._auto = False
            self.reliability = given[override].value
        return kinds

    def _on_incompatible(self, event) -> None:
        if not self._auto:  # else the next match_publishers answers it
            self._node.get_logger().warning(unheard_publisher(self.topic, event))

    def _count_lost(self, event: QoSMessageLostInfo) -> None:
        self._on_lost(event.total_count_change)


def check_message(message: Image | CompressedImage) -> None:
    """Raise ValueError where a message cannot hold a picture, without decoding it."""
    if isinstance(message, Image):
        check_image(message)
    else:
        check_compressed(message.data, message.format)

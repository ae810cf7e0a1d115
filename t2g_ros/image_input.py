"""The subscription to the camera: it takes what publishers offer, and says what does not come."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.event_handler import QoSMessageLostInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from t2g_ros.input_watch import unheard_publisher

AUTO, RELIABLE, BEST_EFFORT = "auto", "reliable", "best_effort"
POLICIES = {RELIABLE: ReliabilityPolicy.RELIABLE, BEST_EFFORT: ReliabilityPolicy.BEST_EFFORT}
# Some depth, so that images which come while this process is busy are counted, not lost unseen.
DEPTH = 5


class ImageInput:
    """Images of one topic.

    reliability: `reliable` gets large images whole, but nothing from a best-effort publisher;
    `best_effort` hears every publisher and loses large images where shared memory is small;
    `auto` is reliable as long as all publishers are, and best effort from the moment one is not.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        reliability: str,
        on_image: Callable[[Image], None],
        on_lost: Callable[[int], None],
    ) -> None:
        self._node, self._topic, self._on_image, self._on_lost = node, topic, on_image, on_lost
        self._auto = reliability == AUTO
        self.reliability = RELIABLE if self._auto else reliability
        self._subscription = self._subscribe()

    @property
    def topic(self) -> str:
        """The full name."""
        return self._subscription.topic_name

    def match_publishers(self) -> None:
        """With `auto`, take up the reliability that the publishers offer now."""
        if not self._auto:
            return
        offered = self._node.get_publishers_info_by_topic(self.topic)
        lossy = any(o.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for o in offered)
        wanted = BEST_EFFORT if lossy else RELIABLE
        if offered and wanted != self.reliability:
            self.reliability = wanted
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()
            self._node.get_logger().info(
                f"subscribed to {self.topic} as {wanted.replace('_', ' ')}, as its publishers offer"
            )

    def _subscribe(self):
        qos = QoSProfile(depth=DEPTH, reliability=POLICIES[self.reliability])
        events = SubscriptionEventCallbacks(
            incompatible_qos=self._on_incompatible, message_lost=self._count_lost
        )
        return self._node.create_subscription(
            Image, self._topic, self._on_image, qos, event_callbacks=events
        )

    def _on_incompatible(self, event) -> None:
        if not self._auto:  # else the next match_publishers answers it
            self._node.get_logger().warning(unheard_publisher(self.topic, event))

    def _count_lost(self, event: QoSMessageLostInfo) -> None:
        self._on_lost(event.total_count_change)

# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One camera of the node: its topics, its services, what is counted of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from t2g_core.health.stream_health import FoundSince, FrameHealth
from t2g_core.health.timing_watch import TimingWatch
from t2g_core.streaming.continuity import NS
from t2g_ros.image_input import ImageInput, check_message
from t2g_ros.log import Log, shortened
from t2g_ros.outputs import Outputs
from t2g_ros.stream_statistics import (
    BAD_IMAGE,
    DISABLED,
    NEWER_FRAME,
    RATE_LIMIT,
    StreamStatistics,
)


@dataclass(frozen=True)
class Frame:
    """An image message, whose it is, and when it came, by the monotonic clock [s]."""

    camera: Camera
    message: Image | CompressedImage
    arrival_s: float


class Camera:
    """Looks at the headers of images as they come and offers the newest for segmentation.

    A camera with a name has everything under it: images on `<name>/image`, masks on
    `~/<name>/mask`. The only camera of a node may go without one: `image` and `~/mask`.

    `start` and `stop` take and leave the images; `open_outputs` and `close_outputs` what goes out.
    """

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        self.statistics = StreamStatistics(time.monotonic())
        self.last_snapshot = self.statistics.snapshot(time.monotonic())
        self.timing, self.found = TimingWatch(), FoundSince()
        self.health: FrameHealth | None = None  # of the last mask
        self.enabled = True
        self.reset_asked = False
        self.log = Log(node.get_logger().get_child(name) if name else node.get_logger())
        self._node = node
        self._images: ImageInput | None = None
        self._open_images: Callable[[], ImageInput] | None = None  # between start and stop
        self.outputs: Outputs | None = None
        self._topic = f"{name}/image" if name else "image"
        self._own = f"~/{name}" if name else "~"
        self._due_s = -math.inf  # when the last image that max_rate_hz let through was due
        node.create_service(Trigger, f"{self._own}/reset", self._answer_reset)
        node.create_service(SetBool, f"{self._own}/set_enabled", self._answer_set_enabled)

    @property
    def topic(self) -> str:
        """The full name of the topic that images are awaited on."""
        return self._node.resolve_topic_name(self._topic)

    @property
    def reliability(self) -> str:
        """Of the subscription as it is now; empty without one."""
        return self._images.reliability if self._images else ""

    def open_outputs(self) -> None:
        """Create the publishers."""
        info = f"{self.name}/camera_info" if self.name else "camera_info"
        self.outputs = Outputs(self._node, self._own, info)

    def close_outputs(self) -> None:
        """Take the publishers away."""
        if self.outputs is not None:
            self.outputs.close()
            self.outputs = None

    @property
    def is_subscribed(self) -> bool:
        """Whether images are awaited."""
        return self._images is not None

    def start(self, reliability: str, lazy: bool, offer: Callable[[Frame], bool]) -> None:
        """Subscribe to images; with `lazy` only while somebody subscribes to an output.

        offer: hands over a frame, says whether one was dropped for it.
        """
        self._offer, self._lazy = offer, lazy
        self._due_s, self.reset_asked = -math.inf, False
        self._open_images = partial(
            ImageInput, self._node, self._topic, reliability, self._on_image, self._count_lost
        )
        self.match_topics()

    def stop(self) -> None:
        """Unsubscribe for good."""
        self._open_images = None
        self._unsubscribe()

    def match_topics(self) -> None:
        """Follow those who subscribe to the outputs, and the type and reliability that images are
        published with now.
        """
        if self._open_images is None:
            return
        if self._lazy and not self.outputs.has_subscribers():
            self._unsubscribe()
            return
        if self._images is None:
            self.statistics.listening_from(time.monotonic())
            self.timing.reset()
            self._images = self._open_images()
        self._images.match_publishers()

    def drop_bad_image(self, error: Exception) -> None:
        """Count an image that cannot be read, and say why."""
        count = self.statistics.image_dropped(BAD_IMAGE, str(error), time.monotonic())
        self.log.warning(
            "bad image",
            f"skipped an image that cannot be read ({count} so far): {shortened(str(error))}",
        )

    def _unsubscribe(self) -> None:
        if self._images is not None:
            self._images.close()
            self._images = None

    def _on_image(self, message: Image | CompressedImage) -> None:
        arrival_s = time.monotonic()
        self.statistics.image_received(arrival_s)
        stamp = message.header.stamp
        self.found.add(self.timing.update(stamp.sec * NS + stamp.nanosec))
        try:
            check_message(message)
        except ValueError as error:
            self.drop_bad_image(error)
            return
        if not self.enabled:
            self.statistics.image_dropped(DISABLED)
            return
        if not self._is_due(arrival_s):
            self.statistics.image_dropped(RATE_LIMIT)
            return
        self.statistics.image_offered(arrival_s)
        if self._offer(Frame(self, message, arrival_s)):
            self.statistics.image_dropped(NEWER_FRAME)

    def _is_due(self, now_s: float) -> bool:
        """Whether max_rate_hz lets an image through; it allows that rate on average."""
        rate_hz = self._node.get_parameter("max_rate_hz").value
        if not rate_hz:
            return True
        step_s, since_s = 1 / rate_hz, now_s - self._due_s
        if since_s < step_s:
            return False
        # A step on from when one was due, so that a camera's own grid does not lower the rate.
        self._due_s = self._due_s + step_s if since_s < 2 * step_s else now_s
        return True

    def _answer_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.reset_asked = True
        response.success, response.message = True, "the next mask starts a new clip"
        return response

    def _answer_set_enabled(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        self.enabled = request.data
        of = f" of {self.name}" if self.name else ""
        response.success = True
        response.message = f"segmentation{of} is " + ("on" if request.data else "off")
        self._node.get_logger().info(response.message)
        return response

    def _count_lost(self, count: int) -> None:
        self.statistics.images_lost(count)
        self.log.warning(
            "lost",
            f"{count} images were lost on their way; large ones need a reliable publisher or more "
            "shared memory on its side (config/fastdds_large_images.xml)",
        )

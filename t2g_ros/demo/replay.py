# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Replays the images of a bag to the node over DDS and records what it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import rclpy
from ament_index_python.packages import get_package_share_directory
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.time import Time
from sensor_msgs.msg import Image

from t2g_core.recordings.bag import BagWriter, read_raw
from t2g_ros.demo.node_process import NodeProcess
from t2g_ros.diagnostics import RUNNING
from t2g_ros.msg import TemporalConsistency

MASK_TOPIC = "/segmenter/mask"
CONSISTENCY_TOPIC = "/segmenter/temporal_consistency"
DIAGNOSTICS_TOPIC = "/diagnostics"
CONSISTENCY_TYPE = "t2g_ros/msg/TemporalConsistency"

LOADING_TIMEOUT_S = 300.0
ANSWER_TIMEOUT_S = 60.0
DIAGNOSTICS_TIMEOUT_S = 3.0
WARM_UP_FRAMES = 6  # the memory is full and PyTorch has settled
WARM_UP_STAMP_S = 60  # after the clip's last stamp: the clip then starts with an empty buffer
SLACK = 1.15  # the pause between two frames, in latencies of the node
LATENCIES_LOOKED_AT = 3


@dataclass
class ReplayLog:
    """When each frame, by its stamp [ns], was sent and its mask came back, monotonic clock [s]."""

    sent_s: dict[int, float] = field(default_factory=dict)
    received_s: dict[int, float] = field(default_factory=dict)

    def latencies_ms(self) -> list[float]:
        """From sending an image to receiving its mask, in the order of arrival."""
        return [1e3 * (at - self.sent_s[stamp]) for stamp, at in self.received_s.items()]


@dataclass(frozen=True)
class Schedule:
    """How a clip is sent: frames at least ``step_s`` apart, none after ``limit_s`` seconds."""

    step_s: float
    limit_s: float


class Replayer(Node):
    """Publishes images and listens to the segmenter's topics."""

    def __init__(self, image_topic: str) -> None:
        super().__init__("demo")
        reliable = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        self.log = ReplayLog()
        self.is_ready = False
        self.health_reports = 0
        self._bag: BagWriter | None = None
        self._images = self.create_publisher(Image, image_topic, reliable)
        for kind, topic, callback in (
            (Image, MASK_TOPIC, self._on_mask),
            (TemporalConsistency, CONSISTENCY_TOPIC, self._on_consistency),
            (DiagnosticArray, DIAGNOSTICS_TOPIC, self._on_diagnostics),
        ):
            self.create_subscription(kind, topic, callback, reliable, raw=True)

    def wait_until(self, happened: Callable[[], bool], timeout_s: float, node: NodeProcess) -> bool:
        """Listen until something has happened; False after the timeout.

        Raises RuntimeError if the node ends.
        """
        deadline = time.monotonic() + timeout_s
        while not happened():
            node.check()
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            rclpy.spin_once(self, timeout_sec=min(left_s, 0.5))
        return True

    def wait_until_ready(self, node: NodeProcess) -> None:
        """Wait for the node to have its model and to hear our images.

        Raises RuntimeError if that does not happen.
        """
        heard = self._images.get_subscription_count
        if not self.wait_until(lambda: self.is_ready and heard() > 0, LOADING_TIMEOUT_S, node):
            raise RuntimeError(f"the node was not ready after {LOADING_TIMEOUT_S:.0f} s")

    def warm_up(self, cdr: bytes, after_ns: int, node: NodeProcess) -> None:
        """Have the node segment one image a few times, each after the last one's mask.

        The stamps lie after the clip's, so that its first frame goes back in time and begins with
        an empty buffer.
        """
        image = deserialize_message(cdr, Image)
        for number in range(WARM_UP_FRAMES):
            stamp_ns = after_ns + int(1e9) * WARM_UP_STAMP_S + int(1e8) * number
            image.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
            self._send(stamp_ns, serialize_message(image))
            if not self.wait_until(
                lambda stamp_ns=stamp_ns: stamp_ns in self.log.received_s, ANSWER_TIMEOUT_S, node
            ):
                raise RuntimeError(f"no mask came within {ANSWER_TIMEOUT_S:.0f} s of an image")

    def replay(
        self, bag: Path, topic: str, output: Path, schedule: Schedule, node: NodeProcess
    ) -> ReplayLog:
        """Send the bag's images and record the answers to ``output``.

        The pause follows the node: 1.15 times the longest of its last three latencies. Frames that
        the schedule's limit cuts off are not sent and do not count. Returns the times of this
        replay alone.
        """
        pace = self.log.latencies_ms()[-LATENCIES_LOOKED_AT:]
        self.log = ReplayLog()
        with BagWriter(output, {CONSISTENCY_TYPE: consistency_definition()}) as self._bag:
            end_s = time.monotonic() + schedule.limit_s
            for message in read_raw(bag, topic):
                if time.monotonic() > end_s:
                    break
                stamp = deserialize_message(message.cdr, Image).header.stamp
                self._send(Time.from_msg(stamp).nanoseconds, message.cdr)
                pace = (pace + self.log.latencies_ms())[-LATENCIES_LOOKED_AT:]
                pause_s = max(schedule.step_s, SLACK * max(pace) / 1e3)
                self.wait_until(lambda: False, pause_s, node)
            sent = len(self.log.sent_s)
            self.wait_until(lambda: len(self.log.received_s) == sent, 3 * pause_s + 2, node)
            heard = self.health_reports  # the next one knows of the last frame
            self.wait_until(lambda: self.health_reports > heard, DIAGNOSTICS_TIMEOUT_S, node)
        self._bag = None
        return self.log

    def _send(self, stamp_ns: int, cdr: bytes) -> None:
        self.log.sent_s[stamp_ns] = time.monotonic()
        self._images.publish(cdr)

    def _on_mask(self, cdr: bytes) -> None:
        now_s = time.monotonic()
        stamp = deserialize_message(cdr, Image).header.stamp
        stamp_ns = Time.from_msg(stamp).nanoseconds
        if stamp_ns in self.log.sent_s:
            self.log.received_s[stamp_ns] = now_s
            self._record(MASK_TOPIC, "sensor_msgs/msg/Image", cdr)

    def _on_consistency(self, cdr: bytes) -> None:
        self._record(CONSISTENCY_TOPIC, CONSISTENCY_TYPE, cdr)

    def _on_diagnostics(self, cdr: bytes) -> None:
        self._record(DIAGNOSTICS_TOPIC, "diagnostic_msgs/msg/DiagnosticArray", cdr)
        self.health_reports += 1
        for status in deserialize_message(cdr, DiagnosticArray).status:
            values = {item.key: item.value for item in status.values}
            self.is_ready |= values.get("state") == RUNNING

    def _record(self, topic: str, message_type: str, cdr: bytes) -> None:
        if self._bag is not None:
            self._bag.write_raw(topic, message_type, time.time_ns(), cdr)


def consistency_definition() -> str:
    """The text of TemporalConsistency.msg, which its recordings carry."""
    share = Path(get_package_share_directory("t2g_ros"))
    return (share / "msg" / "TemporalConsistency.msg").read_text()

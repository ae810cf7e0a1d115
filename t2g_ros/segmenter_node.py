#!/usr/bin/env python3
"""The `segmenter` node: parameters, model, publishers.

Images come in on the executor's thread, which only looks at their headers and keeps the newest;
the inference thread converts, segments and publishes one at a time.
"""

from __future__ import annotations

import sys
import time
import traceback
from dataclasses import dataclass

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image

from t2g_core.images.encodings import check_image
from t2g_core.streaming import continuity
from t2g_core.streaming.continuity import NS, Reset
from t2g_ros.diagnostics import FAILED, LOADING, RUNNING, NodeHealth, diagnostic_status
from t2g_ros.image_decoder import choose_decoder
from t2g_ros.input_watch import unheard_publisher, why_no_image
from t2g_ros.model_loading import load_video_segmenter
from t2g_ros.outputs import Outputs
from t2g_ros.parameters import declare_parameters, read_parameters
from t2g_ros.stream_statistics import (
    BAD_IMAGE,
    INFERENCE_ERROR,
    MODEL_LOADING,
    NEWER_FRAME,
    StreamStatistics,
)
from t2g_ros.worker import Worker

# Best effort takes images from every publisher; some depth, so that images which come while this
# process is busy are counted rather than lost unseen.
INPUT_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
DIAGNOSTICS_PERIOD_S = 1.0
SAME_WARNING_PERIOD_S = 5.0
SILENCE_WARNING_PERIOD_S = 30.0
STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Frame:
    """An image message and when it came, by the monotonic clock [s]."""

    message: Image
    arrival_s: float


class Segmenter(Node):
    """Subscribes to `image`; publishes masks and what goes with them in its own namespace."""

    def __init__(self) -> None:
        super().__init__("segmenter")
        declare_parameters(self)
        self._state, self._state_detail, self._device = LOADING, "loading the model", ""
        self._started_s = time.monotonic()
        self._statistics = StreamStatistics(self._started_s)
        self._last_snapshot = self._statistics.snapshot(self._started_s)
        self._outputs = Outputs(self)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._worker: Worker[Frame] = Worker(self._load_model, self._segment, self._give_up)
        self._images = self._subscribe("image")
        # On a clock of its own: diagnostics go on while simulated time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._report_health, clock=steady)
        self._worker.start()

    @property
    def failed(self) -> bool:
        """Whether the inference thread has ended with an error."""
        return self._state == FAILED

    def stop(self) -> None:
        """Let the inference thread finish its frame, and end it."""
        if not self._worker.stop(STOP_TIMEOUT_S):
            self.get_logger().error(f"the inference thread did not end in {STOP_TIMEOUT_S:.0f} s")

    def _subscribe(self, topic: str) -> Subscription:
        name = self.resolve_topic_name(topic)
        self.get_logger().info(f"images are awaited on {name}")
        events = SubscriptionEventCallbacks(
            incompatible_qos=lambda event: self.get_logger().warning(unheard_publisher(name, event))
        )
        return self.create_subscription(
            Image, topic, self._on_image, INPUT_QOS, event_callbacks=events
        )

    # On the executor's thread.

    def _on_image(self, message: Image) -> None:
        arrival_s = time.monotonic()
        self._statistics.image_received(arrival_s)
        try:
            check_image(message)
        except ValueError as error:
            self._drop_bad_image(error)
            return
        if self._state == LOADING:
            self._statistics.image_dropped(MODEL_LOADING)
        elif self._worker.offer(Frame(message, arrival_s)):
            self._statistics.image_dropped(NEWER_FRAME)

    def _report_health(self) -> None:
        now_s = time.monotonic()
        snapshot = self._statistics.snapshot(now_s)
        parameters = read_parameters(self)
        topic = self._images.topic_name
        if self._state == LOADING:
            self._state_detail = f"loading the model for {now_s - self._started_s:.0f} s"
            self._say_now_and_then(self._state_detail)
        elif snapshot.silence_s > parameters.no_image_warning_s:
            self._warn_of_silence(why_no_image(self, topic, snapshot.silence_s))
        health = NodeHealth(
            state=self._state,
            state_detail=self._state_detail,
            image_topic=topic,
            no_image_warning_s=parameters.no_image_warning_s,
            checkpoint=parameters.checkpoint or "shipped",
            device=self._device,
        )
        name = f"{self.get_fully_qualified_name()}: segmentation"
        status = diagnostic_status(name, health, snapshot, self._last_snapshot)
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)
        self._last_snapshot = snapshot

    def _drop_bad_image(self, error: Exception) -> None:
        count = self._statistics.image_dropped(BAD_IMAGE, str(error))
        self.get_logger().warning(
            f"skipped an image that cannot be read ({count} so far): {error}",
            throttle_duration_sec=SAME_WARNING_PERIOD_S,
        )

    def _say_now_and_then(self, sentence: str) -> None:
        self.get_logger().info(sentence, throttle_duration_sec=SAME_WARNING_PERIOD_S)

    def _warn_of_silence(self, sentence: str) -> None:
        self.get_logger().warning(sentence, throttle_duration_sec=SILENCE_WARNING_PERIOD_S)

    # On the inference thread.

    def _load_model(self) -> None:
        parameters = read_parameters(self)
        checkpoint = parameters.checkpoint or "the shipped checkpoint"
        self.get_logger().info(f"loading {checkpoint} (device: {parameters.device}) ...")
        self._decode, sentence = choose_decoder()
        self.get_logger().info(sentence)
        self._video, self._device = load_video_segmenter(
            parameters.checkpoint,
            parameters.device,
            parameters.encoder_weights,
            parameters.consistency_window,
        )
        segmenter = self._video.segmenter
        self.get_logger().info(
            f"ready after {time.monotonic() - self._started_s:.1f} s on {self._device}: "
            f"{len(segmenter.class_names)} classes, clips of {segmenter.clip_length} frames"
        )
        self._state, self._state_detail = RUNNING, ""

    def _segment(self, frame: Frame) -> None:
        try:
            image = self._decode(frame.message)
        except Exception as error:  # cv_bridge has errors of its own
            self._drop_bad_image(error)
            return
        try:
            self._segment_and_publish(frame, image)
        except Exception as error:
            if self.context.ok():  # not so while shutting down, when publishing fails rightly
                self._drop_failed(error)

    def _segment_and_publish(self, frame: Frame, image) -> None:
        parameters = read_parameters(self)
        header = frame.message.header
        stamp_ns = header.stamp.sec * NS + header.stamp.nanosec
        segmented = self._video.segment(image, stamp_ns, parameters.max_gap_s)
        if segmented.reset is not None:
            self._say_now_and_then(f"clip buffer emptied: {segmented.reset.detail}")
        segmenter = self._video.segmenter
        self._outputs.publish(header, image, segmented, segmenter, parameters.overlay_opacity)
        self._statistics.mask_published(frame.arrival_s, time.monotonic())

    def _drop_failed(self, error: Exception) -> None:
        sentence = f"{type(error).__name__}: {error}"
        count = self._statistics.image_dropped(INFERENCE_ERROR, sentence)
        self._video.reset(Reset(continuity.INFERENCE_ERROR, sentence))
        self.get_logger().error(
            f"skipped an image that the model failed on ({count} so far): "
            f"{''.join(traceback.format_exception(error))}",
            throttle_duration_sec=SAME_WARNING_PERIOD_S,
        )

    def _give_up(self, error: BaseException) -> None:
        problem = "cannot load the model" if self._state == LOADING else "inference has ended"
        self._state, self._state_detail = FAILED, f"{problem}: {type(error).__name__}: {error}"
        self.get_logger().fatal(self._state_detail)
        self.get_logger().debug("".join(traceback.format_exception(error)))
        self.context.try_shutdown()  # ends spin()


def main() -> int:
    """Run the node until it is told to end; 1 if it could not go on."""
    rclpy.init()
    try:
        node = Segmenter()
    except ParameterException as error:
        rclpy.logging.get_logger("segmenter").fatal(f"cannot start: {error}")
        rclpy.try_shutdown()
        return 1
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.stop()
        node.destroy_node()
        rclpy.try_shutdown()
    return 1 if node.failed else 0


if __name__ == "__main__":
    sys.exit(main())
